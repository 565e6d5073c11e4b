"""A call that is cancelled leaves everything or nothing, and the server goes on."""

import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.surface.server import open_server
from support.connections import MODES, call, open_application, open_client
from support.model_server import Answer, Asked, honest, hung_up, serve_model
from support.serving import serving

pytestmark = pytest.mark.parametrize("mode", MODES)


async def until_under_way(client: Client) -> None:
    """Returns once the server has begun with whatever was sent before."""
    with anyio.fail_after(5):
        await client.call_tool("list_projects", {"limit": 1})


async def test_a_cancelled_summary_is_not_kept(tmp_path: Path, mode: str) -> None:
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode=mode, cache=None) as client,
    ):
        texts = [
            f"In round {n} the pump at station {n % 97} lost pressure; we replaced it." for n in range(200)
        ]
        async with app.store.write("local") as transaction:
            await transaction.captures.add_all([CaptureCreate(content=text, project="P") for text in texts])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "summarize", {"project": "P", "focus": "pressure"})
            await until_under_way(client)
            tasks.cancel_scope.cancel()
        kept = await call(client, "summarize", project="P", focus="pressure")
        async with app.store.read("local") as transaction:
            made = await transaction.completions.summary_ids("", limit=10)
            told = [await transaction.summaries.get(each) for each in made]
        assert [each.id for each in told if each and each.scope.focus] == [kept["id"]]


@pytest.mark.parametrize("transport", ["memory", pytest.param("http", marks=pytest.mark.slow)])
async def test_a_cancelled_summary_lets_go_of_its_model(tmp_path: Path, mode: str, transport: str) -> None:
    def slow(asked: Asked) -> Answer:
        begun.set()
        model.hanging.wait(20)
        return honest(asked)

    begun = threading.Event()
    async with AsyncExitStack() as stack:
        model = stack.enter_context(serve_model(slow))
        settings: dict[str, Any] = {
            "summarizer": "openai",
            "openai_base_url": model.url,
            "model": "slow",
        }
        if transport == "http":
            url, _ = await stack.enter_async_context(serving(tmp_path, **settings))
            client = await stack.enter_async_context(Client(url, mode=mode, cache=None))
        else:
            client = await stack.enter_async_context(open_client(tmp_path, mode=mode, **settings))
        await call(client, "capture", content="The pump at station 4 lost pressure.")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "summarize", {"query": "pressure"})
            assert await anyio.to_thread.run_sync(begun.wait, 5)
            tasks.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(hung_up, model.connections[0])
        model.hanging.set()
        assert (await call(client, "summarize", query="pressure"))["sentences"]


async def test_a_cancelled_capture_is_kept_whole_or_not_at_all(tmp_path: Path, mode: str) -> None:
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode=mode, cache=None) as client,
    ):
        content = "All of it. " * 5_000
        async with anyio.create_task_group() as tasks:
            for n in range(6):
                tasks.start_soon(
                    client.call_tool, "capture", {"content": f"{n} {content}", "key": f"{n}", "tags": ["t"]}
                )
            await until_under_way(client)
            tasks.cancel_scope.cancel()
        before = {row["id"] for row in (await call(client, "list_captures", tags=["t"]))["captures"]}
        # A client that does not know asks again with the same key, and has each text once.
        again = [
            await call(client, "capture", content=f"{n} {content}", key=f"{n}", tags=["t"]) for n in range(6)
        ]
        assert before <= {receipt["id"] for receipt in again if not receipt["created"]}
        listed = (await call(client, "list_captures", tags=["t"]))["captures"]
        assert {row["id"] for row in listed} == {receipt["id"] for receipt in again}
        async with app.store.read("local") as transaction:
            kept = await transaction.captures.get([receipt["id"] for receipt in again])
        assert [capture.content for capture in kept] == [f"{n} {content}" for n in range(6)]


async def test_searches_that_are_cancelled_cost_nobody_else_their_answer(tmp_path: Path, mode: str) -> None:
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode=mode, cache=None) as client,
    ):
        texts = [f"In round {n} the pump at station {n % 97} lost pressure." for n in range(400)]
        async with app.store.write("local") as transaction:
            await transaction.captures.add_all([CaptureCreate(content=text, project="P") for text in texts])
        # More than there are connections to read with.
        async with anyio.create_task_group() as tasks:
            for n in range(12):
                query = {"query": f"pump pressure station {n}", "project": "P"}
                tasks.start_soon(client.call_tool, "search_captures", query)
            await until_under_way(client)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            assert (await call(client, "search_captures", query="pump at station 96"))["hits"]
