"""Errors of the protocol, word for word: a code that fits, a sentence or two, nothing of what was sent."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from mcp import Client, MCPError

from support.connections import ERAS, ask, open_client

SECRET = "tr0mbone-echo-9"  # noqa: S105 - stands for whatever a client sends, to see that it is not sent back.

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "capturee", "arguments": {}}),
    ("tools/call", {"arguments": {"content": SECRET}}),
    ("tools/call", {"name": 7, "arguments": SECRET}),
    ("tools/list", {"cursor": SECRET}),
    ("resources/list", {"cursor": SECRET}),
    ("resources/templates/list", {"cursor": SECRET}),
    ("resources/read", {"url": SECRET}),
    ("resources/read", {"uri": f"komorebi://{SECRET}"}),
    ("resources/read", {"uri": f"komorebi://captures/{SECRET}"}),
    ("resources/read", {"uri": "komorebi://summaries/x"}),
    ("prompts/list", {"cursor": SECRET}),
    ("prompts/get", {"name": "resum"}),
    ("prompts/get", {"name": "resume", "arguments": {"colour": SECRET}}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "resum"}, "argument": {"name": "project", "value": ""}},
    ),
    ("completion/complete", {"ref": {"type": SECRET}}),
    ("completion/complete", {"ref": {"type": "ref/prompt"}, "argument": {"name": "project", "value": ""}}),
    ("tools/call", {"name": "timeline", "_meta": {"progressToken": 1.5}}),
    ("no/such/method", {"content": SECRET}),
]


async def told(client: Client, method: str, params: dict[str, Any]) -> str:
    with pytest.raises(MCPError) as caught:
        await ask(client, method, **params)
    error = caught.value.error
    assert SECRET not in error.message
    # The protocol has the URI that was asked for beside the error, and nothing else of ours is there.
    assert error.data in (None, method, {"uri": params.get("uri")})
    assert error.message.endswith(".") or error.message == "Method not found"
    return f"{error.code} {error.message}"


@pytest.mark.parametrize("mode", [ERAS[0], pytest.param(ERAS[1], marks=pytest.mark.slow)])
async def test_every_kind_of_error_has_its_code_and_its_sentence(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        errors = [await told(client, method, params) for method, params in REQUESTS]
    # Only the code for a resource that is not there differs between the eras.
    assert any(error.startswith("-32002") for error in errors) is (mode == ERAS[0])
    assert [error.replace("-32002", "-32602") for error in errors] == snapshot(
        [
            "-32602 No tool is named 'capturee'. Did you mean capture? tools/list names them all.",
            "-32602 tools/call needs 'name' in its params.",
            "-32602 'arguments' in the params of tools/call is not what the protocol asks for.",
            "-32602 The cursor is not one that this list gave. Ask for the list again without a cursor.",
            "-32602 The cursor does not belong to this list. Repeat the call without cursor to start over.",
            "-32602 The cursor is not one that this list gave. Ask for the list again without a cursor.",
            "-32602 resources/read needs 'uri' in its params.",
            "-32602 There is no such resource. resources/list and resources/templates/list name them all.",
            "-32602 That is not a capture's id. Call list_captures or search_captures to get one.",
            "-32602 That is not a summary's id. Call summarize to make a summary.",
            "-32602 The cursor is not one that this list gave. Ask for the list again without a cursor.",
            "-32602 No prompt is named 'resum'. Did you mean resume? prompts/list names them all.",
            "-32602 resume has no argument 'colour'. It takes project and since.",
            "-32602 No prompt is named 'resum'. Did you mean resume? prompts/list names them all.",
            "-32602 completion/complete needs 'argument' in its params.",
            "-32602 'ref' in the params of completion/complete is not what the protocol asks for.",
            "-32602 '_meta.progressToken' in the params of tools/call is not what the protocol asks for.",
            "-32601 Method not found",
        ]
    )
