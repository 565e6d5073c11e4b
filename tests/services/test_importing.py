"""Files of captures are stored row by row, once each, and wrong rows are told of by line."""

import io
import json
from pathlib import Path
from typing import Any

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Status
from komorebi_mcp.services.importing import LINE_BYTES_MAX, Imported, Importer
from support.rooms import Rooms, open_rooms

OWNER = "local"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


async def load(rooms: Rooms, *rows: Any, owner: str = OWNER) -> Imported:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    imported = Imported(refuse=lambda _: None, stored=lambda _: None)
    importer = Importer(rooms.store, secrets="redact")
    await importer.import_rows(owner, io.BytesIO(b"\n".join(lines)), imported)
    return imported


async def test_a_row_is_stored_with_everything_it_says(tmp_path: Path) -> None:
    row = {
        "content": "Old news.", "title": "News", "project": "p", "tags": ["b", "a"], "kind": "log",
        "source": "s", "created_at": "2020-02-29T23:59:59+01:00", "status": "archived", "id": ID, "key": "k",
    }  # fmt: skip
    async with open_rooms(tmp_path) as rooms:
        assert (await load(rooms, row)).created == 1
        await rooms.settle()
        [capture] = (await rooms.find.read(OWNER, [ID])).captures
        told = capture.model_dump(mode="json", include=set(row) - {"key"})
        assert told == {**{k: v for k, v in row.items() if k != "key"}, "created_at": "2020-02-29T22:59:59Z"}
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content="x", key="k", project="p"))
        assert (receipt.id, receipt.created) == (ID, False)


async def test_rows_that_are_there_are_not_stored_again(tmp_path: Path) -> None:
    rows = [
        {"content": "a", "key": "k"},
        {"content": "b", "id": ID},
        {"content": "same"},
        {"content": "same"},
    ]
    async with open_rooms(tmp_path) as rooms:
        first, second = await load(rooms, *rows[:3]), await load(rooms, *rows)
        assert (first.created, first.known) == (3, 0)
        assert (second.created, second.known) == (1, 3)


async def test_each_wrong_row_is_refused_with_its_line_and_the_others_are_stored(tmp_path: Path) -> None:
    wrong = {
        2: (b"{", "not JSON"),
        4: (b"[]", "not a JSON object"),
        5: (b'{"content": "\xff"}', "not UTF-8"),
        6: ({"content": ""}, "empty"),
        7: ({"title": "t"}, "content: Field required"),
        8: ({"content": "x", "colour": "red"}, "unknown field 'colour'"),
        17: ({"contents": "a misspelt name explains what is missing"}, "unknown field 'contents'"),
        9: (b'{"content": "\\ud800"}', "lone surrogate"),
        16: (b'{"content": "x", "title": "\\udfff"}', "lone surrogate"),
        10: ({"content": "x", "id": "7"}, "id: is no UUID"),
        11: ({"content": "x" * 1_048_577}, "at most 1,048,576"),
        12: (b'{"content": "' + b"x" * LINE_BYTES_MAX + b'"}', "The line has more than"),
        13: ({"content": "x", "created_at": "soon"}, "created_at: "),
        18: (
            {"content": "x", "created_at": "0001-01-01T00:00:00Z"},
            "created_at: is too far from the present",
        ),
        19: (
            {"content": "x", "created_at": "9999-12-31T23:59:59Z"},
            "created_at: is too far from the present",
        ),
        14: (b"[" * 100_000, "not JSON"),
    }
    rows = [
        wrong[line][0] if line in wrong else b"" if line == 3 else {"content": f"{line}"}
        for line in range(1, 20)
    ]
    async with open_rooms(tmp_path) as rooms:
        imported = await load(rooms, *rows)
        assert [refusal.line for refusal in imported.refused] == sorted(wrong)
        for refusal in imported.refused:
            assert wrong[refusal.line][1] in refusal.reason
        assert imported.created == 2


async def test_an_id_that_is_someone_elses_costs_its_own_row_only(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await load(rooms, {"content": "theirs", "id": ID}, owner="other")
        rows = [{"content": "a", "key": "a"}, {"content": "mine", "id": ID}, {"content": "b", "key": "b"}]
        imported = await load(rooms, *rows)
        assert (imported.created, [refusal.line for refusal in imported.refused]) == (2, [2])


async def test_secrets_are_taken_out_and_processed_rows_are_enriched_anew(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        secret = "ghp_" + "a1B2" * 9
        imported = await load(rooms, {"content": f"token {secret}", "status": "processed"})
        assert imported.redactions == 1
        assert [c.status for c in (await rooms.find.page(OWNER, CaptureFilter())).items] == [Status.INBOX]
        await rooms.settle()
        [capture] = (await rooms.find.page(OWNER, CaptureFilter())).items
        assert capture.status is Status.PROCESSED
        assert secret not in capture.snippet
