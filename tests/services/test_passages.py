"""Texts too long for one capture are kept in passages that read as one text."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import (
    CONTENT_BYTES_MAX,
    CaptureCreate,
    CaptureFilter,
    CaptureUpdate,
    Status,
)
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.errors import InvalidInput, KomorebiError, NotFound
from komorebi_mcp.services.passages import Passages, Progress
from support.rooms import Rooms, open_rooms

pytestmark = pytest.mark.slow

OWNER = "local"
LOG = "".join(f"{number:07} Größe of the queue: {number * 7919 % 10_007}\n" for number in range(45_000))


async def chunks(raw: bytes, *, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


async def take_in(rooms: Rooms, raw: bytes, *, size: int = 100_000, **about: str) -> Progress:
    progress = Progress(stored=lambda _: None)
    passages = Passages(rooms.store, rooms.capture, secrets="redact")
    create = CaptureCreate.model_validate({"content": "-", **about})
    try:
        await passages.take_in(OWNER, create, chunks(raw, size=size), progress)
    except ExceptionGroup as group:
        error = group.exceptions[0]
        assert isinstance(error, KomorebiError)
        raise error from None
    return progress


async def read_on(rooms: Rooms, capture_id: str) -> str:
    text, offset = "", 0
    while True:
        read = await rooms.find.read(OWNER, [capture_id], max_tokens=25_000, offset=offset)
        text += read.captures[0].content
        if read.next_offset is None:
            return text
        assert read.next_offset == len(text)
        offset = read.next_offset


def id_of(progress: Progress) -> str:
    assert progress.receipt is not None
    return progress.receipt.id


async def test_a_long_text_reads_back_whole_and_is_listed_once(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode(), title="server.log", project="garden")
        assert (done.passages, done.bytes) == (done.created, len(LOG.encode()))
        assert done.passages > 4
        assert await read_on(rooms, id_of(done)) == LOG
        await rooms.settle()
        assert await read_on(rooms, id_of(done)) == LOG
        for status in ((), (Status.COMPACTED,)):
            page = await rooms.find.page(OWNER, CaptureFilter(statuses=status))
            assert [(each.id, each.title) for each in page.items] == [(id_of(done), "server.log")]


async def test_a_list_of_what_waits_shows_a_group_as_long_as_a_passage_of_it_waits(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode())
        while (await rooms.find.read(OWNER, [id_of(done)])).captures[0].status is Status.INBOX:
            await rooms.worker.work_once()
        page = await rooms.find.page(OWNER, CaptureFilter(statuses=(Status.INBOX,)))
        assert len(page.items) == 1
        await rooms.settle()
        assert not (await rooms.find.page(OWNER, CaptureFilter(statuses=(Status.INBOX,)))).items


async def test_entities_stand_where_the_whole_text_has_them(tmp_path: Path) -> None:
    text = "Nothing of note was said.\n" * 50_000
    place = len(text)
    text += "See https://example.org/the-end for more.\n"
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, text.encode())
        await rooms.settle()
        [capture] = (await rooms.find.read(OWNER, [id_of(done)], offset=place - 50)).captures
        assert "https://example.org/the-end" in [text[e.start : e.end] for e in capture.entities]


async def test_a_search_names_the_passage_that_matches(tmp_path: Path) -> None:
    text = LOG + "Only here: the zeppelin landed.\n"
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, text.encode(), title="log")
        await rooms.settle()
        [hit] = (await rooms.find.search(OWNER, "zeppelin", CaptureFilter())).hits
        assert (hit.title, hit.id == id_of(done)) == (f"log ({done.passages})", False)
        [passage] = (await rooms.find.read(OWNER, [hit.id])).captures
        assert passage.passage is not None
        assert (passage.passage.group, passage.passage.position) == (id_of(done), done.passages)


async def test_a_text_up_to_the_limit_is_one_capture(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, b"x" * CONTENT_BYTES_MAX, key="k")
        assert done.passages == 1
        assert (await rooms.find.read(OWNER, [id_of(done)])).captures[0].passage is None


async def test_what_befalls_the_first_passage_befalls_all(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode(), project="a")
        await rooms.settle()
        change = CaptureUpdate(project="b", add_tags=("t",), status=Status.ARCHIVED, title="Renamed")
        await rooms.organize.update(OWNER, [id_of(done)], change)
        moved = CaptureFilter(project="b", tags=("t",), statuses=(Status.ARCHIVED,))
        async with rooms.store.read(OWNER) as transaction:
            assert await transaction.captures.count(moved) == done.passages
            titles = [each.title for each in (await transaction.captures.sample(moved, most=100)).captures]
        assert titles.count("Renamed") == 1
        assert (await rooms.organize.forget(OWNER, [id_of(done)])).forgotten == 1
        async with rooms.store.read(OWNER) as transaction:
            assert await transaction.captures.count(moved) == 0


async def test_a_summary_of_the_first_passage_covers_all(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode())
        summary = await rooms.summarize.summarize(OWNER, Scope(ids=(id_of(done),)))
        assert summary.covers.captures == done.passages


async def test_the_content_of_a_passage_stays(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode())
        with pytest.raises(InvalidInput, match="a passage of a longer text"):
            await rooms.organize.update(OWNER, [id_of(done)], CaptureUpdate(content="short"))


async def test_a_text_that_was_cut_off_goes_on_under_its_key(tmp_path: Path) -> None:
    raw = LOG.encode()
    async with open_rooms(tmp_path) as rooms:
        with pytest.raises(InvalidInput, match=f"not UTF-8 at byte {1_500_000:,}") as refused:
            await take_in(rooms, raw[:1_500_000] + b"\xff" + raw[1_500_000:], key="k")
        kept = await rooms.find.page(OWNER, CaptureFilter())
        assert kept.items[0].id in str(refused.value)
        done = await take_in(rooms, raw, key="k", size=33_333)
        assert 0 < done.created < done.passages
        assert id_of(done) == kept.items[0].id
        assert await read_on(rooms, id_of(done)) == LOG
        again = await take_in(rooms, raw, key="k")
        assert (again.created, again.passages) == (0, done.passages)


async def test_another_text_under_the_same_key_is_refused(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        done = await take_in(rooms, LOG.encode(), key="k")
        with pytest.raises(InvalidInput, match="The key belongs to another text"):
            await take_in(rooms, LOG.encode() + b"It has grown.\n", key="k")
        assert await read_on(rooms, id_of(done)) == LOG


async def test_an_empty_text_and_one_that_is_not_utf8_are_refused_whole(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        for raw in (b"", b"a\xff", b"\xff" + LOG.encode()):
            with pytest.raises(InvalidInput):
                await take_in(rooms, raw)
        assert not (await rooms.find.page(OWNER, CaptureFilter())).items
        with pytest.raises(NotFound):
            await rooms.find.read(OWNER, ["01890a5d-ac96-774b-bcce-b302099a8057"])
