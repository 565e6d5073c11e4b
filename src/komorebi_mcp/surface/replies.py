"""Errors as clients see them: one shape, one or two sentences, never a traceback and never what was sent.

What a caller of a tool can mend is a tool error, so that a model reads it and tries again. What a client
program got wrong is a JSON-RPC error.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import structlog
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from komorebi_mcp.errors import InvalidInput, KomorebiError, NotFound
from komorebi_mcp.surface.sdk import connection_of

RESOURCE_NOT_FOUND_HANDSHAKE = -32002
"""The handshake era's own code, retired by 2026-07-28 in favour of invalid params."""

_INTERNAL = (
    "Something went wrong inside Komorebi and nothing was changed by this call. The server's log says more."
)
_TOO_EARLY = "This connection has not begun. Send initialize first, then notifications/initialized."
_NAME_CHARS_MAX = 60

_log = structlog.get_logger(__name__)


async def boundary(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware that lets no unforeseen exception reach a client as its text."""
    try:
        return await call_next(ctx)
    except MCPError as error:
        if error.error.code == INVALID_PARAMS and not connection_of(ctx).initialize_accepted:
            raise MCPError(code=INVALID_PARAMS, message=_TOO_EARLY) from None
        raise
    except ValidationError as error:
        raise MCPError(code=INVALID_PARAMS, message=_malformed(ctx.method, ctx.params, error)) from None
    except KomorebiError as error:
        raise protocol_error(error) from error
    except Exception as error:
        _log.exception("request.failed", method=ctx.method)
        raise MCPError(code=INTERNAL_ERROR, message=_INTERNAL) from error


def _malformed(method: str, params: Mapping[str, Any] | None, error: ValidationError) -> str:
    """What of a request is not as the protocol has it, where the SDK would only say that something is."""
    detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
    known, unknown = _place(params, [part for part in detail["loc"] if part != "params"])
    is_missing = detail["type"] == "missing" and len(unknown) == 1
    path = ".".join(str(part) for part in (*known, *(unknown if is_missing else ())))
    if not path:
        return f"The params of {method} are not what the protocol asks for."
    if is_missing:
        return f"{method} needs {_shown(path)} in its params."
    return f"{_shown(path)} in the params of {method} is not what the protocol asks for."


def _place(params: Any, parts: list[str | int]) -> tuple[list[str | int], list[str | int]]:
    """Which parts of a path lead into the params, and what comes behind them.

    Behind are names of the SDK's classes, where a value may have one of several forms, and what is missing.
    """
    value = params
    for count, part in enumerate(parts):
        try:
            value = value[part]
        except (LookupError, TypeError):
            return parts[:count], parts[count:]
    return parts, []


def tool_error(error: KomorebiError) -> CallToolResult:
    return _failed(str(error))


def internal_tool_error(tool: str) -> CallToolResult:
    """The answer for a bug of ours, which is logged; to be called while handling it."""
    _log.exception("tool.failed", tool=tool)
    return _failed(_INTERNAL)


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def protocol_error(error: KomorebiError, *, data: Any = None) -> MCPError:
    code = INVALID_PARAMS if isinstance(error, InvalidInput) else INTERNAL_ERROR
    return MCPError(code=code, message=str(error), data=data)


def resource_error(error: KomorebiError, *, uri: str, protocol_version: str) -> MCPError:
    """The JSON-RPC error for a resource that cannot be read."""
    if isinstance(error, NotFound) and protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return MCPError(code=RESOURCE_NOT_FOUND_HANDSHAKE, message=str(error), data={"uri": uri})
    return protocol_error(error, data={"uri": uri})


def unknown_name(what: str, name: str, known: list[str], *, listing: str) -> MCPError:
    return MCPError(
        code=INVALID_PARAMS,
        message=f"No {what} is named {_shown(name)}.{_suggestion(name, known)} {listing} names them all.",
    )


def invalid_arguments(subject: str, error: ValidationError, schema: dict[str, Any]) -> InvalidInput:
    """What is wrong with a call's arguments, told in the terms of the full schema."""
    details = error.errors(include_url=False, include_input=False)
    # An argument with a wrong name explains one that is missing, so it is told first.
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    missing = [detail for detail in details if detail["type"] == "missing"]
    if unknown:
        known: list[str] = list(schema["properties"])
        name = str(unknown[0]["loc"][0])
        return InvalidInput(
            f"{subject} has no argument {_shown(name)}.{_suggestion(name, known)} "
            f"It takes {_listed(known) if known else 'none'}."
        )
    if missing:
        names = _listed([str(detail["loc"][0]) for detail in missing])
        return InvalidInput(f"{subject} needs {names}. Repeat the call with {names} set.")
    return InvalidInput(_told(details[0], schema))


def _told(detail: ErrorDetails, schema: dict[str, Any]) -> str:
    name = str(detail["loc"][0])
    if detail["type"] == "string_unicode":
        return (
            f"{name} is not valid Unicode: it holds a lone surrogate or bytes that are not UTF-8. "
            "Remove or replace them and repeat the call."
        )
    if detail["type"] == "value_error":
        # Written by our own validators, to follow the argument's name or as a sentence of its own.
        reason = str(detail["ctx"]["error"]).rstrip(".")
        return f"{reason}." if reason[:1].isupper() else f"{name} {reason}."
    if detail["type"] == "string_too_short":
        return f"{name} is empty. Leave it out or give it a text."
    return f"{name} must be {_expected(schema['properties'][name])}."


def _expected(schema: dict[str, Any]) -> str:
    """What a value must be, from its schema: 'a whole number from 1 to 100'."""
    if "enum" in schema:
        return _listed([str(value) for value in schema["enum"]], joint="or")
    match schema.get("type"):
        case "integer" if "maximum" in schema:
            return f"a whole number from {schema.get('minimum', 0)} to {schema['maximum']}"
        case "integer":
            return f"a whole number from {schema['minimum']} on" if "minimum" in schema else "a whole number"
        case "boolean":
            return "true or false"
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems")
            count = f"of {least} to {most} " if most and least else f"of at most {most} " if most else "of "
            items = schema["items"]
            limit = f" of at most {items['maxLength']} characters each" if "maxLength" in items else ""
            return f"a list {count}texts{limit}"
        case _:
            limit = f" of at most {schema['maxLength']} characters" if "maxLength" in schema else ""
            return f"a text{limit}"


def _listed(names: list[str], *, joint: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"


def _shown(name: str) -> str:
    """A name that a client made up, cut short and free of invisible characters."""
    return ascii(name if len(name) <= _NAME_CHARS_MAX else f"{name[:_NAME_CHARS_MAX]}...")


def _suggestion(name: str, known: list[str]) -> str:
    close = get_close_matches(name[:_NAME_CHARS_MAX].lower(), known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
