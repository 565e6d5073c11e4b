"""One JSON-RPC message from the bytes of a line or of an HTTP body, or the answer to what is none.

The SDK drops lines that it cannot parse and mends invalid UTF-8 without a word; here both are answered.
"""

import json
from typing import Any

from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic_core import PydanticSerializationError, from_json


class Malformed(Exception):
    """The bytes are no message to carry out; `answer` is what to say, None where nothing may be said."""

    def __init__(self, answer: JSONRPCError | None) -> None:
        super().__init__("not a JSON-RPC message")
        self.answer = answer


def parse_message(data: bytes) -> JSONRPCMessage:
    """The message that the bytes are.

    Raises:
        Malformed: They are not valid UTF-8, not JSON, or not a JSON-RPC message.
    """
    try:
        # Read first: the adapter itself would read the JSON once for each kind of message.
        message = jsonrpc_message_adapter.validate_python(
            from_json(data, cache_strings="keys"), by_name=False
        )
    except ValueError:
        raise Malformed(_diagnosis(data)) from None
    if isinstance(message, JSONRPCNotification) and b'"id"' in data and "id" in (found := _object(data)):
        # With an id of a wrong type a request passes for a notification, and waits for an answer in vain.
        raise Malformed(_refusal(found, "The id of a request must be a string or an integer."))
    return message


def encode_message(message: JSONRPCMessage) -> bytes:
    """The message as a line."""
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
    except PydanticSerializationError:
        # Another server's lone surrogate: it travels on as the escape it came as.
        return json.dumps(message.model_dump(by_alias=True, exclude_unset=True)).encode() + b"\n"


def refusal(code: int, message: str, request_id: RequestId | None = None) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=message))


def _diagnosis(data: bytes) -> JSONRPCError | None:
    """The answer to bytes that are not a message, for the id in them where there is one."""
    try:
        # Bytes that are not UTF-8 become lone surrogates, so that the id beside them can be read.
        value = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return refusal(
            PARSE_ERROR, "This is not JSON. Send one JSON-RPC message in UTF-8 per line or request."
        )
    if not isinstance(value, dict):
        return refusal(
            INVALID_REQUEST, "This is not a JSON-RPC message. Send one object at a time; MCP has no batches."
        )
    if "method" not in value and ("result" in value or "error" in value):
        return None
    if not _is_unicode(value):
        return _refusal(
            value,
            "The message holds text that is not valid Unicode: a lone surrogate or bytes that are not UTF-8. "
            "Remove or replace it and send the message again.",
            code=INVALID_PARAMS,
        )
    return _refusal(
        value, 'The message needs "jsonrpc": "2.0", a method and, where it has params, an object of them.'
    )


def _refusal(value: dict[str, Any], message: str, *, code: int = INVALID_REQUEST) -> JSONRPCError:
    request_id = value.get("id")
    usable = (
        isinstance(request_id, str | int) and not isinstance(request_id, bool) and _is_unicode(request_id)
    )
    return refusal(code, message, request_id if usable else None)


def _object(data: bytes) -> dict[str, Any]:
    value = json.loads(data)
    return value if isinstance(value, dict) else {}


def _is_unicode(value: Any) -> bool:
    """Whether every text in the value can be written in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
