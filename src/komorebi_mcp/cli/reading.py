"""Reading files and pipes for commands, whatever their size."""

import os
import stat
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from komorebi_mcp.errors import InvalidInput

CHUNK_BYTES = 262_144


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, to be read.

    Raises:
        InvalidInput: It cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}. Check its name and rights.") from error
    with file:
        yield file


def size_of(file: BinaryIO) -> int | None:
    """In bytes; None where only the end will tell, as with a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def chunks(file: BinaryIO) -> AsyncGenerator[bytes]:
    """What can be read, as soon as it can; the wait for a pipe can be cancelled."""
    descriptor = file.fileno()
    mode = os.fstat(descriptor).st_mode
    # Windows cannot wait for a pipe, nor any system for a file, which need not be waited for.
    waits = sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor))
    while True:
        if waits:
            await anyio.wait_readable(descriptor)
        chunk = await anyio.to_thread.run_sync(os.read, descriptor, CHUNK_BYTES)
        if not chunk:
            return
        yield chunk
