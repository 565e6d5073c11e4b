"""A model behind an OpenAI-compatible endpoint: Ollama, vLLM, LM Studio, a hosted one.

Only `POST {base}/chat/completions` is used, and of its answer only the text. No answer, a late one and one of
another form are all the same to the caller: `ModelFailed`, and the summary is written without a model.
"""

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from komorebi_mcp.domain.clock import doubled_s
from komorebi_mcp.errors import ModelFailed
from komorebi_mcp.summarizers.prompts import ANSWER_SCHEMA
from komorebi_mcp.summarizers.writer import Prompt

if TYPE_CHECKING:
    import httpx

CALL_S = 45.0
"""A call with all its retries: shorter than the minute most MCP clients wait for a tool."""
_CONNECT_S = 5.0
_ATTEMPTS_MAX = 3
_BACKOFF_S = 0.5
"""The wait before the second attempt; it doubles."""
_RETRY_AFTER_MAX_S = 20.0
"""An endpoint that wants a longer pause is done without meanwhile."""
_CONCURRENT_MAX = 4
_ANSWER_BYTES_MAX = 1 << 20
_PAUSE_S = 15.0
"""How long an endpoint that gave no answer is left alone; it doubles with each further failure."""
_PAUSE_MAX_S = 600.0
_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_NOT_UNDERSTOOD = frozenset({400, 422})
_OPTIONAL = ("response_format", "temperature", "max_tokens")
"""What some endpoints or models refuse, in the order in which it is given up."""

_log = structlog.get_logger(__name__)


@dataclass
class Endpoint:
    """One endpoint and model. `complete` may be called by many at once; a few calls run, the others wait."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    call_s: float = CALL_S
    _client: "httpx.AsyncClient | None" = field(default=None, init=False, repr=False)
    _slots: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(_CONCURRENT_MAX), init=False)
    _refused: set[str] = field(default_factory=set, init=False)
    """Optional parameters that it does not take."""
    _failures: int = field(default=0, init=False)
    _again_at: float = field(default=0.0, init=False)

    async def complete(self, prompt: Prompt) -> str:
        """The model's answer, whole.

        Raises:
            ModelFailed: There is none in time, or the last calls had none and it is left alone for a while.
        """
        if time.monotonic() < self._again_at:
            raise ModelFailed("The model's endpoint did not answer a moment ago.")
        try:
            with anyio.fail_after(self.call_s):
                async with self._slots:
                    answer = await self._ask(prompt)
        except TimeoutError:
            self._leave_alone()
            raise ModelFailed(f"The model did not answer within {self.call_s:.0f} s.") from None
        self._failures = 0
        return answer

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _leave_alone(self) -> None:
        self._failures += 1
        self._again_at = time.monotonic() + doubled_s(_PAUSE_S, self._failures, most_s=_PAUSE_MAX_S)

    async def _ask(self, prompt: Prompt) -> str:
        attempt = 0
        refused_before = set(self._refused)
        while True:
            status, retry_after_s, body = await self._post(prompt)
            if status == 200:
                return _answer(body)
            if status in _NOT_UNDERSTOOD and self._give_up_something(body):
                continue
            attempt += 1
            wait_s = max(_BACKOFF_S * 2 ** (attempt - 1), retry_after_s)
            _log.warning("model.failed", model=self.model, status=status, attempt=attempt)
            if status not in _TRY_AGAIN or attempt >= _ATTEMPTS_MAX or wait_s > _RETRY_AFTER_MAX_S:
                # It was not the parameters, then.
                self._refused = refused_before
                self._leave_alone()
                raise ModelFailed(f"The model's endpoint answered with status {status}.")
            await anyio.sleep(wait_s)

    async def _post(self, prompt: Prompt) -> tuple[int, float, bytes]:
        """Status, seconds to wait as it says, and body; status 503 stands for no connection."""
        import httpx  # noqa: PLC0415 - start-up does without it, and so do all who use no endpoint.

        if self._client is None:
            timeout = httpx.Timeout(self.call_s, connect=_CONNECT_S)
            self._client = httpx.AsyncClient(timeout=timeout, follow_redirects=False)
        headers = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        try:
            async with self._client.stream("POST", url, json=self._request(prompt), headers=headers) as reply:
                body = b""
                async for part in reply.aiter_bytes():
                    body += part
                    if len(body) > _ANSWER_BYTES_MAX:
                        raise ModelFailed("The model's answer is far longer than was asked for.")
                return reply.status_code, _seconds(reply.headers.get("retry-after", "")), body
        except httpx.TimeoutException:
            raise TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _log.warning("model.unreachable", model=self.model, error=type(error).__name__)
            return 503, 0.0, b""

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        shape = {"name": "summary", "strict": True, "schema": ANSWER_SCHEMA}
        optional = {
            "response_format": {"type": "json_schema", "json_schema": shape},
            "temperature": 0,
            "max_tokens": prompt.answer_tokens_max,
        }
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            **{name: value for name, value in optional.items() if name not in self._refused},
        }

    def _give_up_something(self, body: bytes) -> bool:
        """Whether there is an optional parameter to do without: what the refusal names, or else the next."""
        left = [name for name in _OPTIONAL if name not in self._refused]
        said = body[:10_000].decode("utf-8", "replace")
        named = [name for name in left if name in said]
        if not left:
            return False
        self._refused.update(named or left[:1])
        return True


@asynccontextmanager
async def open_endpoint(base_url: str, model: str, api_key: str | None) -> AsyncIterator[Endpoint]:
    """An endpoint whose connections are closed at exit; none is opened before the first call."""
    endpoint = Endpoint(base_url=base_url, model=model, api_key=api_key)
    try:
        yield endpoint
    finally:
        with anyio.CancelScope(shield=True):
            await endpoint.close()


def _seconds(retry_after: str) -> float:
    """The header's seconds; a date, which no endpoint of this sort sends, counts as none."""
    return float(retry_after) if re.fullmatch(r"\d{1,6}(?:\.\d{1,3})?", retry_after.strip()) else 0.0


def _answer(body: bytes) -> str:
    """The text in a chat completion.

    Raises:
        ModelFailed: It is none, is cut off, or the model refused.
    """
    try:
        choice = json.loads(body)["choices"][0]
        message = choice["message"]
        content = message.get("content")
        refused = bool(message.get("refusal"))
        cut_off = choice.get("finish_reason") == "length"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ModelFailed(
            "The model's endpoint answered with something that is not a chat completion."
        ) from None
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if refused or cut_off or not isinstance(content, str) or not content.strip():
        raise ModelFailed("The model refused, or its answer was cut off.")
    return content
