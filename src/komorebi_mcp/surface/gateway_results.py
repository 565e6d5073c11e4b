"""What an upstream answered, in the shape of the client's era; and what we say beside it."""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CORE_RESULT_TYPES, INTERNAL_ERROR, SERVER_INFO_META_KEY
from mcp_types.methods import CACHEABLE_METHODS

from komorebi_mcp.errors import UpstreamError, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.surface.gateway_callers import Context, era_of
from komorebi_mcp.surface.replies import tool_error
from komorebi_mcp.upstream.status import Era

_CACHE_KEYS = ("ttlMs", "cacheScope")


def for_era(ctx: Context, result: dict[str, Any], server_info: Mapping[str, Any] | None) -> dict[str, Any]:
    """The result in the shape that the client of this request reads."""
    if era_of(ctx) is Era.MODERN:
        return _for_modern(ctx.method, result, server_info)
    return _for_handshake(ctx.method, result)


def _for_modern(method: str, result: dict[str, Any], server_info: Mapping[str, Any] | None) -> dict[str, Any]:
    shaped = {"resultType": "complete", **result}
    if method in CACHEABLE_METHODS and shaped["resultType"] == "complete":
        # An upstream that says nothing about caching has promised nothing.
        shaped = {"ttlMs": 0, "cacheScope": "private", **shaped}
    meta = result.get("_meta") or {}
    # In another form it is the upstream's own affair, as everything else of its result.
    if server_info is not None and isinstance(meta, dict) and SERVER_INFO_META_KEY not in meta:
        shaped["_meta"] = {**meta, SERVER_INFO_META_KEY: server_info}
    return shaped


def _for_handshake(method: str, result: dict[str, Any]) -> dict[str, Any]:
    """`result` without what only the modern era knows."""
    if result.get("resultType") == "input_required":
        unable = UpstreamUnavailable(
            "The upstream asks for input, which this client has no way to give. "
            "Repeat the request with all it needs."
        )
        if method != "tools/call":
            raise refusal_of(unable)
        return tool_error(unable).model_dump(by_alias=True, mode="json", exclude_none=True)
    shaped = dict(result)
    if shaped.get("resultType") in CORE_RESULT_TYPES:
        del shaped["resultType"]
        for key in _CACHE_KEYS:
            shaped.pop(key, None)
    meta = shaped.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_META_KEY in meta:
        shaped["_meta"] = {key: value for key, value in meta.items() if key != SERVER_INFO_META_KEY}
        if not shaped["_meta"]:
            del shaped["_meta"]
    return shaped


def refusal_of(error: UpstreamError) -> MCPError:
    """The JSON-RPC error for a request that an upstream did not carry out."""
    if isinstance(error, UpstreamRefused):
        return MCPError(code=error.code, message=str(error), data=error.data)
    return MCPError(code=INTERNAL_ERROR, message=str(error))


def with_capabilities(result: HandlerResult, era: Era) -> HandlerResult:
    """What we say that we can do, and beside it all that an upstream may bring."""
    if not isinstance(result, dict) or not isinstance(result.get("capabilities"), dict):
        return result
    ours = result["capabilities"]
    theirs: dict[str, dict[str, Any]] = {
        "tools": {"listChanged": True},
        "prompts": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "completions": {},
    }
    if era is Era.HANDSHAKE:
        theirs["logging"] = {}
    merged = {name: {**(ours.get(name) or {}), **more} for name, more in theirs.items()}
    return {**result, "capabilities": {**ours, **merged}}
