"""Clients of both eras are told which resources have changed, and which lists."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError

from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.storage.locks import try_lock
from komorebi_mcp.surface import subscriptions
from komorebi_mcp.surface.server import open_server
from support.connections import MODES, call, open_application
from support.heard import Heard
from support.rooms import open_rooms

CHANGES = [
    ("capture", {"content": "New.", "project": "P"}, "komorebi://inbox"),
    ("capture", {"content": "New.", "project": "P"}, "komorebi://projects/P/brief"),
    ("update_captures", {"add_tags": ["t"]}, "{uri}"),
    ("forget_captures", {"confirm": True}, "{uri}"),
    ("update_project", {"name": "P", "goal": "g"}, "komorebi://projects/P"),
]


@pytest.mark.parametrize(("tool", "arguments", "subscribed"), CHANGES)
async def test_a_modern_client_that_listens_is_told_of_a_change(
    tmp_path: Path, tool: str, arguments: dict[str, Any], subscribed: str
) -> None:
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, cache=None) as client,
    ):
        first = await call(client, "capture", content="First.", project="P")
        uri = subscribed.format(uri=first["uri"])
        if tool in {"update_captures", "forget_captures"}:
            arguments = {**arguments, "ids": first["id"]}
        with anyio.fail_after(5):
            async with client.listen(resource_subscriptions=[uri]) as events:
                await call(client, tool, **arguments)
                assert await anext(aiter(events)) == ResourceUpdated(uri=uri)


@pytest.mark.parametrize(("tool", "arguments", "subscribed"), CHANGES)
async def test_a_handshake_client_that_subscribed_is_told_of_a_change(
    tmp_path: Path, tool: str, arguments: dict[str, Any], subscribed: str
) -> None:
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode="legacy", cache=None, message_handler=heard) as client,
    ):
        first = await call(client, "capture", content="First.", project="P")
        uri = subscribed.format(uri=first["uri"])
        if tool in {"update_captures", "forget_captures"}:
            arguments = {**arguments, "ids": first["id"]}
        await client.subscribe_resource(uri)
        await call(client, tool, **arguments)
        with anyio.fail_after(5):
            while uri not in heard.updated:
                await heard.arrived.wait()
        assert set(heard.updated) == {uri}
        await client.unsubscribe_resource(uri)


async def test_a_receipt_is_followed_to_its_enrichment(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode="legacy", cache=None, message_handler=heard) as client,
    ):
        receipt = await call(client, "capture", content="Follow me.")
        await client.subscribe_resource(receipt["uri"])
        with anyio.fail_after(5):
            while True:
                read = await call(client, "read_captures", ids=receipt["id"])
                if read["captures"][0]["status"] == "processed":
                    break
                await heard.arrived.wait()


@pytest.mark.parametrize("followed", ["capture", "inbox", "brief"])
@pytest.mark.parametrize("mode", MODES)
async def test_what_another_process_changed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, followed: str
) -> None:
    monkeypatch.setattr("komorebi_mcp.services.watch._PAUSE_S", 0.01)
    heard = Heard()
    async with AsyncExitStack() as stack:
        # Another process leads: nothing but the file is shared with it.
        elsewhere = await stack.enter_async_context(open_rooms(tmp_path))
        assert elsewhere.store.leader_lock is not None
        held = try_lock(elsewhere.store.leader_lock)
        assert held is not None
        stack.enter_context(held)
        app = await stack.enter_async_context(open_application(tmp_path))
        server = await stack.enter_async_context(open_server(app))
        handler = heard if mode == "legacy" else None
        client = await stack.enter_async_context(
            Client(server, mode=mode, cache=None, message_handler=handler)
        )
        first = CaptureCreate(content="first", project="P")
        receipt = await elsewhere.capture.capture("local", first)
        elsewhere.clock.advance(seconds=1)
        uri = {
            "capture": capture_uri(receipt.id),
            "inbox": "komorebi://inbox",
            "brief": "komorebi://projects/P/brief",
        }[followed]
        with anyio.fail_after(5):
            if mode == "legacy":
                await client.subscribe_resource(uri)
                await elsewhere.settle()
                await elsewhere.capture.capture("local", first)
                while uri not in heard.updated:
                    await heard.arrived.wait()
            else:
                async with client.listen(resource_subscriptions=[uri]) as events:
                    await elsewhere.settle()
                    await elsewhere.capture.capture("local", first)
                    assert await anext(aiter(events)) == ResourceUpdated(uri=uri)


async def test_a_first_capture_of_a_project_changes_the_list_of_resources(tmp_path: Path) -> None:
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode="legacy", cache=None, message_handler=heard) as handshake,
        Client(server, cache=None) as modern,
        modern.listen(resources_list_changed=True) as events,
    ):
        assert handshake.server_capabilities.resources
        assert handshake.server_capabilities.resources.list_changed
        with anyio.fail_after(5):
            await call(modern, "capture", content="one", project="New")
            assert await anext(aiter(events)) == ResourcesListChanged()
            while not heard.lists:
                await heard.arrived.wait()
        told = heard.lists
        await call(modern, "capture", content="two", project="New")
        await call(modern, "list_projects")
        assert heard.lists == told


async def test_a_client_that_left_is_forgotten(tmp_path: Path) -> None:
    async with open_application(tmp_path) as app, open_server(app) as server:
        async with Client(server, mode="legacy", cache=None) as client:
            await client.subscribe_resource("komorebi://inbox")
        async with Client(server, mode="legacy", cache=None) as other:
            with anyio.fail_after(5):
                await call(other, "capture", content="still served")


@pytest.mark.parametrize("mode", MODES)
async def test_a_resource_is_followed_however_its_uri_is_written(tmp_path: Path, mode: str) -> None:
    # As JavaScript's encodeURIComponent writes it, and as nobody encoded it.
    written = ["komorebi://projects/P%20(%C3%BC)", "komorebi://projects/P (ü)/brief"]
    heard = Heard()
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, mode=mode, cache=None, message_handler=heard) as client,
    ):
        first = await call(client, "capture", content="First.", project="P (ü)")
        uris = {*written, first["uri"].upper().replace("KOMOREBI://CAPTURES", "komorebi://captures")}
        with anyio.fail_after(5):
            if mode == "legacy":
                for uri in uris:
                    await client.read_resource(uri)
                    await client.subscribe_resource(uri)
                await call(client, "update_captures", ids=first["id"], add_tags=["t"])
                while not uris <= set(heard.updated):
                    await heard.arrived.wait()
                return
            async with client.listen(resource_subscriptions=sorted(uris)) as events:
                await call(client, "update_captures", ids=first["id"], add_tags=["t"])
                told = aiter(events)
                assert {await anext(told) for _ in uris} == {ResourceUpdated(uri=uri) for uri in uris}


async def test_an_owner_can_follow_only_so_much_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "FOLLOWED_MAX", 2)
    async with (
        open_application(tmp_path) as app,
        open_server(app) as server,
        Client(server, cache=None) as client,
        Client(server, mode="legacy", cache=None) as other,
    ):
        for _ in range(2):
            # What was followed earlier no longer counts.
            async with client.listen(resource_subscriptions=["komorebi://inbox", "komorebi://projects"]):
                await other.subscribe_resource("komorebi://inbox")
                with pytest.raises(MCPError, match="more than the 2 resources"):
                    await other.subscribe_resource("komorebi://upstreams")
        await other.subscribe_resource("komorebi://upstreams")
        with pytest.raises(MCPError, match="more than the 2 resources"):
            async with client.listen(resource_subscriptions=["komorebi://projects"]):
                pass
        await other.unsubscribe_resource("komorebi://inbox")
        with pytest.raises(MCPError, match="more than 8,192 characters"):
            await other.subscribe_resource(f"file:///{'x' * 9_000}")
