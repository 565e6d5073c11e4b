"""Two people on one server: neither learns anything of what the other has, whatever they ask.

A question about something foreign is put beside the same question about something that nobody has, and both
must be answered alike. Every tool and resource has to be among the questions.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from mcp import Client
from mcp_types import CallToolResult, ResourceTemplateReference

from komorebi_mcp.app import App
from komorebi_mcp.domain.access import ALL_SCOPES
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.services.access import Access
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.connections import call
from support.processes import modern
from support.serving import MODERN, bearer, client_of, serving

WORD: Final = "zanzibarite"
"""A word that only Alice has."""
HERS: Final = f"{WORD}-works"
NOBODYS: Final = "nowhere-works"


@dataclass
class Two:
    app: App
    url: str
    tokens: dict[str, str]
    alice: Client
    bob: Client
    captures: list[str]
    """Ids of Alice's captures."""
    summary: str
    cursors: dict[str, str]


@asynccontextmanager
async def two(folder: Path, mode: str = "auto") -> AsyncIterator[Two]:
    async with serving(folder, auth="required") as (url, app):
        access = Access(app.store, clock=utc_now)
        tokens = {name: (await access.new(name, ALL_SCOPES))[0] for name in ("alice", "bob")}
        async with (
            client_of(url, tokens["alice"], mode=mode) as alice,
            client_of(url, tokens["bob"], mode=mode) as bob,
        ):
            captures = []
            for number in range(3):
                stored = await call(
                    alice, "capture", content=f"The {WORD} kiln broke {number} times.", project=HERS,
                    tags=[f"{WORD}-tag"], key=f"{WORD}-{number}", source=f"{WORD}-log", title=WORD,
                )  # fmt: skip
                captures.append(stored["id"])
            await call(alice, "capture", content="Other.", project=f"{HERS}-2")
            await call(alice, "update_project", name=HERS, goal=f"Mend the {WORD} kiln.")
            for project in ("bobs", "bobs-2"):
                await call(bob, "capture", content="Bob's kiln is fine.", project=project, tags=["b"])
            summary = (await call(alice, "summarize", project=HERS))["id"]
            cursors = {
                tool: (await call(alice, tool, limit=1, **more))["next_cursor"]
                for tool, more in (
                    ("list_captures", {}), ("search_captures", {"query": "kiln"}), ("list_projects", {}),
                )
            }  # fmt: skip
            yield Two(app, url, tokens, alice, bob, captures, summary, cursors)


def probes(there: Two) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """For each tool, calls about what is Alice's and the same calls about what is nobody's."""
    hers, nobodys = there.captures[0], new_id()
    wrong = {name: f"{cursor[:-4]}AAAA" for name, cursor in there.cursors.items()}

    def either(argument: str, *values: Any, **rest: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        foreign, unknown = values
        return {argument: foreign, **rest}, {argument: unknown, **rest}

    return {
        "capture": [
            ({"key": f"{WORD}-0", "content": "Mine 1."}, {"key": "some-other-key", "content": "Mine 2."}),
            either("content", f"The {WORD} kiln broke 0 times.", "The nowhere kiln broke 0 times."),
            either("project", HERS, NOBODYS, content="Filed."),
        ],
        "list_captures": [
            either("project", f"{HERS}-2", NOBODYS),
            either("tags", [f"{WORD}-tag"], ["nowhere-tag"]),
            either("source", f"{WORD}-log", "nowhere-log"),
            either("cursor", there.cursors["list_captures"], wrong["list_captures"], limit=1),
        ],
        "search_captures": [
            either("query", f"{WORD} broke", "nowheresite broke"),
            either("project", f"{HERS}-2", NOBODYS, query="kiln"),
            either(
                "cursor", there.cursors["search_captures"], wrong["search_captures"], query="kiln", limit=1
            ),
        ],
        "read_captures": [either("ids", [hers], [nobodys]), either("ids", [hers], [nobodys], related=True)],
        "update_captures": [
            either("ids", [hers], [nobodys], title="Mine now"),
            either("ids", [hers], [nobodys], status="archived"),
        ],
        "forget_captures": [either("ids", [hers], [nobodys], confirm=True), either("ids", [hers], [nobodys])],
        "summarize": [
            either("ids", [hers], [nobodys]),
            either("project", f"{HERS}-2", NOBODYS),
            either("query", WORD, "nowheresite"),
        ],
        "resume": [either("project", f"{HERS}-2", NOBODYS)],
        "list_projects": [either("cursor", there.cursors["list_projects"], wrong["list_projects"], limit=1)],
        "update_project": [
            either("name", f"{HERS}-2", NOBODYS, goal="Mine"),
            ({"name": "bobs", "new_name": f"{HERS}-2"}, {"name": "bobs-2", "new_name": f"{NOBODYS}-2"}),
        ],
        "timeline": [either("project", f"{HERS}-2", NOBODYS)],
        "list_upstreams": [({}, {})],
        "find_tools": [either("query", WORD, "nowheresite")],
        "call_tool": [either("tool", f"{WORD}__x", "nowhere__x", arguments={})],
    }


_VARYING: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?"
)


def same(text: str) -> str:
    """An answer without what differs between any two: ids, moments, and the words of the question."""
    text = _VARYING.sub("*", text)
    for mine, nobodys in ((WORD, "nowheresite"), (WORD, "nowhere")):
        text = text.replace(nobodys, mine)
    return text


