"""Bearer tokens in the database, and what a process keeps of them."""

from datetime import timedelta
from pathlib import Path

import pytest

from komorebi_mcp.domain.access import ALL_SCOPES, Principal, Scope
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.services.access import USED_EVERY, Access
from komorebi_mcp.storage.store import open_store
from support.clock import StillClock

READ = frozenset({Scope.READ})


async def test_a_token_stands_for_its_owner_and_scopes(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        access = Access(store, clock=clock)
        secret, token = await access.new("alice", [Scope.WRITE, Scope.READ])
        assert await access.verify(secret) == Principal("alice", frozenset({Scope.READ, Scope.WRITE}))
        assert await access.all() == [token]
        for other in (secret[:-1], f"{secret}x", secret.upper(), "", "kmr_", "\ud800", f"kmr_{token.id}"):
            assert await access.verify(other) is None


async def test_a_revoked_token_opens_nothing_in_another_process_at_once(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as here, open_store(store_url, clock=clock) as there:
        one, other = Access(here, clock=clock), Access(there, clock=clock)
        assert not await other.exist()
        secret, token = await one.new("alice", READ)
        assert await other.exist()
        for _ in range(2):
            assert await other.verify(secret) == Principal("alice", READ)
        revoked = await one.revoke(token.id)
        assert revoked.revoked_at == clock()
        assert await other.verify(secret) is None
        assert await one.verify(secret) is None
        clock.advance(seconds=60)
        assert await one.revoke(token.id) == revoked
        assert await other.exist()
        assert not await other.any_valid()


async def test_a_token_that_was_unknown_is_known_once_it_is_made(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as here, open_store(store_url, clock=clock) as there:
        one, other = Access(here, clock=clock), Access(there, clock=clock)
        await one.new("somebody", ALL_SCOPES)
        assert await other.verify("kmr_unknown") is None
        secret, _ = await one.new("alice", READ)
        assert await other.verify(secret) == Principal("alice", READ)


async def test_a_token_ends_when_its_time_is_up(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        access = Access(store, clock=clock)
        secret, _ = await access.new("alice", READ, lasts=timedelta(hours=1))
        assert await access.any_valid()
        clock.advance(seconds=3599)
        assert await access.verify(secret) is not None
        clock.advance(seconds=1)
        assert await access.verify(secret) is None
        assert not await access.any_valid()
        assert await access.exist()


async def test_what_is_not_a_token_cannot_be_made_or_revoked(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        access = Access(store, clock=clock)
        for owner in ("", "  ", "a\nb", "a\x00b", "x" * 201, "\ud800"):
            with pytest.raises(InvalidInput):
                await access.new(owner, READ)
        with pytest.raises(InvalidInput, match="read, write, upstream"):
            await access.new("alice", [])
        with pytest.raises(NotFound):
            await access.revoke("nobody's")


async def test_the_database_does_not_hold_the_token_itself(tmp_path: Path, clock: StillClock) -> None:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db", clock=clock) as store:
        secret, _ = await Access(store, clock=clock).new("alice", READ)
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"alice" in everything
    assert secret.encode() not in everything
    assert secret.removeprefix("kmr_").encode() not in everything


async def test_the_last_use_is_written_down_now_and_then(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        access = Access(store, clock=clock)
        secret, _ = await access.new("alice", READ)
        started = clock()
        await access.verify(secret)
        await access.note_uses()
        clock.advance(seconds=USED_EVERY.total_seconds() - 1)
        await access.verify(secret)
        await access.note_uses()
        assert [token.used_at for token in await access.all()] == [started]
        clock.advance(seconds=1)
        await access.verify(secret)
        await access.note_uses()
        assert [token.used_at for token in await access.all()] == [started + USED_EVERY]
