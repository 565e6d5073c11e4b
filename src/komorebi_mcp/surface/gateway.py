"""Server middleware that puts what the upstreams offer beside what is ours: it merges lists and forwards.

It works on raw messages, ahead of the handlers, since typed ones would drop every field they do not know.
What concerns us alone goes on to them untouched.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND
from mcp_types.methods import validate_client_request
from pydantic import ValidationError

from komorebi_mcp.errors import NotFound, UpstreamError, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.surface.gateway_callers import Callers, Context, era_of
from komorebi_mcp.surface.gateway_lists import list_merged
from komorebi_mcp.surface.gateway_results import for_era, refusal_of, with_capabilities
from komorebi_mcp.surface.replies import tool_error
from komorebi_mcp.surface.resource_uris import is_own
from komorebi_mcp.surface.sdk import connection_of
from komorebi_mcp.upstream.offers import Kind

_LISTS = {kind.method: kind for kind in Kind}


class Gateway:
    """The middleware; see `gateway_middleware`."""

    def __init__(
        self, aggregate: Aggregate, own_tool_names: Collection[str], server_info: Mapping[str, Any] | None
    ) -> None:
        self._aggregate = aggregate
        self._upstreams = aggregate.upstreams
        self._own = frozenset(own_tool_names)
        self._server_info = dict(server_info) if server_info else None
        self._callers = Callers(self._upstreams.leave)
        self._routes: dict[str, Callable[[Context, CallNext], Awaitable[HandlerResult]]] = {
            "tools/call": self._call,
            "prompts/get": self._get_prompt,
            "resources/read": self._read,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._subscribe,
            "subscriptions/listen": self._listen,
            "completion/complete": self._complete,
            "logging/setLevel": self._set_level,
        }

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if not self._aggregate.enabled:
            return await call_next(ctx)
        match ctx.method:
            case "initialize" | "server/discover":
                # The client will want the lists next, so the upstreams may as well connect meanwhile.
                self._upstreams.wake(self._callers.caller_of(ctx))
                return with_capabilities(await call_next(ctx), era_of(ctx))
            case "notifications/roots/list_changed":
                await self._forward_notification(ctx)
            case method if method in _LISTS and _is_valid(ctx):
                return await list_merged(ctx, call_next, _LISTS[method], self._aggregate, self._own)
            case method if method in self._routes and _is_valid(ctx):
                return await self._routes[method](ctx, call_next)
        return await call_next(ctx)

    async def _call(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        name = params["name"]
        if name in self._own or not self._upstreams.may_have(Kind.TOOL, name):
            return await call_next(ctx)
        try:
            result = await self._aggregate.call(name, params, caller=self._callers.caller_of(ctx))
        except NotFound:
            return await call_next(ctx)
        except UpstreamRefused as error:
            raise refusal_of(error) from error
        except UpstreamUnavailable as error:
            result = tool_error(error).model_dump(by_alias=True, mode="json", exclude_none=True)
        return for_era(ctx, result, self._server_info)

    async def _get_prompt(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        if not self._upstreams.may_have(Kind.PROMPT, params["name"]):
            return await call_next(ctx)
        return await self._pass(
            ctx,
            call_next,
            self._upstreams.get_prompt(params["name"], params, caller=self._callers.caller_of(ctx)),
        )

    async def _read(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        if is_own(params["uri"]):
            return await call_next(ctx)
        return await self._pass(
            ctx,
            call_next,
            self._upstreams.with_uri(ctx.method, params["uri"], params, caller=self._callers.caller_of(ctx)),
        )

    async def _subscribe(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Follows the resource upstream, and notes here who is to be told."""
        uri = (ctx.params or {})["uri"]
        if not is_own(uri):
            follow = (
                self._upstreams.follow if ctx.method == "resources/subscribe" else self._upstreams.unfollow
            )
            try:
                await follow(uri, caller=self._callers.caller_of(ctx))
            except UpstreamError as error:
                raise refusal_of(error) from error
        return await call_next(ctx)

    async def _listen(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Follows the resources upstream for as long as the client listens."""
        wanted = ((ctx.params or {}).get("notifications") or {}).get("resourceSubscriptions") or []
        async with AsyncExitStack() as followed:
            for uri in wanted:
                if not is_own(uri):
                    # What cannot be followed has no changes to tell of, as in a list of our own.
                    with suppress(UpstreamError):
                        await self._upstreams.follow(uri)
                        followed.push_async_callback(self._unfollow, uri)
            return await call_next(ctx)

    async def _unfollow(self, uri: str) -> None:
        with suppress(UpstreamError):
            await self._upstreams.unfollow(uri)

    async def _complete(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        ref = params["ref"]
        name, uri = ref.get("name"), ref.get("uri")
        if not self._upstreams.may_have(Kind.PROMPT, name) if name is not None else is_own(str(uri)):
            return await call_next(ctx)
        return await self._pass(
            ctx,
            call_next,
            self._upstreams.complete(ref, params, caller=self._callers.caller_of(ctx)),
        )

    async def _set_level(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        client = self._callers.client_of(ctx)
        if client is not None:
            await self._upstreams.set_level(client, (ctx.params or {})["level"])
        try:
            return await call_next(ctx)
        except MCPError as error:
            if error.code != METHOD_NOT_FOUND:
                raise
            # We log nothing to clients ourselves.
            return {}

    async def _pass(
        self, ctx: Context, call_next: CallNext, request: Awaitable[dict[str, Any]]
    ) -> HandlerResult:
        try:
            return for_era(ctx, await request, self._server_info)
        except NotFound:
            return await call_next(ctx)
        except UpstreamError as error:
            raise refusal_of(error) from error

    async def _forward_notification(self, ctx: Context) -> None:
        client = self._callers.client_of(ctx)
        if client is not None:
            await self._upstreams.tell(client, ctx.method, ctx.params)


def gateway_middleware(
    aggregate: Aggregate, own_tool_names: Collection[str], *, server_info: Mapping[str, Any] | None = None
) -> Gateway:
    """Middleware for a low-level server whose own tools have these names, which no upstream may take.

    `server_info` is stamped on results for modern clients that come without a stamp.
    """
    return Gateway(aggregate, own_tool_names, server_info)


def _is_valid(ctx: Context) -> bool:
    """Whether it is a request that our own server would accept at this point; if not, it says why."""
    if not connection_of(ctx).initialize_accepted:
        return False
    try:
        validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
    except (KeyError, ValidationError):
        return False
    return True