async def answer(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    return result.model_dump_json()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("tool", OWN_TOOLS)
async def test_no_tool_tells_what_is_foreign_from_what_is_not_there(
    tmp_path: Path, tool: str, mode: str
) -> None:
    async with two(tmp_path, mode) as there:
        for foreign, unknown in probes(there)[tool]:
            before = await everything(there.alice)
            told = await answer(there.bob, tool, foreign)
            assert same(told) == same(await answer(there.bob, tool, unknown)), foreign
            if WORD not in json.dumps(foreign):
                assert WORD not in told
            assert await everything(there.alice) == before


async def everything(client: Client) -> str:
    """All that a client has, as it sees it; what enrichment does meanwhile left aside."""
    rows = (await call(client, "list_captures", limit=100))["captures"]
    kept = [{name: row[name] for name in ("id", "title", "project", "tags")} for row in rows]
    projects = (await call(client, "list_projects", limit=100))["projects"]
    named = sorted((project["name"], project["goal"], project["captures"]) for project in projects)
    return json.dumps([kept, named])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_no_list_and_no_count_holds_anything_foreign(tmp_path: Path, mode: str) -> None:
    async with two(tmp_path, mode) as there:
        bob = there.bob
        listings: list[Any] = [
            await bob.list_tools(), await bob.list_resources(), await bob.list_resource_templates(),
            await bob.list_prompts(),
        ]  # fmt: skip
        listings += [
            await bob.call_tool(tool, {}) for tool in ("list_captures", "list_projects", "timeline", "resume")
        ]
        listings += [await bob.call_tool("search_captures", {"query": "kiln broke times"})]
        listings += [await bob.call_tool("summarize", {"query": "kiln"})]
        for uri in ("komorebi://inbox", "komorebi://projects"):
            listings.append(await bob.read_resource(uri))
        for listing in listings:
            assert WORD not in listing.model_dump_json()
        assert (await call(bob, "timeline"))["total"] == 2


async def test_no_resource_tells_what_is_foreign_from_what_is_not_there(tmp_path: Path) -> None:
    async with two(tmp_path) as there:
        templates = [
            one.uri_template for one in (await there.bob.list_resource_templates()).resource_templates
        ]
        foreign = {"{id}": there.captures[0], "{name}": HERS}
        for template in templates:
            if template.startswith("komorebi://summaries/"):
                foreign["{id}"] = there.summary
            hers, nobodys = template, template
            for name, value in foreign.items():
                hers = hers.replace(name, value)
                nobodys = nobodys.replace(name, new_id() if name == "{id}" else NOBODYS)
            assert hers != nobodys, f"{template} needs a foreign value here"
            refusals = []
            async with httpx.AsyncClient() as http:
                for uri in (hers, nobodys):
                    headers = {
                        **MODERN,
                        **bearer(there.tokens["bob"]),
                        "mcp-method": "resources/read",
                        "mcp-name": uri,
                    }
                    asked = await http.post(
                        there.url, headers=headers, json=modern("resources/read", uri=uri)
                    )
                    refusals.append((asked.status_code, same(asked.text)))
            assert refusals[0] == refusals[1]
            assert '"error"' in refusals[0][1]


async def test_nothing_foreign_is_offered_for_completion(tmp_path: Path) -> None:
    async with two(tmp_path) as there:
        for uri, name, typed in (
            ("komorebi://projects/{name}", "name", WORD[:4]),
            ("komorebi://captures/{id}", "id", there.captures[0][:30]),
            ("komorebi://summaries/{id}", "id", there.summary[:30]),
        ):
            reference = ResourceTemplateReference(uri=uri)
            argument = {"name": name, "value": typed}
            assert (await there.alice.complete(reference, argument)).completion.values
            assert (await there.bob.complete(reference, argument)).completion.values == []


async def test_scores_and_cursors_do_not_count_what_others_store(tmp_path: Path) -> None:
    async with two(tmp_path) as there:
        for number in range(3):
            await call(there.bob, "capture", content=f"Glaze {number} and cobalt.")

        async def seen() -> tuple[Any, Any, Any]:
            found = await call(there.bob, "search_captures", query="cobalt glaze kiln", limit=2)
            misspelt = await call(there.bob, "search_captures", query="cobolt")
            return found["hits"], misspelt["hits"], len(found["next_cursor"])

        await settled(there.bob)
        before = await seen()
        for number in range(30):
            await call(there.alice, "capture", content=f"cobalt cobolt kiln {number}")
        await settled(there.alice)
        assert await seen() == before


async def settled(client: Client) -> None:
    with anyio.fail_after(20):
        while (await call(client, "list_captures", status="inbox"))["captures"]:
            await anyio.lowlevel.checkpoint()


async def test_nobody_hears_of_changes_to_what_is_foreign(tmp_path: Path) -> None:
    async with two(tmp_path) as there, httpx.AsyncClient(timeout=10) as http:
        uris = [f"komorebi://captures/{there.captures[0]}", "komorebi://inbox", "komorebi://projects"]
        listen = modern("subscriptions/listen", notifications={"resourceSubscriptions": uris})
        headers = {**MODERN, **bearer(there.tokens["bob"]), "mcp-method": "subscriptions/listen"}
        async with http.stream("POST", there.url, headers=headers, json=listen) as stream:
            lines = stream.aiter_lines()
            assert "event" in await anext(lines)
            await call(there.alice, "update_captures", ids=[there.captures[0]], title="Hers still")
            await call(there.alice, "capture", content="Hers", project=HERS)
            await call(there.bob, "capture", content="Bob's last", project="bobs")
            heard = []
            with anyio.fail_after(5):
                async for line in lines:
                    heard.append(line)
                    if "komorebi://projects" in line and "updated" in line:
                        break
            assert not any(there.captures[0] in line and "updated" in line for line in heard)
