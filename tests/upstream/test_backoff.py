"""How long an upstream that does not work is left alone."""

import anyio

from komorebi_mcp.upstream.backoff import BACKOFF_FIRST_S, BACKOFF_LAST_S, STEADY_S, Backoff


async def test_an_upstream_that_has_been_down_for_a_week_is_still_tried_again() -> None:
    backoff = Backoff()
    for _ in range(3_000):
        backoff.failed(held_s=0.0)
    assert BACKOFF_LAST_S / 2 <= backoff.until() - anyio.current_time() <= BACKOFF_LAST_S


async def test_a_connection_that_held_for_a_while_is_soon_made_again() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.failed(held_s=0.0)
    backoff.failed(held_s=STEADY_S)
    assert backoff.until() - anyio.current_time() <= BACKOFF_FIRST_S
