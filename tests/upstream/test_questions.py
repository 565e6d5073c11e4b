"""Questions of an upstream that come as a result, for clients that are asked while the call waits."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.bridge import answer_questions
from komorebi_mcp.upstream.caller import Caller


async def never(_method: str, _params: Mapping[str, Any] | None) -> dict[str, Any]:
    raise AssertionError("nobody is to be asked")


@pytest.mark.parametrize(
    "asked",
    [["elicitation/create"], "roots/list", {"a": "roots/list"}, {"a": {}}, {"a": {"method": 7}},
     {"a": {"method": "roots/list", "params": ["x"]}}],
    ids=str,
)  # fmt: skip
async def test_questions_in_no_valid_form_are_the_upstreams_failure_and_nobody_is_asked(asked: Any) -> None:
    async def request(_params: Mapping[str, Any], _caller: Caller) -> dict[str, Any]:
        return {"resultType": "input_required", "inputRequests": asked}

    caller = Caller(capabilities={"roots": {}, "elicitation": {}}, ask=never)
    with anyio.fail_after(5), pytest.raises(UpstreamUnavailable, match="not valid"):
        await answer_questions(request, {}, caller)
