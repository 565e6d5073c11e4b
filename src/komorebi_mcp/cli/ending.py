"""How long a process may be there once it was told to end."""

import os
import threading
from typing import Final

import structlog

END_S: Final = 1.8
"""After a signal. Two seconds are promised, and a large process takes a moment to be taken down."""


def end_by_all_means() -> None:
    """Ends this process `END_S` from now, should anything hold it up: a disk, a database, a busy thread.

    Nothing is lost by it. What was acknowledged is on disk, and what was not finished is as after a crash.
    """
    timer = threading.Timer(END_S, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    structlog.get_logger(__name__).warning("process.cut_short", after_s=END_S)
    os._exit(0)
