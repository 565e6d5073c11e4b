"""Server middleware around calls of upstream tools: runs `call_tool`, and keeps results that are to be kept.

It stands ahead of the gateway, so that a tool run through `call_tool` is forwarded as one called by its name
is: progress, cancellation and questions to the client included. A caller steers it by `_meta`: with
`komorebi/capture` true, or the name of a project, the result is captured; with `komorebi/whole` true it comes
as it is, however long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from pydantic import TypeAdapter, ValidationError

from komorebi_mcp.app import App
from komorebi_mcp.domain.captures import PROJECT_CHARS_MAX, ProjectName, Receipt
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.errors import InvalidInput, KomorebiError
from komorebi_mcp.services.results import Origin, is_surely_within, text_of
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.rendering import takes_links
from komorebi_mcp.surface.replies import invalid_arguments, tool_error
from komorebi_mcp.surface.sdk import connection_of
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.surface.tools.upstreams import CALL_TOOL, CallToolArguments
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens
from komorebi_mcp.upstream.config import UpstreamConfig, matches
from komorebi_mcp.upstream.offers import Kind

CAPTURE_META: Final = "komorebi/capture"
WHOLE_META: Final = "komorebi/whole"
HEAD_TOKENS: Final = 2_000
"""How much of an oversized result is answered."""

_PROJECT_NAME: Final = TypeAdapter[str](ProjectName)
_Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the caller wants of the result."""

    capture: bool | None
    """None where the upstreams file is to decide."""
    project: str | None
    whole: bool
    through_call_tool: bool


class Results:
    """The middleware."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        name = params.get("name")
        if (
            ctx.method != "tools/call"
            or not self._app.aggregate.enabled
            or not isinstance(name, str)
            or not connection_of(ctx).initialize_accepted
        ):
            return await call_next(ctx)
        if name in OWN_TOOLS and name != CALL_TOOL.name:
            return await call_next(ctx)
        try:
            wish = _wish_in(params.get("_meta"))
        except InvalidInput as error:
            return tool_error(error)
        if name == CALL_TOOL.name:
            return await self._call_tool(ctx, call_next, params, wish)
        return await self._forward(ctx, call_next, params, wish)

    async def _call_tool(
        self, ctx: _Context, call_next: CallNext, params: Mapping[str, Any], wish: _Wish
    ) -> HandlerResult:
        try:
            asked = CallToolArguments.model_validate(params.get("arguments") or {})
        except ValidationError as error:
            return tool_error(invalid_arguments(CALL_TOOL.name, error, CALL_TOOL.demands))
        if asked.tool in OWN_TOOLS or not self._app.aggregate.upstreams.may_have(Kind.TOOL, asked.tool):
            # Our own handler says that there is none.
            return await call_next(ctx)
        wish = replace(
            wish,
            capture=wish.capture if asked.capture is None else asked.capture,
            project=asked.project or wish.project,
            through_call_tool=True,
        )
        forwarded = {**params, "name": asked.tool, "arguments": asked.arguments}
        return await self._forward(ctx, call_next, forwarded, wish)

    async def _forward(
        self, ctx: _Context, call_next: CallNext, params: Mapping[str, Any], wish: _Wish
    ) -> HandlerResult:
        result = await call_next(replace(ctx, params=_without_wish(params)))
        origin = self._app.aggregate.origin(params["name"])
        if origin is None or not isinstance(result, dict) or not _is_final(result):
            return result
        upstream, tool = origin
        wanted = matches(upstream.capture, tool) if wish.capture is None else wish.capture
        limit = 0 if wish.whole else upstream.result_tokens_max
        if not wanted and (not limit or is_surely_within(result, limit)):
            return result
        text = text_of(result)
        oversized = bool(limit) and estimate_tokens(text) > limit
        if not wanted and not oversized:
            return result
        arguments = params.get("arguments")
        source = Origin(upstream.name, tool, arguments if isinstance(arguments, Mapping) else {})
        try:
            receipt = await self._app.results.keep(
                owner_of(ctx), source, text, project=wish.project or upstream.project
            )
        except KomorebiError as error:
            # It was run, perhaps with effect, so what it gave must not be lost with the capture.
            return _with_block(result, _text(f"The result could not be captured: {error}"))
        if oversized:
            result = await self._shortened(ctx, result, receipt, text, wish)
        told = _told(result, receipt, wish)
        return (
            _with_block(told, _link(receipt, upstream, tool)) if takes_links(ctx.protocol_version) else told
        )

    async def _shortened(
        self, ctx: _Context, result: dict[str, Any], receipt: Receipt, text: str, wish: _Wish
    ) -> dict[str, Any]:
        """The head of the result, where the rest is, and what it is about."""
        head = cut_to_tokens(text, HEAD_TOKENS)
        summary = await self._app.results.summary(owner_of(ctx), receipt, text)
        note = (
            f"This is the beginning of a result of about {estimate_tokens(text):,} tokens, which was kept "
            f"whole as {receipt.id}. Call read_captures with this id for the rest, or search_captures in it."
        )
        blocks = [_text(head), _text(note if not summary else f"{note}\n\nWhat stands out in it:\n{summary}")]
        content = result.get("content")
        unread = [block for block in content if _is_media(block)] if isinstance(content, list) else []
        shortened = {**result, "content": [*blocks, *unread]}
        if wish.through_call_tool:
            shortened.pop("structuredContent", None)
        return shortened


def _wish_in(meta: Any) -> _Wish:
    """What `_meta` says of the result.

    Raises:
        InvalidInput: No project can have that name; to be said before anything is run.
    """
    given = meta if isinstance(meta, Mapping) else {}
    capture = given.get(CAPTURE_META)
    if isinstance(capture, str) and capture:
        try:
            _PROJECT_NAME.validate_python(capture)
        except ValidationError:
            raise InvalidInput(
                f"{CAPTURE_META} must be true, false or the name of a project, "
                f"of at most {PROJECT_CHARS_MAX} characters. Correct it and call again."
            ) from None
    return _Wish(
        capture=bool(capture) if isinstance(capture, bool | str) else None,
        project=capture if isinstance(capture, str) and capture else None,
        whole=given.get(WHOLE_META) is True,
        through_call_tool=False,
    )


def _without_wish(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params as the upstream is to see them: what is said to us ends here."""
    meta = params.get("_meta")
    if not isinstance(meta, Mapping) or meta.keys().isdisjoint((CAPTURE_META, WHOLE_META)):
        return dict(params)
    kept = {key: value for key, value in meta.items() if key not in (CAPTURE_META, WHOLE_META)}
    return {
        **{key: value for key, value in params.items() if key != "_meta"},
        **({"_meta": kept} if kept else {}),
    }


