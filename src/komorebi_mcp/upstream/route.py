"""The way between one request and whoever made it: what the upstream says and asks meanwhile."""

from collections.abc import Mapping
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import jsonrpc as codes

from komorebi_mcp.upstream.caller import Caller, Start
from komorebi_mcp.upstream.outbox import Outbox, is_wanted

REQUEST_SECONDS_MAX = 3600.0
"""No request outlives this, however much progress it reports."""


class Route:
    """The deadline of one request, and what passes between the upstream and the caller."""

    def __init__(self, caller: Caller, timeout_s: float, start: Start) -> None:
        """`start` runs a task beside the request; it is needed only once there is something to deliver."""
        self.caller = caller
        self.deadline = anyio.CancelScope()
        self._timeout_s = timeout_s
        self._latest = anyio.current_time() + REQUEST_SECONDS_MAX
        self._start = start
        self._outbox: Outbox | None = None
        """None until there is something to deliver."""
        self._questions = 0
        self._push_deadline()

    def put(self, method: str, params: dict[str, Any]) -> None:
        """Has the notification delivered; returns at once."""
        self._push_deadline()
        tell = self.caller.tell
        if tell is None or not is_wanted(method, params, self.caller.log_level):
            return
        if method == "notifications/progress":
            if self.caller.progress_token is None:
                return
            params = {**params, "progressToken": self.caller.progress_token}
        self._outbox = self._outbox or Outbox(tell, self._start)
        self._outbox.put(method, params)

    async def delivered(self) -> None:
        """Returns once all that was put has arrived."""
        if self._outbox is not None:
            await self._outbox.delivered()

    def close(self) -> None:
        """Drops what has not been delivered."""
        if self._outbox is not None:
            self._outbox.close()

    async def ask(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """The caller's raw answer, while which the request's own time stands still.

        Raises:
            MCPError: The caller refused, or cannot be asked.
        """
        if self.caller.ask is None or not self.caller.declares(method, params):
            raise MCPError(code=codes.METHOD_NOT_FOUND, message="Method not found", data=method)
        self._questions += 1
        self._push_deadline()
        try:
            # What was said before the question is to be read before it.
            await self.delivered()
            return await self.caller.ask(method, params)
        finally:
            self._questions -= 1
            self._push_deadline()

    def _push_deadline(self) -> None:
        if self._questions:
            self.deadline.deadline = self._latest
        else:
            self.deadline.deadline = min(anyio.current_time() + self._timeout_s, self._latest)
