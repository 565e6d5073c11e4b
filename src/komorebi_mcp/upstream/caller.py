"""Who a request to an upstream is made for: what they can be asked, and where word of it goes."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

Ask = Callable[[str, Mapping[str, Any] | None], Awaitable[dict[str, Any]]]
"""Takes an upstream's request, method and raw params, to the client; its raw result comes back.

Raises MCPError with the client's own code and data where it refuses.
"""
Tell = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Takes a notification, method and raw params, to the client."""

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Runs a task beside those who asked for it."""


EVERY_LEVEL = "debug"
"""A handshake client that has not set a level is told everything, as its servers are free to do."""


@dataclass(eq=False, slots=True)
class Client:
    """One session of a client, for which an upstream that keeps state has a session of its own."""

    owner: str
    ask: Ask | None = None
    """Outside any request; None where the client cannot be asked there."""
    tell: Tell | None = None
    """Outside any request; None where nothing reaches the client there."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """Raw, as it declared them when the session began."""
    log_level: str | None = None
    """The least it wants to hear of; None until it says so."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes one request."""

    owner: str = "local"
    client: Client | None = None
    """None where each request stands alone, as in the modern era over HTTP, and for requests of our own."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """Raw, as the client declared them."""
    ask: Ask | None = None
    """While the request is under way; None where nobody can be asked."""
    tell: Tell | None = None
    """What the upstream says about the request, ahead of its result; None where nobody listens."""
    progress_token: str | int | None = None
    """The client's own; None when it asked for no progress."""
    log_level: str | None = None
    """The least the client wants to hear of about this request; None where the request does not say."""

    def declares(self, method: str, params: Mapping[str, Any] | None = None) -> bool:
        """Whether the client may be asked this; one is never asked for what it did not declare."""
        if method not in _DECLARED_BY:
            return True
        declared = self.capabilities.get(_DECLARED_BY[method])
        if method == "elicitation/create" and (params or {}).get("mode") == "url":
            return isinstance(declared, Mapping) and "url" in declared
        return declared is not None

    @property
    def can_be_asked(self) -> bool:
        """Whether the client declares that it answers any question."""
        return any(map(self.declares, _DECLARED_BY))


_DECLARED_BY = {
    "elicitation/create": "elicitation",
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
}
"""The capability under which a client answers each request of a server."""


NOBODY = Caller()
"""For requests of our own."""
