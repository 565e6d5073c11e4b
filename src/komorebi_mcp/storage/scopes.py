"""Tokens by which the full-text index itself keeps owners, projects, kinds, tags and months apart.

Looking at a row of each match costs ten times what the index takes to leave it out. What they say is checked
again on the rows, so a token may say less than a filter asks.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, func, select, update

from komorebi_mcp.domain.captures import CaptureFilter, either_of
from komorebi_mcp.storage.owned import Rows, batches, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.project_rows import find_id
from komorebi_mcp.storage.tables import capture_index, capture_tags, captures

_MONTHS_MAX = 36
"""A longer stretch of time is left to the rows."""

_FILED = Prepared(
    select(captures.c.seq, captures.c.project_id, captures.c.kind, captures.c.created_at).where(
        of_owner(captures), in_list(captures.c.seq, "seqs")
    )
)
_TAGGED = Prepared(
    select(capture_tags.c.seq, capture_tags.c.tag).where(
        of_owner(capture_tags), in_list(capture_tags.c.seq, "seqs")
    )
)
_RESCOPE = Prepared(
    update(capture_index)
    .where(of_owner(capture_index), capture_index.c.seq == bindparam("of_seq"))
    .values(scope=bindparam("new_scope"))
)
_FIRST_AND_LAST = Prepared(
    select(
        select(func.min(captures.c.created_at)).where(of_owner(captures)).scalar_subquery().label("first"),
        select(func.max(captures.c.created_at)).where(of_owner(captures)).scalar_subquery().label("last"),
    )
)


def scope(owner: str, *, project_id: int | None, kind: str, tags: Iterable[str], created_at: datetime) -> str:
    """The tokens of a capture, one space apart."""
    tokens = (owner_token(owner), _project(project_id), _kind(kind), _month(created_at), *map(_tag, tags))
    return " ".join(tokens)


def rescope(rows: Rows, seqs: Sequence[int]) -> None:
    """Brings the tokens of captures in the index up to date with their rows."""
    for some in batches(seqs):
        tags: dict[int, list[str]] = {}
        for seq, tag in rows.fetch(_TAGGED, seqs=some):
            tags.setdefault(seq, []).append(tag)
        changed = [
            {
                "of_seq": row.seq,
                "new_scope": scope(
                    rows.owner,
                    project_id=row.project_id,
                    kind=row.kind,
                    tags=tags.get(row.seq, ()),
                    created_at=row.created_at,
                ),
            }
            for row in rows.fetch(_FILED, seqs=some)
        ]
        rows.change(_RESCOPE, changed)


def asked_for(rows: Rows, where: CaptureFilter) -> list[list[str]]:
    """What captures that fit have, months apart: of each list, one of its tokens at least."""
    asked = [[owner_token(rows.owner)]]
    if where.project is not None:
        # No project has the id -1.
        asked.append([_project(find_id(rows, where.project) or -1)])
    if where.kinds:
        asked.append([_kind(kind) for kind in where.kinds])
    asked += [[_tag(each) for each in either_of(tag)] for tag in where.tags]
    return asked


def months_asked_for(rows: Rows, where: CaptureFilter) -> list[str]:
    """The months of which captures that fit have one; none where any will do, or too many to name."""
    if where.since is None and where.until is None:
        return []
    first, last = rows.fetch(_FIRST_AND_LAST)[0]
    if first is None:
        return []
    start = first if where.since is None else max(first, where.since)
    end = last if where.until is None else min(last, where.until)
    if start <= first and end >= last:
        return []
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    numbers = range(start.year * 12 + start.month - 1, end.year * 12 + end.month)
    if len(numbers) > _MONTHS_MAX:
        return []
    # A stretch in which nothing was captured has no month, and is not to mean any.
    return [f"=m{number // 12}{number % 12 + 1:02}" for number in numbers] or ["=m0"]


def owner_token(owner: str) -> str:
    return f"=o{_short(owner)}"


def _project(project_id: int | None) -> str:
    return f"=p{project_id or 0}"


def _kind(kind: str) -> str:
    return f"=k{kind}"


def _tag(tag: str) -> str:
    return f"=t{_short(tag)}"


def _month(created_at: datetime) -> str:
    moment = created_at.astimezone(UTC)
    return f"=m{moment.year}{moment.month:02}"


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
