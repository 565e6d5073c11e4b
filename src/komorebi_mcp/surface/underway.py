"""The HTTP requests under way: any of them can be ended from outside, and is answered all the same."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY: Final = "komorebi.under_way"


@dataclass(eq=False, slots=True)
class UnderWay:
    """One request, as long as it is being answered."""

    credential: str | None = None
    """What it came in with."""
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _instead: ASGIApp | None = None

    def end(self, instead: ASGIApp) -> None:
        """Ends it: with this answer where none has begun, else where its answer has got to."""
        self._instead = instead
        self._scope.cancel()

    def abandon(self) -> None:
        """Ends it without an answer, since its client has gone."""
        self._scope.cancel()

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun, has_ended = False, False
        scope[_KEY] = self

        async def noted(message: Message) -> None:
            nonlocal has_begun, has_ended
            has_begun = True
            has_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        with self._scope:
            await app(scope, receive, noted)
        if not self._scope.cancelled_caught or self._instead is None or has_ended:
            return
        if has_begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._instead(scope, receive, send)


def under_way_in(scope: Scope) -> UnderWay:
    """The request that is being answered in this scope."""
    request: UnderWay = scope[_KEY]
    return request


class Requests:
    """Those that are under way now."""

    def __init__(self) -> None:
        self._under_way: set[UnderWay] = set()

    def __iter__(self) -> Iterator[UnderWay]:
        return iter(tuple(self._under_way))

    async def answer(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, credential: str | None
    ) -> None:
        """Has the application answer the request, which is among these meanwhile."""
        request = UnderWay(credential)
        self._under_way.add(request)
        try:
            await request.answer(app, scope, receive, send)
        finally:
            self._under_way.discard(request)
