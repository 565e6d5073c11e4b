"""What is to be heard of an upstream besides its answers: changed resources and lists, and log messages.

A handshake upstream is told of each resource that somebody follows, in every session. A modern one tells
through a `subscriptions/listen` request that stays open, and is made anew when what is followed changes.
"""

from collections import Counter
from contextlib import suppress

import anyio
import structlog

from komorebi_mcp.errors import UpstreamError, UpstreamRefused
from komorebi_mcp.upstream.caller import Client
from komorebi_mcp.upstream.route import REQUEST_SECONDS_MAX
from komorebi_mcp.upstream.session import Session
from komorebi_mcp.upstream.status import Era

AGAIN_S = 5.0
"""Between two listen requests, where the upstream ends them of itself."""
_REQUEST_TIMEOUT_S = 10.0

_log = structlog.get_logger(__name__)


class Following:
    """The resources of one upstream that somebody follows."""

    def __init__(self) -> None:
        self.uris: Counter[str] = Counter()
        """By the upstream's own URI, how many follow it."""
        self._changed = anyio.Event()

    def add(self, uri: str) -> bool:
        """Whether it is the first who follows it."""
        self.uris[uri] += 1
        self._note_change()
        return self.uris[uri] == 1

    def remove(self, uri: str) -> bool:
        """Whether it was the last who followed it."""
        self.uris[uri] -= 1
        last = self.uris[uri] <= 0
        if last:
            del self.uris[uri]
        self._note_change()
        return last

    async def hear(self, session: Session) -> None:
        """Has the session tell of all that is followed, until cancelled; it may also return."""
        if session.terms.era is Era.HANDSHAKE:
            for uri in tuple(self.uris):
                await _try(session, "resources/subscribe", {"uri": uri})
            return
        while session.is_open:
            # Taken before what is followed is read: a change right after that must not be missed.
            changed = self._changed
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_on, changed, tasks.cancel_scope)
                if not await self._listen(session):
                    return
                await anyio.sleep(AGAIN_S)

    async def _listen(self, session: Session) -> bool:
        """Whether to try again once the request has ended."""
        wanted = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if kind in session.terms.capabilities
        }
        uris = {"resourceSubscriptions": list(self.uris)} if self.uris else {}
        if not wanted and not uris:
            await anyio.sleep_forever()
        return await _try(session, "subscriptions/listen", {"notifications": {**wanted, **uris}})

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def _cancel_on(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _try(session: Session, method: str, params: dict[str, object]) -> bool:
    """Makes the request; False where the upstream does not take it."""
    timeout_s = REQUEST_SECONDS_MAX if method == "subscriptions/listen" else _REQUEST_TIMEOUT_S
    try:
        await session.request(method, params, timeout_s=timeout_s)
    except UpstreamRefused as error:
        _log.debug("upstream.not_followed", method=method, code=error.code)
        return False
    except UpstreamError as error:
        _log.debug("upstream.not_followed", method=method, reason=str(error))
    return True


async def set_level(session: Session, client: Client) -> None:
    """Has a handshake upstream that logs do so from the client's level on; a modern one is told each time."""
    logs = session.terms.era is Era.HANDSHAKE and "logging" in session.terms.capabilities
    if logs and client.log_level is not None:
        with suppress(UpstreamError):
            await session.request(
                "logging/setLevel", {"level": client.log_level}, timeout_s=_REQUEST_TIMEOUT_S
            )
