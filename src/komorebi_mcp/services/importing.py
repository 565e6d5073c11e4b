"""Import: captures from a file of JSON lines.

Rows are stored a thousand to a transaction. A row is known again by its key, its id or, without either, by
what it says, so that an import can be repeated or cut off at any point without loss or doubles.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, BinaryIO

import anyio.to_thread
import structlog
from pydantic import AfterValidator, BeforeValidator, ValidationError, model_validator

from komorebi_mcp.domain.captures import (
    CaptureCreate,
    Key,
    Kind,
    Passage,
    ProjectName,
    Receipt,
    Source,
    Status,
    Tags,
    Title,
)
from komorebi_mcp.domain.ids import parse_capture_id
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import InvalidInput, KomorebiError
from komorebi_mcp.services.batches import store_all
from komorebi_mcp.services.content import SecretsPolicy, check, cleaned
from komorebi_mcp.storage.store import Store

LINE_BYTES_MAX = 8 * 1024 * 1024
"""A content at its limit fits even where every character of it is escaped."""
_BATCH_ROWS = 1_000
_BATCH_BYTES = 16 * 1024 * 1024
"""A batch ends with the row that takes it beyond this."""

_log = structlog.get_logger(__name__)


def _utc(value: datetime) -> datetime:
    # In the first year or the last, some zones would have no time for it.
    if not MINYEAR < value.year < MAXYEAR:
        raise ValueError("is too far from the present")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _id(value: str) -> str:
    try:
        return parse_capture_id(value)
    except InvalidInput:
        raise ValueError("is no UUID in its canonical form") from None


class ImportRow(Model):
    """One line of the file: the fields of a capture, and where it stood elsewhere."""

    content: str
    title: Title | None = None
    project: ProjectName | None = None
    tags: Annotated[Tags, BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = ()
    kind: Kind = Kind.NOTE
    source: Source | None = None
    key: Key | None = None
    created_at: Annotated[datetime, AfterValidator(_utc)] | None = None
    """UTC where it names no zone."""
    id: Annotated[str, AfterValidator(_id)] | None = None
    status: Status = Status.INBOX
    passage: Passage | None = None

    @model_validator(mode="after")
    def _is_in_its_place(self) -> "ImportRow":
        place = self.passage
        if place is not None:
            if _id(place.group) != place.group or self.id is None:
                raise ValueError("a passage needs an id, and its group a canonical one")
            if (place.group == self.id) != (place.position == 1):
                raise ValueError("the group of a passage is the id of the one whose position is 1")
        return self


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not stored."""

    line: int
    """From 1."""
    reason: str


@dataclass(slots=True)
class Imported:
    """What has become of the rows so far; true at any moment, so that an interruption can be told of."""

    refuse: Callable[[Refusal], None]
    """Told of each refused row at once."""
    stored: Callable[[int], None]
    """Called with the number of bytes of the file that are dealt with."""
    created: int = 0
    known: int = 0
    """Stored by an earlier row or run."""
    redactions: int = 0
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: list[tuple[int, CaptureCreate]]
    """With their line numbers."""
    refused: list[Refusal]
    end: int
    """Offset of the first byte behind it."""


