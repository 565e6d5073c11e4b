"""Find: list, search and read captures."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, tzinfo

from komorebi_mcp.domain.captures import (
    Capture,
    CaptureFilter,
    CaptureOverview,
    Entity,
    NearDuplicate,
    Order,
    PassageSize,
)
from komorebi_mcp.domain.clock import Clock, utc_now
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.search import Hit, Related, SearchQuery
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.storage.store import Store
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.text.terms import parse_query, terms
from komorebi_mcp.text.times import time_span
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens

READ_TOKENS_DEFAULT = 8_000
READ_TOKENS_MAX = 25_000
QUERY_CHARS_MAX = 10_000

_CAPTURE_TOKENS = 60
"""What a capture's id, uri, title and other fields cost beside its content."""
_HIT_TOKENS = 70
"""What a hit's id, uri, project and time cost beside its title and snippet."""
_ENTITY_TOKENS = 14
_ENTITIES_SHOWN_MAX = 50
_RELATED_TOKENS = 70
_NEAR_TOKENS = 60
_RELATED_MAX = 5


class SearchResult(Model):
    """Hits, best first."""

    hits: tuple[Hit, ...]
    next_cursor: str | None
    omitted: int
    """Hits of this page left out because they did not fit `max_tokens`; `next_cursor` goes on with them."""
    capped: bool
    """So many captures match that the oldest were left aside; a rarer word or a filter reaches them."""
    loosened: bool = False
    """No capture has the "quoted words" in that order, so these have some words of the query."""


class ReadResult(Model):
    """Captures whole, or as much of them as fits."""

    captures: tuple[Capture, ...]
    next_offset: int | None
    """Where to go on, in characters, when one capture was asked for and did not fit."""
    cut: tuple[str, ...]
    """Ids of captures whose content is not given whole."""
    missing: tuple[str, ...]
    """Ids that were asked for and are not there."""
    near: Mapping[str, tuple[NearDuplicate, ...]] = {}
    """Captures that say almost the same, by the id of one that is shown from its beginning; best first."""
    related: Mapping[str, tuple[Related, ...]] = {}
    """By the id of a capture that is shown, where asked for; best first."""


def _utc() -> tzinfo:
    return UTC


class Find:
    """Reads only."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock = utc_now,
        zone: Callable[[], tzinfo] = _utc,
        read: Callable[[str], Awaitable[Vector | None]] | None = None,
    ) -> None:
        """`zone` is whose days the time words of a query mean; `read` says what it means to a model."""
        self._store = store
        self._clock = clock
        self._zone = zone
        self._read = read

    async def page(
        self,
        owner: str,
        where: CaptureFilter,
        *,
        order: Order = Order.NEWEST,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> Page[CaptureOverview]:
        """One page of the captures that fit.

        Raises:
            InvalidInput: The cursor belongs to another list.
        """
        async with self._store.read(owner) as transaction:
            return await transaction.captures.page(where, order=order, limit=limit, cursor=cursor)

    async def search(
        self,
        owner: str,
        query: str,
        where: CaptureFilter,
        *,
        limit: int = LIMIT_DEFAULT,
        max_tokens: int | None = None,
        cursor: str | None = None,
    ) -> SearchResult:
        """The captures that match any word of the query, best first, packed into `max_tokens` where given.

        Raises:
            InvalidInput: The query is empty or too long, or the cursor belongs to another search.
        """
        if not query.strip():
            raise InvalidInput("The query is empty. Say in a few words what to find, or call list_captures.")
        if len(query) > QUERY_CHARS_MAX:
            raise InvalidInput(
                f"The query is over {QUERY_CHARS_MAX:,} characters. Search for its main words instead."
            )
        span = time_span(query, now=self._clock(), zone=self._zone())
        meaning = await self._read(query) if self._read else None
        parsed = parse_query(query).model_copy(update={"span": span, "meaning": meaning})
        async with self._store.read(owner) as transaction:
            page = await transaction.captures.search(parsed, where, limit=limit, cursor=cursor)
            fitting = len(page.items) if max_tokens is None else _how_many_fit(page.items, max_tokens)
            omitted = len(page.items) - fitting
            if omitted:
                # Asked again for so many, the index gives the cursor that stands right behind them.
                page = await transaction.captures.search(parsed, where, limit=fitting, cursor=cursor)
        return SearchResult(
            hits=page.items,
            next_cursor=page.next_cursor,
            omitted=omitted,
            capped=page.capped,
            loosened=page.loosened,
        )

    async def read(
        self,
        owner: str,
        ids: Sequence[str],
        *,
        max_tokens: int = READ_TOKENS_DEFAULT,
        offset: int = 0,
        related: bool = False,
        joined: bool = True,
    ) -> ReadResult:
        """The captures with these ids, in this order, their contents together within `max_tokens`.

        The first passage of a group is read as the whole text, unless `joined` is false.

        Raises:
            InvalidInput: An offset was given with several ids, or lies beyond the end.
            NotFound: None of the ids is there.
        """
        wanted = list(dict.fromkeys(ids))
        if offset and len(wanted) > 1:
            raise InvalidInput("offset goes with one id. Repeat the call with the one capture to read on.")
        async with self._store.read(owner) as transaction:
            found = await transaction.captures.get(wanted)
            missing = not_there(wanted, {capture.id for capture in found})
            near = {} if offset else await transaction.captures.near_duplicates(wanted)
            alike = {c.id: await _related(transaction, c) for c in found} if related else {}
            sizes = await _sizes(transaction, found, joined=joined)
            chars = sum(size.chars for size in sizes[found[0].id])
            if offset and offset >= chars:
                raise InvalidInput(
                    f"offset {offset} is beyond the end: the capture has {chars} characters. "
                    "Repeat the call with a smaller offset."
                )
            shown: list[Capture] = []
            cut: list[str] = []
            left = max_tokens
            for capture in found:
                left -= _RELATED_TOKENS * len(alike.get(capture.id, ()))
                left -= _NEAR_TOKENS * len(near.get(capture.id, ()))
                part, cost = await _part(transaction, capture, sizes[capture.id], offset=offset, tokens=left)
                left -= cost
                shown.append(part)
                if offset + len(part.content) < sum(size.chars for size in sizes[capture.id]):
                    cut.append(capture.id)
        reads_on = len(found) == 1 and bool(cut)
        return ReadResult(
            captures=tuple(shown),
            next_offset=offset + len(shown[0].content) if reads_on else None,
            cut=tuple(cut),
            missing=missing,
            near=near,
            related=alike,
        )


async def _related(transaction: Transaction, capture: Capture) -> tuple[Related, ...]:
    """The captures that share most of this one's keywords; none before it is enriched."""
    wanted = {keyword: set(terms(keyword)) for keyword in capture.keywords}
    query = SearchQuery(terms=tuple(sorted(set().union(*wanted.values()))))
    if not query.terms:
        return ()
    page = await transaction.captures.search(query, CaptureFilter(), limit=_RELATED_MAX + 1)
    scores = {hit.id: hit.score for hit in page.items if hit.id != capture.id}
    related = []
    for other in await transaction.captures.get(tuple(scores)):
        there = set(terms(f"{other.title} {other.content}"))
        shared = tuple(keyword for keyword, parts in wanted.items() if parts and parts <= there)
        related.append(Related(id=other.id, title=other.title, score=scores[other.id], shared=shared))
    return tuple(related[:_RELATED_MAX])


