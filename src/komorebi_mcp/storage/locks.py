"""Lock files: one process at a time, and nobody's once that process is gone."""

from pathlib import Path
from typing import BinaryIO


def try_lock(path: Path) -> BinaryIO | None:
    """An open file that holds the lock until it is closed; None while another one holds it.

    The system frees the lock of a process that dies, however it dies.

    Raises:
        OSError: The file cannot be opened, or its file system knows no locks.
    """
    file = path.open("ab")
    try:
        if _is_ours(file.fileno()):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _is_ours(descriptor: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - Not on Windows.
    except ModuleNotFoundError:
        import msvcrt  # noqa: PLC0415 - Only on Windows.

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
