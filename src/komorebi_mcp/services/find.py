"""Find: list, search and read captures."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, tzinfo

from komorebi_mcp.domain.captures import (
    Capture,
    CaptureFilter,
    CaptureOverview,
    NearDuplicate,
    Order,
)
from komorebi_mcp.domain.clock import Clock, utc_now
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.search import Hit, Related, SearchQuery
from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.errors import InvalidInput, NotFound
from komorebi_mcp.services.portions import Portion, portion
from komorebi_mcp.storage.store import Store
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.text.terms import parse_query, terms
from komorebi_mcp.text.times import Span, time_span
from komorebi_mcp.text.tokens import estimate_tokens

READ_TOKENS_DEFAULT = 8_000
READ_TOKENS_MAX = 25_000
QUERY_CHARS_MAX = 10_000

_HIT_TOKENS = 70
"""What a hit's id, uri, project and time cost beside its title and snippet."""
_ALSO_TOKENS = 20
"""What the id of a capture costs that says almost the same as a hit."""
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
    span: Span | None = None
    """The time that the query speaks of."""


class ReadResult(Portion):
    """What of the captures fits, and what is told with them."""

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

    async def why_none(self, owner: str, where: CaptureFilter) -> str | None:
        """What to say where nothing fits because the filter's project is not there.

        That is no error: a client may look into a project before it captures into it.
        """
        if where.project is None:
            return None
        try:
            async with self._store.read(owner) as transaction:
                await transaction.projects.require(where.project)
        except NotFound as absent:
            return str(absent)
        return None

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
            span=span,
        )

    async def missing(self, owner: str, ids: Sequence[str]) -> tuple[str, ...]:
        """Those of the ids that are nobody's, or not the owner's.

        Raises:
            NotFound: None of them is there.
        """
        wanted = list(dict.fromkeys(ids))
        async with self._store.read(owner) as transaction:
            return not_there(wanted, {capture.id for capture in await transaction.captures.get(wanted)})

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
        """The captures with these ids, in this order, as many of them as fit whole into `max_tokens`.

        Only the first one is cut where it does not fit, and then stands alone. The first passage of a group
        is read as the whole text, unless `joined` is false.

        Raises:
            InvalidInput: An offset was given with several ids, or lies beyond the end.
            NotFound: None of the ids is there.
        """
        wanted = list(dict.fromkeys(ids))
        if offset and len(wanted) > 1:
            raise InvalidInput(
                "offset can only go with a single id. Repeat the call with the one capture to read on."
            )
        async with self._store.read(owner) as transaction:
            found = await transaction.captures.get(wanted)
            missing = not_there(wanted, {capture.id for capture in found})
            near = {} if offset else await transaction.captures.near_duplicates(wanted)
            alike = {c.id: await _related(transaction, c) for c in found} if related else {}
            beside = {
                c.id: _RELATED_TOKENS * len(alike.get(c.id, ())) + _NEAR_TOKENS * len(near.get(c.id, ()))
                for c in found
            }
            read = await portion(
                transaction, found, beside=beside, offset=offset, tokens=max_tokens, joined=joined
            )
        return ReadResult(
            **dict(read),
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
    # What says almost the same shares the main words, too, and may be folded under the capture itself.
    scores = {each: hit.score for hit in page.items for each in (hit.id, *hit.also) if each != capture.id}
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
        left -= _ALSO_TOKENS * len(hit.also)
        if left < 0:
            return max(count, 1)
    return len(hits)
