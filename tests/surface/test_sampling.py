"""Summaries in the words of the model that the calling client lends, in either era."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp_types import (
    CallToolResult,
    CreateMessageRequestParams,
    CreateMessageResult,
    ErrorData,
    ImageContent,
    TextContent,
)

from support.connections import MODES, call, open_client
from support.model_server import content, honest, serve_model, tells

pytestmark = pytest.mark.parametrize("mode", MODES)

TEXTS = ("The nightly export failed 37 times.", "We will not deploy the billing service on Friday.")


class Model:
    """A client's model: answers as `honest` does, or as it is told to, and remembers what it was asked."""

    def __init__(self, answer: CreateMessageResult | ErrorData | None = None) -> None:
        self.answer = answer
        self.asked: list[CreateMessageRequestParams] = []

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature of a callback.
        params: CreateMessageRequestParams,
    ) -> CreateMessageResult | ErrorData:
        self.asked.append(params)
        if self.answer is not None:
            return self.answer
        said = params.messages[0].content
        assert isinstance(said, TextContent)
        text = content(honest({"messages": [{}, {"content": said.text}]}))
        return message(text)


def message(text: str, *, stop_reason: str = "endTurn") -> CreateMessageResult:
    said = TextContent(type="text", text=text)
    return CreateMessageResult(role="assistant", content=said, model="lent", stop_reason=stop_reason)


async def fill(client: Client) -> list[str]:
    """Ids of captures that the project's pyramid covers: until it does, a summary is out of date soon."""
    ids = [(await call(client, "capture", content=text, project="P"))["id"] for text in TEXTS]
    with anyio.fail_after(10):
        while len((await call(client, "list_captures", status="compacted"))["captures"]) < len(ids):
            await anyio.lowlevel.checkpoint()
    return ids


async def test_a_client_that_lends_its_model_gets_a_summary_in_its_words(tmp_path: Path, mode: str) -> None:
    model = Model()
    async with open_client(tmp_path, mode=mode, sampling=model, summarizer="client") as client:
        ids = await fill(client)
        summary = await call(client, "summarize", project="P")
        assert summary["method"] == "client"
        assert [each["sources"] for each in summary["sentences"]] == [[each] for each in ids]
        assert summary["text"].startswith("It was noted: The nightly export failed 37 times.")
        [asked] = model.asked
        assert asked.system_prompt is not None
        assert asked.max_tokens > 500
        assert (await call(client, "summarize", project="P"))["id"] == summary["id"]
        assert len(model.asked) == 1


async def test_a_client_that_lends_no_model_is_not_asked(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode, summarizer="client") as client:
        await fill(client)
        summary = await call(client, "summarize", project="P")
        assert summary["method"] == "extractive"
        assert [each["text"] for each in summary["sentences"]] == list(TEXTS)


async def test_a_model_that_nobody_chose_is_not_asked(tmp_path: Path, mode: str) -> None:
    model = Model()
    async with open_client(tmp_path, mode=mode, sampling=model) as client:
        await fill(client)
        assert (await call(client, "summarize", project="P"))["method"] == "extractive"
        assert model.asked == []


async def test_what_the_clients_model_makes_up_is_told_verbatim(tmp_path: Path, mode: str) -> None:
    made_up = message(content(tells(("The export failed 38 times.", ["bcdf"]))))
    async with open_client(tmp_path, mode=mode, sampling=Model(made_up), summarizer="client") as client:
        await fill(client)
        summary = await call(client, "summarize", project="P")
        assert (summary["method"], summary["rejected"]) == ("extractive", 1)


@pytest.mark.parametrize(
    "answer",
    [
        message("No."),
        message('{"sentences": [', stop_reason="maxTokens"),
        CreateMessageResult(
            role="assistant", content=ImageContent(type="image", data="", mime_type="image/png"), model="m"
        ),
    ],
    ids=["refusal", "cut off", "picture"],
)
async def test_a_clients_model_that_gives_no_summary_is_done_without(
    tmp_path: Path, mode: str, answer: CreateMessageResult
) -> None:
    model = Model(answer)
    async with open_client(tmp_path, mode=mode, sampling=model, summarizer="client") as client:
        await fill(client)
        assert (await call(client, "summarize", project="P"))["method"] == "extractive"
        assert len(model.asked) == 1


async def test_auto_takes_the_endpoint_where_the_client_lends_no_model(tmp_path: Path, mode: str) -> None:
    with serve_model(honest) as server:
        settings: dict[str, Any] = {"summarizer": "auto", "openai_base_url": server.url, "model": "small"}
        async with open_client(tmp_path, mode=mode, **settings) as client:
            await fill(client)
            assert (await call(client, "summarize", project="P"))["method"] == "openai:small"
        async with open_client(tmp_path, mode=mode, sampling=Model(), **settings) as client:
            assert (await call(client, "summarize", project="P"))["method"] == "client"


async def test_progress_is_told_to_whoever_asks_for_it(tmp_path: Path, mode: str) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with open_client(tmp_path, mode=mode) as client:
        await fill(client)
        arguments = {"project": "P", "refresh": True}
        result = await client.call_tool("summarize", arguments, progress_callback=heard)
        assert isinstance(result, CallToolResult)
    assert told == [
        (1, 3, "Reading captures"),
        (2, 3, "Choosing from 2 captures"),
        (3, 3, "Keeping the summary"),
    ]
