"""Changes change what they say and nothing else."""

from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate, Status
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.errors import InvalidInput, NotFound
from support.rooms import open_rooms

OWNER = "local"


async def test_a_new_content_is_enriched_again_and_found_by_its_new_words(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content="about apples"))
        await rooms.settle()
        result = await rooms.organize.update(OWNER, [receipt.id], CaptureUpdate(content="about pears"))
        assert result.captures[0].status is Status.INBOX
        await rooms.settle()
        assert (await rooms.find.search(OWNER, "pears", CaptureFilter())).hits
        assert not (await rooms.find.search(OWNER, "apples", CaptureFilter())).hits


async def test_a_new_tag_is_searchable_once_enriched(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content="plain words"))
        await rooms.settle()
        await rooms.organize.update(OWNER, [receipt.id], CaptureUpdate(add_tags=("quarterly",)))
        await rooms.settle()
        assert [hit.id for hit in (await rooms.find.search(OWNER, "quarterly", CaptureFilter())).hits] == [
            receipt.id
        ]


async def test_a_secret_in_a_new_content_is_taken_out(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        receipt = await rooms.capture.capture(OWNER, CaptureCreate(content="x"))
        change = CaptureUpdate(content="key ghp_" + "a1B2" * 9)
        await rooms.organize.update(OWNER, [receipt.id], change)
        (capture,) = (await rooms.find.read(OWNER, [receipt.id])).captures
        assert "a1B2" not in capture.content
        assert capture.redactions == 1


async def test_forgetting_takes_the_summaries_along_that_told_of_it(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        receipt = await rooms.capture.capture(
            OWNER, CaptureCreate(content="We decided to move the invoice service to port 8417.", project="p")
        )
        await rooms.settle()
        summary = await rooms.summarize.summarize(OWNER, Scope(project="p"))
        assert summary.sentences[0].sources == (receipt.id,)
        result = await rooms.organize.forget(OWNER, [receipt.id, new_id()])
        assert (result.forgotten, result.summaries_refreshed, len(result.missing)) == (1, 2, 1)
        with pytest.raises(NotFound):
            await rooms.summarize.get(OWNER, summary.id)
        with pytest.raises(NotFound):
            await rooms.find.read(OWNER, [receipt.id])
        assert not (await rooms.find.search(OWNER, "invoice", CaptureFilter())).hits


async def test_an_update_that_changes_nothing_says_what_could_change(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        with pytest.raises(InvalidInput, match="add_tags"):
            await rooms.organize.update(OWNER, [new_id()], CaptureUpdate())
        with pytest.raises(InvalidInput, match="goal"):
            await rooms.organize.update_project(OWNER, "p", ProjectUpdate())
        with pytest.raises(InvalidInput, match="single id"):
            await rooms.organize.update(OWNER, [new_id(), new_id()], CaptureUpdate(content="x"))


async def test_a_renamed_project_keeps_its_captures_and_frees_its_name(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        await rooms.capture.capture(OWNER, CaptureCreate(content="one", project="old"))
        project = await rooms.organize.update_project(
            OWNER, "old", ProjectUpdate(new_name="new", goal="ship")
        )
        assert (project.name, project.goal, project.captures) == ("new", "ship", 1)
        with pytest.raises(NotFound, match="list_projects"):
            await rooms.organize.project(OWNER, "old")


async def test_both_projects_are_told_of_a_capture_that_moves(tmp_path: Path) -> None:
    async with open_rooms(tmp_path) as rooms:
        moving, other = [
            (await rooms.capture.capture(OWNER, CaptureCreate(content=text, project="from"))).id
            for text in ("moves", "stays")
        ]
        heard: list[Change] = []
        rooms.events.subscribe(heard.append)
        await rooms.organize.update(OWNER, [moving], CaptureUpdate(project="to"))
        await rooms.organize.forget(OWNER, [other, moving])
    assert heard == [
        Change(OWNER, (moving,), ("from", "to")),
        Change(OWNER, (other, moving), ("from", "to")),
    ]
