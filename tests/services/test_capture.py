"""An acknowledged text is on disk, whole, once."""

from pathlib import Path

import anyio
import pytest

from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX, CaptureCreate, CaptureFilter, Receipt, Status
from komorebi_mcp.errors import InvalidInput, KomorebiError, StorageError, StorageUnavailable, TooLarge
from komorebi_mcp.services.capture import CaptureService
from support.rooms import Rooms, open_rooms

OWNER = "local"


async def contents(rooms: Rooms) -> list[str]:
    async with rooms.store.read(OWNER) as transaction:
        return [each.capture.content async for batch in transaction.export.all() for each in batch]


async def test_a_receipt_comes_after_the_text_is_readable_by_another_connection(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms, open_rooms(tmp_path) as elsewhere:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content="Kept.\r\n\tAs it is.\x00 "))
        assert receipt.created
        assert receipt.status is Status.INBOX
        assert await contents(elsewhere) == ["Kept.\r\n\tAs it is.\x00 "]


async def test_captures_that_arrive_together_are_all_acknowledged_in_their_own_name(tmp_path: Path) -> None:
    receipts: dict[int, Receipt] = {}

    async with open_rooms(tmp_path) as rooms:

        async def take(number: int) -> None:
            receipts[number] = await rooms.capture.capture(OWNER, CaptureCreate(content=f"text {number}"))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as callers:
                for number in range(300):
                    callers.start_soon(take, number)
        async with rooms.store.read(OWNER) as transaction:
            stored = await transaction.captures.get([receipts[number].id for number in range(300)])
        assert [capture.content for capture in stored] == [f"text {number}" for number in range(300)]


async def test_two_owners_in_one_rush_keep_their_texts_apart(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as callers:
                for number in range(20):
                    owner = "ada" if number % 2 else "bob"
                    callers.start_soon(
                        rooms.capture.capture, owner, CaptureCreate(content=f"{owner} {number}")
                    )
        for owner in ("ada", "bob"):
            page = await rooms.find.page(owner, CaptureFilter(), limit=100)
            assert {overview.snippet.split()[0] for overview in page.items} == {owner}
            assert len(page.items) == 10


async def test_one_bad_text_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    outcomes: dict[str, Receipt | KomorebiError] = {}

    async with open_rooms(tmp_path) as rooms:

        async def take(create: CaptureCreate) -> None:
            try:
                outcomes[create.content] = await rooms.capture.capture(OWNER, create)
            except KomorebiError as error:
                outcomes[create.content] = error

        # Unchecked on purpose: the kind stands for whatever the database may refuse in a single row.
        bad = CaptureCreate(content="bad").model_copy(update={"tags": (object(),)})
        with anyio.fail_after(5):
            async with anyio.create_task_group() as callers:
                for create in (CaptureCreate(content="one"), bad, CaptureCreate(content="two")):
                    callers.start_soon(take, create)
        assert isinstance(outcomes["bad"], StorageError)
        assert "bad" not in str(outcomes["bad"])
        assert sorted(await contents(rooms)) == ["one", "two"]


async def test_a_known_key_is_answered_with_the_earlier_receipt(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        first = await rooms.capture.capture(OWNER, CaptureCreate(content="first", key="k"))
        second = await rooms.capture.capture(OWNER, CaptureCreate(content="second", key="k"))
        assert second == first.model_copy(update={"created": False})
        assert await contents(rooms) == ["first"]


async def test_a_secret_never_reaches_the_disk_and_is_counted(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    async with open_rooms(tmp_path) as rooms:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content=f"export GITHUB_TOKEN={token}"))
        assert receipt.redactions == 1
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"export GITHUB_TOKEN=" in files
    assert token.encode() not in files


@pytest.mark.parametrize("policy", ["flag", "off"])
async def test_a_secret_is_kept_where_the_policy_says_so(tmp_path: Path, policy: str) -> None:
    token = "ghp_" + "a1B2" * 9
    async with open_rooms(tmp_path) as rooms, anyio.create_task_group() as background:
        service = CaptureService(rooms.store, secrets=policy)  # type: ignore[arg-type]  # A parametrized literal.
        background.start_soon(service.run)
        receipt = await service.capture(OWNER, CaptureCreate(content=token))
        assert receipt.redactions == (1 if policy == "flag" else 0)
        assert await contents(rooms) == [token]
        background.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("", InvalidInput, "empty"),
        ("ab\ud800", InvalidInput, "character 2"),
        ("é" * (CONTENT_BYTES_MAX // 2) + "x", TooLarge, "komorebi-mcp capture -"),
    ],
    ids=["empty", "lone surrogate", "one byte too large"],
)
async def test_what_cannot_be_kept_is_refused_with_the_reason(
    tmp_path: Path, content: str, error: type[InvalidInput], says: str
) -> None:
    async with open_rooms(tmp_path) as rooms:
        with pytest.raises(error, match=says):
            await rooms.capture.capture(OWNER, CaptureCreate(content=content))
        assert await contents(rooms) == []


async def test_the_largest_content_is_kept(tmp_path: Path) -> None:
    content = "é" * (CONTENT_BYTES_MAX // 2)
    async with open_rooms(tmp_path) as rooms:
        await rooms.capture.capture(OWNER, CaptureCreate(content=content))
        assert await contents(rooms) == [content]


async def test_a_stopped_service_refuses_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        service = CaptureService(rooms.store, secrets="redact")
        async with anyio.create_task_group() as background:
            background.start_soon(service.run)
            await service.capture(OWNER, CaptureCreate(content="in time"))
            background.cancel_scope.cancel()
        with anyio.fail_after(5), pytest.raises(StorageUnavailable, match="stopping"):
            await service.capture(OWNER, CaptureCreate(content="too late"))


async def test_a_cancelled_caller_takes_a_text_back_that_is_not_yet_being_written(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        service = CaptureService(rooms.store, secrets="redact")
        with anyio.move_on_after(0.01) as scope:
            await service.capture(OWNER, CaptureCreate(content="given up"))
        assert scope.cancelled_caught
        async with anyio.create_task_group() as background:
            background.start_soon(service.run)
            await service.capture(OWNER, CaptureCreate(content="kept"))
            background.cancel_scope.cancel()
        assert await contents(rooms) == ["kept"]
