"""Rows of the full-text index."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

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


class Entry(NamedTuple):
    """A capture to be found."""

    seq: int
    scope: str
    """As `scopes.scope` makes it."""
    found: Enrichment


def put(rows: Rows, entries: Iterable[Entry]) -> None:
    """Adds captures to the index, where they must not be yet."""
    is_postgres = rows.connection.dialect.name == "postgresql"
    rows.insert(capture_index, [_row(entry, with_vector=is_postgres) for entry in entries])


def _row(entry: Entry, *, with_vector: bool) -> dict[str, Any]:
    found = entry.found
    kept, kept_meta = capped(found.terms), capped(found.meta_terms)
    row = {
        "seq": entry.seq,
        "signature": found.signature,
        "terms": " ".join(kept),
        "meta": " ".join(kept_meta),
        "scope": entry.scope,
        "length": len(kept) + len(kept_meta),
        "asks": found.asks,
        "tells_when": found.tells_when,
    }
    return {**row, "vector": _vector(kept, kept_meta)} if with_vector else row


def drop(rows: Rows, seqs: Sequence[int]) -> None:
    for some in batches(seqs):
        rows.run(rows.delete(capture_index).where(among(capture_index.c.seq, some)))


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