def not_there(ids: Sequence[str], there: Collection[str]) -> tuple[str, ...]:
    """Those of the ids that are not among those that are there.

    Raises:
        NotFound: None is.
    """
    missing = tuple(capture_id for capture_id in ids if capture_id not in there)
    if missing and not there:
        what = (
            f"No capture has the id '{missing[0]}'"
            if len(missing) == 1
            else "No capture has any of these ids"
        )
        raise NotFound(f"{what}. Call list_captures or search_captures to find it.")
    return missing


def _how_many_fit(hits: Sequence[Hit], max_tokens: int) -> int:
    """How many of the first hits fit; at least one, so that what was found is never shown as nothing."""
    left = max_tokens
    for count, hit in enumerate(hits):
        left -= _HIT_TOKENS + estimate_tokens(hit.title) + estimate_tokens(hit.snippet)
        if left < 0:
            return max(count, 1)
    return len(hits)


async def _sizes(
    transaction: Transaction, found: Sequence[Capture], *, joined: bool
) -> Mapping[str, Sequence[PassageSize]]:
    """What is to be read for each capture: itself, or all passages of the text it begins."""
    sizes = {c.id: [PassageSize(id=c.id, group=c.id, chars=len(c.content))] for c in found}
    heads = [c.id for c in found if c.passage is not None and c.passage.group == c.id]
    if heads and joined:
        passages = await transaction.captures.passages(heads)
        sizes |= {head: [size for size in passages if size.group == head] for head in heads}
    return sizes


async def _part(
    transaction: Transaction, capture: Capture, sizes: Sequence[PassageSize], *, offset: int, tokens: int
) -> tuple[Capture, int]:
    """`capture` with as much of its text as fits, from `offset` on, and what it costs in tokens."""
    left = max(tokens - _CAPTURE_TOKENS, 0)
    pieces: list[str] = []
    within: list[Entity] = []
    start, at = 0, offset
    for size in sizes:
        if start + size.chars > at:
            # Read one at a time: the whole text may be larger than memory.
            passage = capture if size.id == capture.id else (await transaction.captures.get([size.id]))[0]
            rest = passage.content[at - start :]
            piece = cut_to_tokens(rest, left)
            if not piece and left and not pieces:
                # A character can be dearer than what is left; without it reading on would never end.
                piece = rest[:1]
            left -= estimate_tokens(piece)
            here = [
                e.model_copy(update={"start": start + e.start, "end": start + e.end})
                for e in passage.entities
            ]
            within += [e for e in here if at <= e.start and e.end <= at + len(piece)]
            pieces.append(piece)
            at += len(piece)
            if len(piece) < len(rest):
                break
        start += size.chars
    entities = tuple(within[: min(max(left, 0) // _ENTITY_TOKENS, _ENTITIES_SHOWN_MAX)])
    content = "".join(pieces)
    cost = _CAPTURE_TOKENS + estimate_tokens(content) + _ENTITY_TOKENS * len(entities)
    return capture.model_copy(update={"content": content, "entities": entities}), cost
