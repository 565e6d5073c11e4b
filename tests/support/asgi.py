"""A client of an ASGI application in this process, seen from the application."""

from collections.abc import Callable

import anyio
from starlette.types import Message


class AsgiClient:
    """What a client has received, and whether it is still there."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.gone = anyio.Event()
        self._news = anyio.Event()

    async def send(self, message: Message) -> None:
        self.received.append(message)
        self._news.set()
        if self.has_ended:
            # As the specification has it: whoever receives after the response is told that it is over.
            self.gone.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def until(self, arrived: Callable[[list[Message]], bool]) -> None:
        while not arrived(self.received):
            self._news = anyio.Event()
            await self._news.wait()

    @property
    def status(self) -> int:
        status: int = self.received[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.received[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)

    @property
    def has_ended(self) -> bool:
        match self.received:
            case [*_, {"type": "http.response.body"} as last]:
                return not last.get("more_body", False)
        return False
