"""Passages: texts of any size, read as they arrive.

Up to `CONTENT_BYTES_MAX` a text becomes one capture. A longer one becomes a group: ordered captures, each on
disk soon after it was read, with the first one standing for all of them.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from komorebi_mcp.domain.captures import (
    CONTENT_BYTES_MAX,
    KEY_CHARS_MAX,
    TITLE_CHARS_MAX,
    CaptureCreate,
    Passage,
    Receipt,
)
from komorebi_mcp.domain.changes import taken_in
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.capture import CaptureService
from komorebi_mcp.services.content import SecretsPolicy, admit
from komorebi_mcp.storage.store import Store
from komorebi_mcp.text.passages import PASSAGE_BYTES_MAX, cut

_BATCH_MAX = 16
"""Passages in one transaction, and as many read ahead of it: 4 MiB each."""
_NUMBER_CHARS = 10
"""Room for ` (12345678)` behind a title and `#12345678` behind a key."""


@dataclass(slots=True)
class Progress:
    """How far a text has come; true at any moment, so that an interruption can be told of."""

    stored: Callable[[int], None]
    """Called with the number of bytes that are now on disk."""
    receipt: Receipt | None = None
    """The first passage's, once it is on disk."""
    passages: int = 0
    """On disk, those known from an earlier run included."""
    created: int = 0
    bytes: int = 0
    redactions: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """A passage that may be stored."""

    content: str
    redactions: int
    size_bytes: int
    """As it was read."""


class Passages:
    """Takes in what is too long for `CaptureService`, and hands it what is not."""

    def __init__(self, store: Store, capture: CaptureService, *, secrets: SecretsPolicy) -> None:
        self._store = store
        self._capture = capture
        self._secrets = secrets

    async def take_in(
        self, owner: str, about: CaptureCreate, chunks: AsyncIterator[bytes], progress: Progress
    ) -> None:
        """Stores the text in `chunks`, filed as `about` says, whose own content is not looked at.

        `progress` is the result. With a key, a text that was cut off goes on where it stopped.

        Raises:
            InvalidInput: It is empty or not UTF-8, or its key belongs to another text.
            StorageError: It could not be stored. What `progress` tells of is there all the same.
        """
        start = bytearray()
        async for chunk in chunks:
            start += chunk
            if len(start) > CONTENT_BYTES_MAX:
                break
        else:
            await self._take_in_one(owner, about, bytes(start), progress)
            return
        if about.key is not None and len(about.key) > KEY_CHARS_MAX - _NUMBER_CHARS:
            raise InvalidInput(
                f"The key of a text in passages has at most {KEY_CHARS_MAX - _NUMBER_CHARS} characters. "
                "Shorten it."
            )
        failure: list[InvalidInput] = []
        send, receive = anyio.create_memory_object_stream[_Piece](_BATCH_MAX)
        async with anyio.create_task_group() as reading, receive:
            reading.start_soon(self._read, start, chunks, send, failure)
            while pieces := await _arrived(receive, 1 if progress.receipt is None else _BATCH_MAX):
                await self._store_pieces(owner, about, pieces, progress)
        if failure:
            raise InvalidInput(f"{failure[0]} {_kept(progress)}")

    async def _take_in_one(self, owner: str, about: CaptureCreate, raw: bytes, progress: Progress) -> None:
        try:
            content = _decoded(raw, start=0)
        except InvalidInput as error:
            raise InvalidInput(f"{error} {_kept(progress)}") from None
        receipt = await self._capture.capture(owner, about.model_copy(update={"content": content}))
        _advance(progress, [receipt], len(raw))

    async def _read(
        self,
        buffer: bytearray,
        chunks: AsyncIterator[bytes],
        send: MemoryObjectSendStream[_Piece],
        failure: list[InvalidInput],
    ) -> None:
        """Cuts what arrives into pieces; ends at the first that may not be stored, and leaves the reason."""
        at = 0
        async with send:
            try:
                while True:
                    # Only what is longer than a passage is cut, so that the cuts do not depend on the chunks.
                    while len(buffer) > PASSAGE_BYTES_MAX:
                        at = await self._send_next(buffer, at, send)
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    buffer += chunk
                while buffer:
                    at = await self._send_next(buffer, at, send)
            except InvalidInput as error:
                failure.append(error)

    async def _send_next(self, buffer: bytearray, at: int, send: MemoryObjectSendStream[_Piece]) -> int:
        size_bytes = cut(buffer)
        content = _decoded(bytes(buffer[:size_bytes]), start=at)
        del buffer[:size_bytes]
        clean, redactions = await admit(content, secrets=self._secrets)
        await send.send(_Piece(clean, redactions, size_bytes))
        return at + size_bytes

    async def _store_pieces(
        self, owner: str, about: CaptureCreate, pieces: list[_Piece], progress: Progress
    ) -> None:
        group = new_id() if progress.receipt is None else progress.receipt.id
        items = [
            _passage(about, group, progress.passages + number, piece)
            for number, piece in enumerate(pieces, start=1)
        ]
        # A commit that has begun is finished and told of.
        with anyio.CancelScope(shield=True):
            async with self._store.write(owner) as transaction:
                receipts = await transaction.captures.add_all(items)
                known = [receipt.id for receipt in receipts if not receipt.created]
                stored = {capture.id: capture for capture in await transaction.captures.get(known)}
                for item, receipt in zip(items, receipts, strict=True):
                    there = stored.get(receipt.id)
                    if there is not None and (there.content != item.content or there.passage is None):
                        raise InvalidInput(
                            f"The key belongs to another text, kept as {receipt.id}. "
                            "Capture this one under another key."
                        )
                transaction.tell(taken_in(owner, items, receipts))
            _advance(progress, receipts, sum(piece.size_bytes for piece in pieces))


async def _arrived(receive: MemoryObjectReceiveStream[_Piece], limit: int) -> list[_Piece]:
    """What has been read meanwhile, at least one piece; none at the end."""
    pieces: list[_Piece] = []
    try:
        pieces.append(await receive.receive())
        while len(pieces) < limit:
            pieces.append(receive.receive_nowait())
    except (anyio.EndOfStream, anyio.WouldBlock):
        pass
    return pieces


def _passage(about: CaptureCreate, group: str, position: int, piece: _Piece) -> CaptureCreate:
    given: dict[str, object] = {
        "content": piece.content,
        "redactions": piece.redactions,
        "passage": Passage(group=group, position=position),
    }
    if position == 1:
        return about.model_copy(update={**given, "id": group})
    if about.title is not None:
        given["title"] = f"{about.title[: TITLE_CHARS_MAX - _NUMBER_CHARS]} ({position})"
    if about.key is not None:
        given["key"] = f"{about.key}#{position}"
    return about.model_copy(update=given)


def _advance(progress: Progress, receipts: list[Receipt], size_bytes: int) -> None:
    progress.receipt = progress.receipt or receipts[0]
    progress.passages += len(receipts)
    progress.created += sum(receipt.created for receipt in receipts)
    progress.redactions += sum(receipt.redactions for receipt in receipts)
    progress.bytes += size_bytes
    progress.stored(progress.bytes)


def _kept(progress: Progress) -> str:
    if progress.receipt is None:
        return "Nothing was kept."
    return (
        f"What comes before, up to byte {progress.bytes:,}, was kept as {progress.receipt.id}, "
        f"in {progress.passages:,} passages."
    )


def _decoded(raw: bytes, *, start: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The input is not UTF-8 at byte {start + error.start:,}. "
            "Convert it, as with iconv -f LATIN1 -t UTF-8, and capture it again."
        ) from None
