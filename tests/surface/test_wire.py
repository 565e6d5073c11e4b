"""Any bytes are a message or have an answer; nothing of them is lost or repeated."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from komorebi_mcp.surface.wire import Malformed, encode_message, parse_message

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": JSON,
        "method": TEXTS | JSON,
        "params": JSON,
        "result": JSON,
    },
)


@pytest.mark.slow
@given(st.binary(max_size=80) | ENVELOPES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_message_or_have_an_answer_that_can_be_sent(data: bytes) -> None:
    try:
        message = parse_message(data)
    except Malformed as malformed:
        if malformed.answer is not None:
            json.loads(encode_message(malformed.answer))
    else:
        json.loads(encode_message(message))


@pytest.mark.slow
@given(request_id=st.integers() | TEXTS, params=st.dictionaries(TEXTS, JSON, max_size=4))
def test_a_request_is_taken_as_it_was_sent(request_id: int | str, params: dict[str, Any]) -> None:
    sent = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    message = parse_message(json.dumps(sent, ensure_ascii=False).encode())
    assert isinstance(message, JSONRPCRequest)
    assert (message.id, message.params) == (request_id, params)


@given(content=st.text(st.characters(codec=None), max_size=30))
def test_text_that_is_not_unicode_is_refused_for_its_id(content: str) -> None:
    sent = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"content": f"\ud800 {content}"}}
    with pytest.raises(Malformed) as caught:
        parse_message(json.dumps(sent).encode())
    assert isinstance(caught.value.answer, JSONRPCError)
    assert caught.value.answer.id == 5
    assert caught.value.answer.error.code == -32602


def test_bytes_that_are_not_utf_8_are_never_mended() -> None:
    with pytest.raises(Malformed) as caught:
        parse_message(b'{"jsonrpc": "2.0", "id": "a", "method": "m", "params": {"content": "caf\xe9"}}')
    assert caught.value.answer is not None
    assert caught.value.answer.id == "a"


def test_a_notification_that_speaks_of_an_id_is_a_notification() -> None:
    message = parse_message(b'{"jsonrpc": "2.0", "method": "m", "params": {"id": 1}}')
    assert isinstance(message, JSONRPCNotification)


def test_a_malformed_answer_is_not_answered() -> None:
    with pytest.raises(Malformed) as caught:
        parse_message(b'{"id": 1, "result": 5}')
    assert caught.value.answer is None


def test_a_lone_surrogate_of_another_server_travels_on_as_its_escape() -> None:
    line = encode_message(JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": "\ud800"}))
    assert json.loads(line)["result"] == {"text": "\ud800"}
    assert line.endswith(b"}\n")
