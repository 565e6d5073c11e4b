"""The way back to the client for a call that goes on as a task after its request was answered."""

from collections.abc import Mapping
from typing import Any, Final

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import MessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import RequestId
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from komorebi_mcp.domain.tasks import Task
from komorebi_mcp.services.running import Running
from komorebi_mcp.surface.sdk import connection_of, outbound_of
from komorebi_mcp.surface.task_shapes import modern_detailed_task, related

_ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"


class _Channel:
    """Stands in for a request's own channel, as the SDK's `DispatchContext`."""

    def __init__(self, ctx: ServerRequestContext[Any, Any]) -> None:
        self._own = outbound_of(ctx)

    @property
    def transport(self) -> TransportContext:
        transport: TransportContext = self._own.transport
        return transport

    @property
    def request_id(self) -> RequestId | None:
        return self._own.request_id

    @property
    def message_metadata(self) -> MessageMetadata:
        return self._own.message_metadata

    @property
    def cancel_requested(self) -> anyio.Event:
        return self._own.cancel_requested


class TaskChannel(_Channel):
    """The channel of a call that may become a task.

    Until the work is a task, everything goes the request's own way. Afterwards a handshake client is reached
    over its connection, each message saying which task it belongs to; a modern one reads the task's state.
    """

    def __init__(self, ctx: ServerRequestContext[Any, Any], running: Running) -> None:
        super().__init__(ctx)
        self._connection = connection_of(ctx)
        self._token = progress_token_from_params(ctx.params)
        self._running = running
        self._is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def can_send_request(self) -> bool:
        return not self._is_modern and self._connection.has_standalone_channel

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if not self.can_send_request:
            raise NoBackChannelError(method)
        await self._running.settled.wait()
        async with self._running.waiting_for_input():
            return await self._connection.send_raw_request(method, self._related(params), opts)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        if not self._is_modern:
            # Handshake clients asked for a task, which each message has to name.
            await self._running.settled.wait()
        if self._running.task is None:
            await self._own.notify(method, params, opts)
            return
        if method == "notifications/progress":
            self._running.say(_progress_told(params or {}))
        if not self._is_modern:
            await self._connection.notify(method, self._related(params))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        told = {"progress": progress, "total": total, "message": message}
        params = {name: value for name, value in told.items() if value is not None}
        if self._token is not None:
            await self.notify("notifications/progress", {"progressToken": self._token, **params})
        elif self._running.task is not None:
            self._running.say(_progress_told(params))

    def _related(self, params: Mapping[str, Any] | None) -> dict[str, Any]:
        task = self._running.task
        return dict(params or {}) if task is None else related(dict(params or {}), task.id)


class ListenChannel(_Channel):
    """The channel of a listen request that tells of tasks as well."""

    can_send_request = False

    def __init__(self, ctx: ServerRequestContext[Any, Any]) -> None:
        super().__init__(ctx)
        self.task_ids: list[str] = []
        self._acknowledged = False

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - the protocol's signature.
        opts: CallOptions | None = None,  # noqa: ARG002 - The same.
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        if method == _ACKNOWLEDGED and self.task_ids:
            agreed = {**((params or {}).get("notifications") or {}), "taskIds": self.task_ids}
            params = {**(params or {}), "notifications": agreed}
        await self._own.notify(method, params, opts)
        self._acknowledged |= method == _ACKNOWLEDGED

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        await self._own.progress(progress, total, message)

    async def tell(self, task: Task) -> None:
        """Sends the task as it is now, once the stream has begun."""
        if self._acknowledged:
            told = {**modern_detailed_task(task), "_meta": {SUBSCRIPTION_ID_META_KEY: self.request_id}}
            await self._own.notify("notifications/tasks", told)


def _progress_told(params: Mapping[str, Any]) -> str:
    message, progress, total = (params.get(name) for name in ("message", "progress", "total"))
    done = f"{progress:g}" if isinstance(progress, int | float) else ""
    if done and isinstance(total, int | float):
        done += f" of {total:g}"
    return f"{message} ({done})" if isinstance(message, str) and done else str(message or done or "Working.")