def _is_final(result: Mapping[str, Any]) -> bool:
    """Whether it is the answer of a call that went well, and neither a question nor a promise of one."""
    return (
        result.get("resultType", "complete") == "complete"
        and result.get("isError") is not True
        and ("content" in result or "structuredContent" in result)
    )


def _told(result: dict[str, Any], receipt: Receipt, wish: _Wish) -> dict[str, Any]:
    """The result with the receipt in `_meta` and, through `call_tool`, among what it says."""
    told = receipt.model_dump(mode="json", exclude_none=True) | {"uri": capture_uri(receipt.id)}
    kept = {**result, "_meta": {**(result.get("_meta") or {}), CAPTURE_META: told}}
    if wish.through_call_tool:
        structured = result.get("structuredContent", {})
        if isinstance(structured, dict) and "capture" not in structured:
            kept["structuredContent"] = {**structured, "capture": told}
    return kept


def _link(receipt: Receipt, upstream: UpstreamConfig, tool: str) -> dict[str, Any]:
    return {
        "type": "resource_link",
        "uri": capture_uri(receipt.id),
        "name": receipt.id,
        "title": f"Captured: {tool} of {upstream.name}",
        "mimeType": "application/json",
    }


def _with_block(result: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    content = result.get("content")
    return {**result, "content": [*(content if isinstance(content, list) else []), block]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _is_media(block: Any) -> bool:
    """Whether a block is something other than text, which the head has instead."""
    match block:
        case {"type": "text"} | {"type": "resource", "resource": {"text": _}}:
            return False
        case _:
            return True
