"""The model that a client lends us for one of its own calls, in either era.

A handshake client is asked by a request of ours while its call waits. A modern one gets its call back with
the prompt and repeats it with the answer. A client that did not declare sampling is never asked.
"""

from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolRequestParams,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from komorebi_mcp.errors import ModelFailed
from komorebi_mcp.summarizers.writer import Complete, Prompt

_KEY = "summary"
_ASKED = "asked to write"
"""Request state of a call that was given back with a prompt; sealed to its arguments on the way out."""
_WAIT_S = 50.0
"""Shorter than the minute most clients wait for a tool; a person may have to allow the request first."""


class ModelNeeded(Exception):
    """The call is to be given back with a prompt: `result` is what to return."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the client's model is needed")
        self.result = result


def lent_model(ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> Complete | None:
    """The caller's model, for as long as its call lasts; None where the client lends none.

    In the modern era it raises `ModelNeeded` when it is first asked.
    """
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        return None
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return _by_return(params)
    return _by_request(ctx) if ctx.session.can_send_request else None


def _by_return(params: CallToolRequestParams) -> Complete:
    async def complete(prompt: Prompt) -> str:
        if params.request_state != _ASKED:
            request = CreateMessageRequest(params=_request(prompt))
            raise ModelNeeded(InputRequiredResult(input_requests={_KEY: request}, request_state=_ASKED))
        answer = (params.input_responses or {}).get(_KEY)
        # Asked once, a client that has no answer is not asked again.
        if not isinstance(answer, CreateMessageResult | CreateMessageResultWithTools):
            raise ModelFailed("The client gave no answer.")
        return _text(answer)

    return complete


def _by_request(ctx: ServerRequestContext[Any, Any]) -> Complete:
    async def complete(prompt: Prompt) -> str:
        # Not by create_message, which warns on stderr that the era of such requests is coming to its end.
        request = CreateMessageRequest(params=_request(prompt))
        during = ServerMessageMetadata(related_request_id=ctx.request_id)
        try:
            with anyio.fail_after(_WAIT_S):
                answer = await ctx.session.send_request(request, CreateMessageResult, metadata=during)
        except (MCPError, ValidationError):
            raise ModelFailed(
                "The client refused, or answered with something that is not a message."
            ) from None
        except TimeoutError:
            raise ModelFailed(f"The client's model did not answer within {_WAIT_S:.0f} s.") from None
        return _text(answer)

    return complete


def _request(prompt: Prompt) -> CreateMessageRequestParams:
    said = SamplingMessage(role="user", content=TextContent(type="text", text=prompt.user))
    return CreateMessageRequestParams(
        messages=[said],
        system_prompt=prompt.system,
        max_tokens=prompt.answer_tokens_max,
        temperature=0,
    )


def _text(answer: CreateMessageResult | CreateMessageResultWithTools) -> str:
    blocks = answer.content if isinstance(answer.content, list) else [answer.content]
    text = "".join(block.text for block in blocks if isinstance(block, TextContent))
    if not text or answer.stop_reason == "maxTokens":
        raise ModelFailed("The client's model gave no text, or its answer was cut off.")
    return text
