"""Arguments of prompts and placeholders of templates complete from what the owner has."""

from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from support.connections import MODES, call, open_client

pytestmark = pytest.mark.parametrize("mode", MODES)

RESUME = PromptReference(name="resume")


def template(uri: str) -> ResourceTemplateReference:
    return ResourceTemplateReference(uri=f"komorebi://{uri}")


async def offered(
    client: Client, ref: PromptReference | ResourceTemplateReference, argument: str, typed: str
) -> list[str]:
    return (await client.complete(ref, {"name": argument, "value": typed})).completion.values


async def test_a_project_is_found_by_its_beginning_and_then_by_any_part(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for name in ("Boat", "Ship to shore", "The ship"):
            await call(client, "capture", content=name, project=name)
        assert await offered(client, RESUME, "project", "sHi") == ["Ship to shore", "The ship"]
        assert len(await offered(client, RESUME, "project", "")) == 3
        assert await offered(client, RESUME, "project", "%") == []
        for uri in ("projects/{name}", "projects/{name}/brief"):
            assert await offered(client, template(uri), "name", "bo") == ["Boat"]


async def test_tags_kinds_and_states_complete_wherever_they_are_asked_for(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        await call(client, "capture", content="Tagged.", tags=["urgent", "later"])
        assert await offered(client, RESUME, "tag", "URG") == ["urgent"]
        assert await offered(client, RESUME, "tags", "") == ["later", "urgent"]
        assert await offered(client, RESUME, "kind", "de") == ["decision", "code"]
        assert await offered(client, RESUME, "status", "arch") == ["archived"]
        assert await offered(client, RESUME, "upstream", "") == []
        assert await offered(client, RESUME, "colour", "re") == []


async def test_ids_complete_from_their_beginning(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        first, second = [(await call(client, "capture", content=f"N{n}."))["id"] for n in range(2)]
        assert await offered(client, template("captures/{id}"), "id", "") == [second, first]
        assert await offered(client, template("captures/{id}"), "id", first) == [first]
        assert await offered(client, template("captures/{id}"), "id", "no id") == []
        summary = await call(client, "summarize", ids=[first])
        assert await offered(client, template("summaries/{id}"), "id", summary["id"][:6]) == [summary["id"]]


async def test_more_values_than_fit_are_said_to_be_more(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        for n in range(4):
            await call(client, "capture", content=f"N{n}.", tags=[f"t{n}-{m:02}" for m in range(32)])
        full = (await client.complete(RESUME, {"name": "tags", "value": "t"})).completion
        assert (len(full.values), full.has_more) == (100, True)
        some = (await client.complete(RESUME, {"name": "tags", "value": "t3-1"})).completion
        assert (len(some.values), some.total, some.has_more) == (10, 10, False)


@pytest.mark.parametrize(
    ("ref", "telling"),
    [
        (PromptReference(name="resum"), "Did you mean resume?"),
        (template("captures/{nr}"), "resources/templates/list names them all."),
    ],
)
async def test_what_is_not_there_cannot_be_completed(
    tmp_path: Path, mode: str, ref: PromptReference | ResourceTemplateReference, telling: str
) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.complete(ref, {"name": "project", "value": ""})
        assert caught.value.error.code == -32602
        assert telling in caught.value.error.message
