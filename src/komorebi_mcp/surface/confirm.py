"""Asking the person at the client before something is lost, in either era.

A handshake client is asked by a request of ours while its call waits. A modern one gets its call back
with the question and repeats it with the answer. A client that did not declare form elicitation is never
asked.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from komorebi_mcp.errors import Unconfirmed

_KEY = "confirm"
_ASKED = "asked"
"""Request state of a call that was given back with the question; sealed to its arguments on the way out."""

_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {_KEY: {"type": "boolean", "title": "Yes, for good"}},
    "required": [_KEY],
}


async def confirmed(
    ctx: ServerRequestContext[Any, Any],
    params: CallToolRequestParams,
    question: Callable[[], Awaitable[str]],
) -> InputRequiredResult | None:
    """None once the person has said yes; else the question, to be returned as the call's result.

    Raises:
        Unconfirmed: They said no, or this client cannot ask them.
    """
    if not _can_ask(ctx):
        raise Unconfirmed(
            "Nothing was changed: this deletes for good and needs a yes. "
            "Repeat the call with confirm: true if the person wants it."
        )
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        _check(await _ask(ctx, await question()))
        return None
    answer = (params.input_responses or {}).get(_KEY)
    if params.request_state == _ASKED and isinstance(answer, ElicitResult):
        _check(answer)
        return None
    form = ElicitRequestFormParams(message=await question(), requested_schema=_FORM)
    return InputRequiredResult(input_requests={_KEY: ElicitRequest(params=form)}, request_state=_ASKED)


def _can_ask(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None:
        return False
    # A bare declaration, from before there were modes, means forms.
    forms = elicitation.form is not None or elicitation.url is None
    return forms and (ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.session.can_send_request)


async def _ask(ctx: ServerRequestContext[Any, Any], message: str) -> ElicitResult:
    try:
        return await ctx.session.elicit_form(message, _FORM, related_request_id=ctx.request_id)
    except (MCPError, ValidationError) as error:
        raise Unconfirmed(
            "Nothing was changed: the client could not ask the person. "
            "Repeat the call with confirm: true if they want it."
        ) from error


def _check(answer: ElicitResult) -> None:
    if answer.action != "accept" or (answer.content or {}).get(_KEY) is not True:
        raise Unconfirmed(
            "Nothing was changed: the person did not say yes. Do not repeat the call unless they ask."
        )
