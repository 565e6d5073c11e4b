"""Server-sent events, however their bytes are cut."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.upstream.events import Event, EventTooLong, events_in


async def chunks(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(*parts: bytes, bytes_max: int = 1000) -> list[Event]:
    return [event async for event in events_in(chunks(parts), bytes_max=bytes_max)]


STREAM = (
    b"\xef\xbb\xbf: a comment\r\n\r\n"
    b"event: message\rdata: one\rdata:two\r\r"
    b'id: 7\nretry: 20\ndata: {"a": "b: c"}\n\n'
    b"id: 8\r\ndata:\r\n\r\n"
    b"data: broken off"
)


@given(st.sets(st.integers(min_value=1, max_value=len(STREAM) - 1)))
async def test_where_the_bytes_are_cut_makes_no_difference(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    found = await read(*(STREAM[a:b] for a, b in pairwise(places)))
    told = [(event.name, event.data, event.id, event.retry_ms) for event in found if event.lines]
    assert told == [
        (b"message", b"one\ntwo", None, None),
        (b"message", b'{"a": "b: c"}', "7", 20),
        (b"message", b"", "8", None),
    ]


async def test_an_event_may_be_as_long_as_was_said_and_no_longer() -> None:
    (event,) = await read(b"data: ", b"x" * 90, b"\n\n", bytes_max=100)
    assert len(event.data) == 90
    with pytest.raises(EventTooLong):
        await read(b"data: ", b"x" * 90, b"x" * 90, bytes_max=100)


async def test_many_short_events_are_not_one_long_one() -> None:
    assert len(await read(b"data: x\n\n" * 100, bytes_max=100)) == 100


@pytest.mark.parametrize("said", [b"9" * 9, b"9" * 5_000, b"40000"])
async def test_nobody_waits_as_long_as_a_server_likes(said: bytes) -> None:
    (event,) = await read(b"retry: " + said + b"\n\n", bytes_max=10_000)
    assert event.retry_ms == 30_000
