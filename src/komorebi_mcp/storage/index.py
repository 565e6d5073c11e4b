"""Rows of the full-text index."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from komorebi_mcp.domain.captures import Enrichment
from komorebi_mcp.storage.owned import Rows, among, batches
from komorebi_mcp.storage.tables import capture_index

TERMS_MAX = 50_000
"""Distinct terms of one capture that are indexed."""

_VECTOR_BYTES_MAX = 900_000
"""PostgreSQL takes at most 1 MiB of lexemes and positions; both databases get the same terms."""

_POSITIONS_MAX = 255
_POSITION_MAX = 16_383
"""PostgreSQL's limits of positions kept for one lexeme, and of a position's value."""


def scope(owner: str, project_id: int | None) -> str:
    """The tokens by which SQLite's index tells owners and projects apart."""
    return f"{owner_token(owner)} {project_token(project_id)}"


def owner_token(owner: str) -> str:
    return "o" + hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()


def project_token(project_id: int | None) -> str:
    return f"p{project_id or 0}"


def put(rows: Rows, found: Iterable[tuple[int, int | None, Enrichment]]) -> None:
    """Adds captures, each with its project, to the index, where they must not be yet."""
    is_postgres = rows.connection.dialect.name == "postgresql"
    rows.insert(capture_index, [_entry(rows.owner, *each, with_vector=is_postgres) for each in found])


def _entry(
    owner: str, seq: int, project_id: int | None, found: Enrichment, *, with_vector: bool
) -> dict[str, Any]:
    kept, kept_meta = capped(found.terms), capped(found.meta_terms)
    entry = {
        "seq": seq,
        "signature": found.signature,
        "terms": " ".join(kept),
        "meta": " ".join(kept_meta),
        "scope": scope(owner, project_id),
        "length": len(kept) + len(kept_meta),
        "asks": found.asks,
        "tells_when": found.tells_when,
    }
    return {**entry, "vector": _vector(kept, kept_meta)} if with_vector else entry


def drop(rows: Rows, seqs: Sequence[int]) -> None:
    for some in batches(seqs):
        rows.run(rows.delete(capture_index).where(among(capture_index.c.seq, some)))


def move(rows: Rows, seqs: Sequence[int], project_id: int | None) -> None:
    """Says that the captures belong to another project now."""
    for some in batches(seqs):
        changed = rows.update(capture_index).where(among(capture_index.c.seq, some))
        rows.run(changed.values(scope=scope(rows.owner, project_id)))


def capped(terms: Sequence[str]) -> list[str]:
    """The terms up to where the index would take no more."""
    if len(terms) <= TERMS_MAX and 4 * sum(map(len, terms)) + 8 * len(terms) <= _VECTOR_BYTES_MAX:
        # It could not be too much even if each were another one, in four bytes a character.
        return list(terms)
    counts: dict[str, int] = {}
    spent_bytes = 0
    for place, term in enumerate(terms):
        count = counts.get(term, 0)
        if count == 0:
            spent_bytes += len(term.encode()) + 6
        if count < _POSITIONS_MAX:
            spent_bytes += 2
        if spent_bytes > _VECTOR_BYTES_MAX or (count == 0 and len(counts) == TERMS_MAX):
            return list(islice(terms, place))
        counts[term] = count + 1
    return list(terms)


def _vector(terms: Sequence[str], meta: Sequence[str]) -> str:
    """The terms in tsvector's own notation: content weighs A, metadata B."""
    places: dict[str, list[str]] = {}
    for weight, words in (("A", terms), ("B", meta)):
        for position, term in enumerate(words, 1):
            at = places.setdefault(term, [])
            if len(at) < _POSITIONS_MAX:
                at.append(f"{min(position, _POSITION_MAX)}{weight}")
    return " ".join(f"{quoted(term)}:{','.join(at)}" for term, at in places.items())


def quoted(term: str) -> str:
    """The term as a literal of tsvector and tsquery."""
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"
