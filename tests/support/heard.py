"""What a handshake client is notified of."""

from typing import Any

import anyio
from mcp_types import ResourceListChangedNotification, ResourceUpdatedNotification


class Heard:
    """What the SDK's client was notified of."""

    def __init__(self) -> None:
        self.updated: list[str] = []
        self.lists = 0
        self.arrived = anyio.Event()

    async def __call__(self, message: Any) -> None:
        match message:
            case ResourceUpdatedNotification():
                self.updated.append(str(message.params.uri))
            case ResourceListChangedNotification():
                self.lists += 1
            case _:
                return
        self.arrived.set()
        self.arrived = anyio.Event()
