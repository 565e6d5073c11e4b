"""Several server processes on one PostgreSQL: what one does, the clients of another hear of at once."""

import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import psycopg
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from sqlalchemy import make_url

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.storage.store import Store, open_store
from support.connections import MODES, call
from support.databases import postgres_server
from support.heard import Heard
from support.processes import START_S, http_server, worker

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.slow]

HEARD_S = 5
"""Who does not hear finds a change by looking, after a second; who hears looks every 30 s."""


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with postgres_server() as server:
        yield server.migrated_database()


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_of_one_replica_hears_of_what_another_one_did(
    tmp_path: Path, database_url: str, mode: str
) -> None:
    project = f"Harbour {mode}"
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(
                http_server(tmp_path, variables={"KOMOREBI_DATABASE_URL": database_url})
            )
            for _ in range(2)
        ]
        heard = Heard()
        client = await stack.enter_async_context(
            Client(here[1], mode=mode, cache=None, message_handler=heard if mode == "legacy" else None)
        )
        other = await stack.enter_async_context(Client(there[1], cache=None))
        brief = f"komorebi://projects/{project.replace(' ', '%20')}/brief"
        if mode == "legacy":
            await client.subscribe_resource(brief)
            await call(other, "capture", content="The crane is down.", project=project)
            with anyio.fail_after(HEARD_S):
                while brief not in heard.updated or not heard.lists:
                    await heard.arrived.wait()
        else:
            async with client.listen(resource_subscriptions=[brief], resources_list_changed=True) as events:
                await call(other, "capture", content="The crane is down.", project=project)
                wanted = {ResourceUpdated(uri=brief), ResourcesListChanged()}
                with anyio.fail_after(HEARD_S):
                    async for event in events:
                        wanted.discard(event)
                        if not wanted:
                            break


async def test_a_receipt_is_followed_to_its_enrichment_by_another_process(
    tmp_path: Path, database_url: str
) -> None:
    leaves_it = {"KOMOREBI_DATABASE_URL": database_url, "KOMOREBI_WORKER": "external"}
    async with http_server(tmp_path, variables=leaves_it) as (_, url), Client(url, cache=None) as client:
        receipt = await call(client, "capture", content="Follow me to another machine.")
        async with (
            client.listen(resource_subscriptions=[receipt["uri"]]) as events,
            worker(tmp_path, database_url=database_url),
        ):
            with anyio.fail_after(20):
                async for _ in events:
                    read = await call(client, "read_captures", ids=receipt["id"])
                    if read["captures"][0]["status"] == "processed":
                        break
            # It was idle and so looks every 30 s: what comes now it has to be told of.
            later = await call(client, "capture", content="And me.")
            with anyio.fail_after(HEARD_S):
                while True:
                    read = await call(client, "read_captures", ids=later["id"])
                    if read["captures"][0]["status"] == "processed":
                        break


async def test_what_a_killed_worker_had_claimed_is_enriched_within_seconds(
    tmp_path: Path, database_url: str
) -> None:
    async with open_store(database_url) as store, worker(tmp_path, database_url=database_url) as first:
        await store.take_in("killed", [CaptureCreate(content=f"Pump {n} lost pressure.") for n in range(200)])
        with anyio.fail_after(START_S):
            while True:
                first.send_signal(signal.SIGSTOP)
                if claimed := under_lease(database_url):
                    break
                first.send_signal(signal.SIGCONT)
                await anyio.lowlevel.checkpoint()
        async with worker(tmp_path, database_url=database_url):
            with anyio.fail_after(START_S):
                # It may go on at any time, so that the other one leaves what it has claimed alone.
                while await waiting(store) > claimed:
                    await anyio.lowlevel.checkpoint()
            assert under_lease(database_url) == claimed
            first.kill()
            with anyio.fail_after(HEARD_S):
                while await waiting(store):
                    await anyio.lowlevel.checkpoint()


def under_lease(database_url: str) -> int:
    """How many captures somebody is working on."""
    address = make_url(database_url).set(drivername="postgresql").render_as_string()
    with psycopg.connect(address) as connection:
        [count] = connection.execute("SELECT count(*) FROM captures WHERE lease IS NOT NULL").fetchone() or [
            0
        ]
    return int(count)


async def waiting(store: Store) -> int:
    async with store.look() as queue:
        return (await queue.backlog()).waiting
