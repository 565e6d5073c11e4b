"""JSON-RPC messages of an upstream, read without looking into what they carry."""

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from mcp.shared.exceptions import MCPError
from pydantic_core import from_json

from komorebi_mcp.errors import UpstreamUnavailable


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request of ours led to."""

    id: str | int | None
    outcome: dict[str, Any] | MCPError


@dataclass(frozen=True, slots=True)
class Told:
    """A notification."""

    method: str
    params: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the upstream's own."""

    id: str | int
    method: str
    params: dict[str, Any] | None


def read_message(data: bytes) -> Answer | Told | Asked:
    """The message that the bytes are.

    Raises:
        UpstreamUnavailable: They are not JSON, or none of the three.
    """
    try:
        message = parsed(data)
    except ValueError as error:
        raise _unreadable() from error
    match message:
        case {"jsonrpc": "2.0", "method": str() as method, **rest}:
            params = rest.get("params")
            if params is not None and not isinstance(params, dict):
                raise _unreadable()
            if "id" not in rest:
                return Told(method, params)
            if _is_id(asked := rest["id"]):
                return Asked(asked, method, params)
        case {"jsonrpc": "2.0", "result": dict() as result, "id": sent} if _is_id(sent):
            return Answer(sent, result)
        case {"jsonrpc": "2.0", "error": {"code": int() as code, "message": str() as text} as error, **rest}:
            # A server that could not read the id of a request answers with none.
            answered = rest.get("id")
            refusal = MCPError(code=code, message=text, data=error.get("data"))
            return Answer(answered if _is_id(answered) else None, refusal)
    raise _unreadable()


def parsed(data: bytes) -> Any:
    """The JSON that the bytes are.

    Raises:
        ValueError: They are none, or too deep.
    """
    try:
        # NaN and its like are no JSON, and whoever reads what we hand on may insist on that.
        return from_json(data, cache_strings="keys", allow_inf_nan=False)
    except ValueError:
        if b"\\u" not in data:
            raise
    try:
        # Half of a pair of escapes, as JavaScript writes where it cuts a text: it travels on as it came.
        return json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("too deep") from None


def _no_number(constant: str) -> None:
    raise ValueError(constant)


def outcome_of(message: Answer | Told | Asked, request_id: int) -> dict[str, Any]:
    """The result in an answer to this request.

    Raises:
        MCPError: It is the upstream's own error.
        UpstreamUnavailable: It is not the answer.
    """
    if not isinstance(message, Answer) or message.id not in (request_id, None):
        raise UpstreamUnavailable("It sent something other than the answer to the request.")
    if isinstance(message.outcome, MCPError):
        raise message.outcome
    return message.outcome


def _unreadable() -> UpstreamUnavailable:
    return UpstreamUnavailable("It sent an answer that is not valid JSON-RPC.")


def _is_id(value: object) -> TypeGuard[str | int]:
    return isinstance(value, str | int) and not isinstance(value, bool)
