"""What leaves a store can be taken in by another one, on both databases."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Kind, Passage, Status
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.export import count, json_lines, vault
from komorebi_mcp.services.importing import Imported, Importer
from komorebi_mcp.services.summarize import Summarize
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

FIRST, SECOND = new_id(), new_id()
AWKWARD = 'Zwei\r\nZeilen \x00 \u2028 \x85 😀 "quoted" \\ {}'
ITEMS = [
    CaptureCreate(
        content=AWKWARD,
        title="Title: [x]",
        project="garden",
        tags=("b", "a"),
        kind=Kind.DECISION,
        source="https://example.org/?a=b",
        key="k-1",
        created_at=datetime(2024, 2, 29, 12, 30, 1, 123456, tzinfo=UTC),
    ),
    CaptureCreate(content="put away", status=Status.ARCHIVED),
    CaptureCreate(content="part one,", id=FIRST, passage=Passage(group=FIRST, position=1)),
    CaptureCreate(content=" part two", id=SECOND, passage=Passage(group=FIRST, position=2)),
    CaptureCreate(content="put away"),
]


async def exported(store: Store, owner: str = "a") -> list[dict[str, Any]]:
    parts = [part async for part in json_lines(store, owner)]
    return [json.loads(line) for part in parts for line in part.data.splitlines()]


async def taken_in(url: str, rows: Sequence[dict[str, Any]], clock: StillClock) -> list[dict[str, Any]]:
    file = BytesIO("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    imported = Imported(refuse=lambda _: None, stored=lambda _: None)
    async with open_store(url, clock=clock) as store:
        importer = Importer(store, secrets="redact")
        await importer.import_rows("a", file, imported)
        assert (imported.refused, imported.created) == ([], len(rows))
        return await exported(store)


async def test_what_is_imported_again_is_what_was_exported(
    store_url: str, clock: StillClock, tmp_path: Path
) -> None:
    async with open_store(store_url, clock=clock) as store:
        await store.take_in("a", ITEMS)
        await store.take_in("b", [CaptureCreate(content="not yours")])
        assert await count(store, "a") == len(ITEMS)
        rows = await exported(store)
    assert [row["content"] for row in rows] == [item.content for item in ITEMS]
    assert rows[0]["created_at"] == "2024-02-29T12:30:01.123456Z"
    assert "title" not in rows[1]
    other = f"sqlite+aiosqlite:///{tmp_path}/other.db"
    assert await taken_in(other, rows, clock) == rows


async def test_compacted_captures_of_a_project_wait_for_a_summary_of_the_new_store(
    store_url: str, clock: StillClock
) -> None:
    row = {"content": "covered", "project": "garden", "status": "compacted"}
    (back,) = await taken_in(store_url, [row], clock)
    assert back["status"] == "inbox"


async def test_a_vault_has_a_file_for_each_capture_and_a_summary_for_each_project(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.take_in(
            "a", [*ITEMS, CaptureCreate(content="We decided to plant a hedge.", project="Garden")]
        )
        files = [file async for file in vault(store, Summarize(store), "a")]
    paths = [file.path for file in files]
    folders = {path.parts[0] for path in paths}
    assert len({str(path).casefold() for path in paths}) == len(paths)
    assert len({folder.casefold() for folder in folders}) == len(folders) == 3
    assert sum(file.captures for file in files) == len(ITEMS) + 1
    page = files[0].data.decode()
    head, content = page.removeprefix("---\n").split("\n---\n", 1)
    assert content == AWKWARD
    properties = {
        name: json.loads(value) for name, _, value in (line.partition(": ") for line in head.split("\n"))
    }
    assert properties["tags"] == ["b", "a"]
    assert properties["title"] == "Title: [x]"
    summary = next(
        f for f in files if f.path.name == "_summary.md" and f.path.parts[0] != "garden"
    ).data.decode()
    link = summary.split("We decided to plant a hedge. [1](")[1].split(")")[0]
    assert any(path.name == link for path in paths)


@pytest.mark.parametrize("project", ["CON", "..", "a/b\\c", "unfiled", "ÄÖÜ 中文", "x" * 100, "😀", "🎉"])
async def test_any_project_has_a_folder_that_every_system_takes(tmp_path: Path, project: str) -> None:
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/k.db") as store:
        await store.take_in(
            "a", [CaptureCreate(content="x" * 300, project=project), CaptureCreate(content="y")]
        )
        paths = [file.path async for file in vault(store, Summarize(store), "a")]
    folders = {path.parts[0] for path in paths}
    assert len(folders) == 2
    for folder in folders:
        assert folder.upper() not in {"CON", "NUL", "", ".", ".."}
        assert not set(folder) & set('/\\:*?"<>|. ')
        assert len(folder.encode()) <= 200
    assert all(len(path.name.encode()) <= 255 for path in paths)


async def test_a_large_store_leaves_in_parts_of_bounded_size(store_url: str) -> None:
    async with open_store(store_url) as store:
        big = [CaptureCreate(content=f"{n}" + "x" * 900_000) for n in range(12)]
        await store.take_in("a", [*big, *(CaptureCreate(content=str(n)) for n in range(600))])
        sizes = [(part.captures, len(part.data)) async for part in json_lines(store, "a")]
    assert sum(captures for captures, _ in sizes) == 612
    assert max(size for _, size in sizes) < 5_000_000
    assert max(captures for captures, _ in sizes) <= 500


@pytest.mark.postgres
async def test_postgresql_is_backed_up_with_its_own_tool(postgres_of_session: Any, tmp_path: Path) -> None:
    async with open_store(postgres_of_session.migrated_database()) as store:
        with pytest.raises(InvalidInput, match="pg_dump"):
            await store.back_up(tmp_path / "b.db", copied=lambda _done, _all: None)


async def test_captures_that_arrive_meanwhile_are_not_in_the_export(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.take_in("a", [CaptureCreate(content=str(n)) for n in range(600)])
        captures = 0
        async for part in json_lines(store, "a"):
            if store.dialect == "sqlite":
                await store.take_in("a", [CaptureCreate(content=f"late {captures}")])
            captures += part.captures
        assert captures == 600
        async with store.read("a") as transaction:
            assert await transaction.captures.count(CaptureFilter()) >= 600
