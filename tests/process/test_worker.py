"""`komorebi-mcp worker` beside a server that leaves enrichment to it."""

import signal
from pathlib import Path

import anyio
import pytest

from komorebi_mcp.app import open_app
from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Status
from komorebi_mcp.settings import Settings
from support.databases import postgres_server
from support.processes import START_S, worker

pytestmark = pytest.mark.process

INBOX = CaptureFilter(statuses=(Status.INBOX,))


@pytest.mark.parametrize(
    "dialect", ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.slow])]
)
async def test_a_worker_enriches_what_a_server_took_in(tmp_path: Path, dialect: str) -> None:
    if dialect == "postgresql":
        with postgres_server() as server:
            await _work(tmp_path, server.migrated_database())
    else:
        await _work(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/k.db")


async def _work(home: Path, url: str) -> None:
    # As a server with KOMOREBI_WORKER=external opens it.
    async with open_app(Settings(home=home, database_url=url, worker="external"), works=False) as app:
        await app.capture.capture("local", CaptureCreate(content="The kiln broke.", project="p"))
        assert len((await app.find.page("local", INBOX)).items) == 1
        async with worker(home, database_url=url) as process:
            with anyio.fail_after(START_S):
                while (await app.find.page("local", INBOX)).items:
                    await anyio.lowlevel.checkpoint()
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(5):
                assert await process.wait() == 0
