"""A child process as an MCP transport, in a process group of its own.

The SDK's client leaves grandchildren behind when the child itself ends on time, and hands the child's stderr
to a file; here the whole group goes, and stderr is read as it comes.
"""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import Transport
from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS, StdioServerParameters, stdio_client
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from komorebi_mcp.upstream.allowance import Allowance
from komorebi_mcp.upstream.messages import parsed

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""A longer line ends the connection."""
EXIT_GRACE_S = 0.4
"""How long a child may take to end after its stdin closed, and again after SIGTERM: we have 2 s for all."""

_READ_BYTES = 64 * 1024
_WRITES_WAITING_MAX = 64
_POLL_S = 0.01
_NOISE_CHARS_MAX = 500

Received = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The few variables a child gets from ours, such as PATH and HOME; never our secrets."""
    # A value that begins with "()" is a shell function, which older shells would run.
    return {
        name: environment[name]
        for name in DEFAULT_INHERITED_ENV_VARS
        if name in environment and not environment[name].startswith("()")
    }


def open_child(
    command: Sequence[str], *, env: Mapping[str, str], cwd: str | None, on_noise: Callable[[str], None]
) -> Transport:
    """A started child to talk MCP with.

    `on_noise` is given each line of its stderr, and each line of its stdout that is not a message.

    Raises on entering:
        OSError: It cannot be started.
    """
    if sys.platform == "win32":
        # The SDK keeps a job object there, and the child's stderr is not kept.
        params = StdioServerParameters(command=command[0], args=list(command[1:]), env=dict(env), cwd=cwd)
        return stdio_client(params, errlog=Path(os.devnull).open("w"))
    return _open_group(command, env=env, cwd=cwd, on_noise=on_noise)


@asynccontextmanager
async def _open_group(
    command: Sequence[str], *, env: Mapping[str, str], cwd: str | None, on_noise: Callable[[str], None]
) -> AsyncIterator[Streams]:
    process = await anyio.open_process(list(command), env=dict(env), cwd=cwd, start_new_session=True)
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018  # open_process pipes all three.
    received, from_child = anyio.create_memory_object_stream[Received](0)
    # Room for a few, so that a cancellation notice does not wait for a child that stopped reading.
    to_child, sent = anyio.create_memory_object_stream[SessionMessage](_WRITES_WAITING_MAX)
    async with anyio.create_task_group() as pipes:
        pipes.start_soon(_read_messages, process.stdout, received, on_noise)
        pipes.start_soon(_write_messages, process, sent, received)
        pipes.start_soon(_read_noise, process.stderr, on_noise)
        try:
            yield from_child, to_child
        finally:
            from_child.close()
            to_child.close()
            with anyio.CancelScope(shield=True):
                await _end(process)
            pipes.cancel_scope.cancel()


async def _read_messages(
    stdout: ByteReceiveStream, received: MemoryObjectSendStream[Received], on_noise: Callable[[str], None]
) -> None:
    with received, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await _split_messages(stdout, received, on_noise)
    # A child that is stuck writing to us could not read the end of its stdin.
    async for _ in _chunks(stdout):
        pass


async def _split_messages(
    stdout: ByteReceiveStream, received: MemoryObjectSendStream[Received], on_noise: Callable[[str], None]
) -> None:
    waiting = bytearray()
    allowance = Allowance()
    async for chunk in allowance.paced(_chunks(stdout)):
        searched = len(waiting)
        waiting += chunk
        if waiting.find(b"\n", searched) < 0:
            if len(waiting) > MESSAGE_BYTES_MAX:
                on_noise(f"A message is longer than {MESSAGE_BYTES_MAX} bytes.")
                return
            continue
        *lines, rest = waiting.split(b"\n")
        waiting = rest
        for line in lines:
            if line and not line.isspace() and allowance.covers(line):
                await _hand_over(bytes(line), received, on_noise)


async def _hand_over(
    line: bytes, received: MemoryObjectSendStream[Received], on_noise: Callable[[str], None]
) -> None:
    try:
        # Read first: the adapter itself would read the JSON once for each kind of message.
        message = jsonrpc_message_adapter.validate_python(parsed(line), by_name=False)
    except ValueError:
        # Many servers print a greeting or a log line where only messages belong.
        on_noise(line[:_NOISE_CHARS_MAX].decode(errors="replace"))
        refusal = _refusal_of(line)
        if refusal is None:
            return
        message = refusal
    await received.send(SessionMessage(message))


def _refusal_of(line: bytes) -> JSONRPCError | None:
    """What to tell the caller that a malformed answer was meant for; None when it is no answer."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match content:
        case {"method": _}:
            return None
        case {"id": str() | int() as answered}:
            error = ErrorData(code=PARSE_ERROR, message="Failed to parse the answer")
            return JSONRPCError(jsonrpc="2.0", id=answered, error=error)
        case _:
            return None


async def _write_messages(
    process: Process,
    sent: MemoryObjectReceiveStream[SessionMessage],
    received: MemoryObjectSendStream[Received],
) -> None:
    assert process.stdin  # noqa: S101  # open_process pipes it.
    with sent:
        try:
            async for item in sent:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(line.encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            # Nothing more can be said to it, so the session must not wait for answers.
            received.close()


async def _read_noise(stderr: ByteReceiveStream, on_noise: Callable[[str], None]) -> None:
    waiting = ""
    async for chunk in _chunks(stderr):
        *lines, waiting = (waiting + chunk.decode(errors="replace")).split("\n")
        waiting = waiting[-_NOISE_CHARS_MAX:]
        for line in lines:
            if line.strip():
                on_noise(line.rstrip()[:_NOISE_CHARS_MAX])
    if waiting.strip():
        on_noise(waiting.rstrip())


async def _chunks(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        while True:
            yield await stream.receive(_READ_BYTES)


async def _end(process: Process) -> None:
    """Ends the child and whatever it started, within three graces."""
    assert sys.platform != "win32"  # noqa: S101  # There the SDK's transport ends its own child.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        assert process.stdin  # noqa: S101  # open_process pipes it.
        await process.stdin.aclose()
    await _until_gone(process, group=False)
    if _signal_group(process.pid, signal.SIGTERM):
        await _until_gone(process, group=True)
        _signal_group(process.pid, signal.SIGKILL)
    # Lets the event loop take note of the end; a daemon that left the group may hold the pipes open.
    with anyio.move_on_after(EXIT_GRACE_S):
        await process.wait()


async def _until_gone(process: Process, *, group: bool) -> None:
    with anyio.move_on_after(EXIT_GRACE_S):
        # Not process.wait(): that also waits for pipes a grandchild may have inherited.
        while process.returncode is None or (group and _signal_group(process.pid, 0)):  # noqa: ASYNC110
            # No event tells of the end of a whole group.
            await anyio.sleep(_POLL_S)


def _signal_group(group: int, sign: int) -> bool:
    """False when nobody is left in the group."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so of zombies; those are gone as far as we are concerned.
        return False
    return True