class Importer:
    """Takes captures in from files."""

    def __init__(self, store: Store, *, secrets: SecretsPolicy) -> None:
        self._store = store
        self._secrets: SecretsPolicy = secrets

    async def import_rows(self, owner: str, file: BinaryIO, imported: Imported) -> None:
        """Stores the rows of `file`, JSON objects one to a line; what was stored is in `imported`.

        A row that cannot be stored is refused by itself; the others go on.

        Raises:
            StorageError: The database cannot store any more.
        """
        batches = self._batches(file)
        while (batch := await anyio.to_thread.run_sync(next, batches, None)) is not None:
            await self._store_batch(owner, batch.rows, imported)
            for refusal in batch.refused:
                _refuse(imported, refusal)
            imported.stored(batch.end)

    async def _store_batch(
        self, owner: str, rows: Sequence[tuple[int, CaptureCreate]], imported: Imported
    ) -> None:
        if not rows:
            return
        try:
            receipts = await store_all(self._store, owner, [item for _, item in rows])
        except KomorebiError:
            # The database refused them all alike: it is full, locked or gone.
            raise
        except Exception:  # noqa: BLE001 - what one row brings about must not end the import of the others.
            if len(rows) == 1:
                _log.exception("import.row_failed", line=rows[0][0])
                reason = "It could not be stored; its id may be in use elsewhere. Leave the id out."
                _refuse(imported, Refusal(rows[0][0], reason))
                return
            # One of them is at fault; its neighbours must not pay for it.
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                await self._store_batch(owner, half, imported)
        else:
            _count(imported, receipts)

    def _batches(self, file: BinaryIO) -> Iterator[_Batch]:
        seen: Counter[bytes] = Counter()
        rows: list[tuple[int, CaptureCreate]] = []
        refused: list[Refusal] = []
        begin = end = 0
        for number, line in enumerate(_lines(file), start=1):
            end += len(line.text) + line.left_out
            if line.text.strip():
                try:
                    rows.append((number, self._row(line, seen)))
                except InvalidInput as error:
                    refused.append(Refusal(number, str(error)))
            if len(rows) + len(refused) >= _BATCH_ROWS or end - begin > _BATCH_BYTES:
                yield _Batch(rows, refused, end)
                rows, refused, begin = [], [], end
        yield _Batch(rows, refused, end)

    def _row(self, line: "_Line", seen: Counter[bytes]) -> CaptureCreate:
        """The capture that a line describes, ready to be stored.

        Raises:
            InvalidInput: It describes none.
        """
        if line.left_out:
            raise InvalidInput(f"The line has more than {LINE_BYTES_MAX:,} bytes.")
        given = _parsed(line.text)
        try:
            row = ImportRow.model_validate(
                {name: value for name, value in given.items() if value is not None}
            )
        except ValidationError as error:
            raise InvalidInput(_reason(error)) from None
        check(row.content)
        content, redactions = cleaned(row.content, secrets=self._secrets)
        made = CaptureCreate(**{**dict(row), "content": content, "redactions": redactions})
        # It is enriched anew, and is processed when that is done. No summary here covers it yet, whatever one
        # did elsewhere; without a project none will, and it stays as it was.
        anew = row.status is Status.PROCESSED or (row.status is Status.COMPACTED and row.project)
        status = Status.INBOX if anew else row.status
        key = row.key or (None if row.id else _key_from(given, seen))
        return made.model_copy(update={"status": status, "key": key})


@dataclass(frozen=True, slots=True)
class _Line:
    text: bytes
    left_out: int
    """How many bytes of it were not read into memory."""


def _lines(file: BinaryIO) -> Iterator[_Line]:
    while text := file.readline(LINE_BYTES_MAX):
        left_out = 0
        end = text
        while not end.endswith(b"\n") and len(end) == LINE_BYTES_MAX:
            end = file.readline(LINE_BYTES_MAX)
            left_out += len(end)
        yield _Line(text, left_out)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        given = json.loads(text.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The line is not UTF-8 at its byte {error.start + 1}.") from None
    except (ValueError, RecursionError) as error:
        where = f" at its column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"The line is not JSON{where}.") from None
    if not isinstance(given, dict):
        raise InvalidInput("The line is not a JSON object.")
    if b"\\u" in text:
        # Only an escape can bring in half of a surrogate pair, which UTF-8 cannot encode.
        try:
            json.dumps(given, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InvalidInput("The line holds a lone surrogate, which is not valid Unicode.") from None
    return given


def _reason(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    # A field with a wrong name explains one that is missing, so it is told first.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"It has the unknown field {where!r}; known are {', '.join(ImportRow.model_fields)}."
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}." if where else f"{said}."


def _key_from(given: dict[str, Any], seen: Counter[bytes]) -> str:
    """The same for the same row on every run; rows of one file that say the same are told apart."""
    digest = blake2b(json.dumps(given, sort_keys=True).encode(), digest_size=16).digest()
    seen[digest] += 1
    return f"import:{digest.hex()}#{seen[digest]}"


def _refuse(imported: Imported, refusal: Refusal) -> None:
    imported.refused.append(refusal)
    imported.refuse(refusal)


def _count(imported: Imported, receipts: Sequence[Receipt]) -> None:
    created = sum(receipt.created for receipt in receipts)
    imported.created += created
    imported.known += len(receipts) - created
    imported.redactions += sum(receipt.redactions for receipt in receipts if receipt.created)
