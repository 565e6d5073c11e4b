"""The tool `resume`."""

from pathlib import Path

import pytest

from support.connections import MODES, call, open_client, refused

pytestmark = pytest.mark.parametrize("mode", MODES)


async def test_a_second_resume_tells_what_came_since_the_first(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        decided = await call(client, "capture", content="We decided to ship on Friday.", project="garden")
        first = await call(client, "resume", project="garden")
        assert first["project"] == "garden"
        by_heading = {section["heading"]: section["items"] for section in first["sections"]}
        assert by_heading["Decisions"] == [
            {"text": "We decided to ship on Friday.", "sources": [decided["id"]]}
        ]
        asked = await call(client, "capture", content="Who owns the roll-back?", project="garden")
        second = await call(client, "resume", project="garden")
        changed = {section["heading"]: section["items"] for section in second["sections"]}[
            "Changed since you left"
        ]
        assert [item["sources"] for item in changed] == [[asked["id"]]]
        assert second["since"] > first["since"]
        assert "Who owns the roll-back?" in second["text"]
        wide = await call(client, "resume", since="last year", max_tokens=60)
        assert wide["project"] is None


async def test_nothing_to_resume_says_what_to_do(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        empty = await call(client, "resume")
        assert "Call capture" in empty["text"]
        assert empty["since"] is None
        assert "Call list_projects" in await refused(client, "resume", project="garden")
        assert "since must be a date or time" in await refused(client, "resume", since="soon")
