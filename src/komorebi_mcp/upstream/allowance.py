"""How many notifications of one connection are read: one event loop serves everybody."""

from collections.abc import AsyncIterator

import anyio

NOTIFICATIONS_PER_S = 500
"""What comes faster for longer than a moment is thrown away unread."""
NOTIFICATIONS_AT_ONCE = 2000
PAUSE_S = 0.004
"""Between two reads from whoever says too much, in which the others have their turn."""


class Allowance:
    """How many more there may be, in a bucket that fills with time."""

    def __init__(self) -> None:
        self._left = float(NOTIFICATIONS_AT_ONCE)
        self._at = anyio.current_time()
        self._was_exceeded = False

    def covers(self, message: bytes | bytearray) -> bool:
        """Whether to read this message; whatever may be a request or an answer always is."""
        if b'"id"' in message:
            return True
        now = anyio.current_time()
        self._left = min(self._left + (now - self._at) * NOTIFICATIONS_PER_S, NOTIFICATIONS_AT_ONCE)
        self._at = now
        if self._left < 1:
            self._was_exceeded = True
            return False
        self._left -= 1
        return True

    async def paced(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, with a little pause behind each in which too much was said.

        The pipe or the connection fills meanwhile, so that whoever writes to it waits as well.
        """
        async for chunk in chunks:
            yield chunk
            if self._was_exceeded:
                self._was_exceeded = False
                await anyio.sleep(PAUSE_S)
