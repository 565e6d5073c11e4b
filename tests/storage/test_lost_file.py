"""A database file that is taken away from under a running server: what would be lost is not taken in."""

import shutil
from pathlib import Path

import pytest

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.errors import StorageUnavailable
from komorebi_mcp.surface.principal import LOCAL_OWNER
from support.connections import open_application


@pytest.mark.parametrize("fate", ["removed", "replaced"])
async def test_nothing_is_taken_in_for_a_file_that_is_gone(tmp_path: Path, fate: str) -> None:
    file, aside = tmp_path / "test.db", tmp_path / "aside.db"
    async with open_application(tmp_path, worker="external") as app:
        await app.capture.capture(LOCAL_OWNER, CaptureCreate(content="Before."))
        await app.organize.projects(LOCAL_OWNER, limit=1)
        file.rename(aside)
        if fate == "replaced":
            # As when a backup is put back.
            shutil.copy(aside, file)
        with pytest.raises(StorageUnavailable, match="removed or replaced"):
            await app.capture.capture(LOCAL_OWNER, CaptureCreate(content="Lost."))
        with pytest.raises(StorageUnavailable, match="removed or replaced"):
            await app.organize.update_project(LOCAL_OWNER, "p", ProjectUpdate(goal="Lost."))
        with pytest.raises(StorageUnavailable, match="removed or replaced"):
            await app.store.check()
        aside.replace(file)
        assert (await app.capture.capture(LOCAL_OWNER, CaptureCreate(content="After."))).created
