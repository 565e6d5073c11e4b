"""Gather: the latest captures for a model to work on, as much of them as fits."""

from collections.abc import Sequence
from datetime import datetime

import anyio.to_thread

from komorebi_mcp.domain.captures import CaptureFilter, EntityType, Kind
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.resume import Glimpse
from komorebi_mcp.services.resume import last_activity
from komorebi_mcp.storage.store import Store
from komorebi_mcp.text.notable import Sort, notable
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens

GATHERED_TOKENS_MAX = 6_000
_CAPTURE_TOKENS_MAX = 400
_FIELDS_TOKENS = 50
"""What a capture's id, time and title cost beside its content."""
_READ_MAX = 300


class Gathered(Model):
    """Captures, the earliest first."""

    captures: tuple[Glimpse, ...]
    """A longer content is cut behind a sentence or word."""
    cut: frozenset[str]
    """Ids of those."""
    since: datetime | None
    left_out: bool
    """Whether earlier ones did not fit."""


async def gather(
    store: Store,
    owner: str,
    where: CaptureFilter,
    *,
    last_stretch: bool = False,
    only_decisions: bool = False,
) -> Gathered:
    """The latest captures that fit the filter, of the last stretch of work or with decisions only, if asked.

    Raises:
        NotFound: The filter names a project that is not there.
    """
    async with store.read(owner) as transaction:
        if where.project is not None:
            await transaction.projects.require(where.project)
        found = await transaction.recall.recent(where, limit=_READ_MAX + 1)
        if only_decisions and len(found) > _READ_MAX:
            known = {each.id for each in found}
            kept = where.model_copy(update={"kinds": (Kind.DECISION,)})
            older = await transaction.recall.recent(kept, limit=_READ_MAX)
            found += [each for each in older if each.id not in known]
    began = last_activity(found) if last_stretch else None
    if began is not None:
        found = [each for each in found if each.created_at >= began]
    if only_decisions:
        found = await anyio.to_thread.run_sync(_deciding, found)
    return _packed(found, since=began or where.since)


def _deciding(found: Sequence[Glimpse]) -> list[Glimpse]:
    return [
        each
        for each in found
        if each.kind is Kind.DECISION
        or any(type_ is EntityType.DECISION for type_, _ in each.named)
        or any(sort is Sort.DECISION for sort, _ in notable(each.content))
    ]


def _packed(latest_first: Sequence[Glimpse], *, since: datetime | None) -> Gathered:
    left = GATHERED_TOKENS_MAX
    shown: list[Glimpse] = []
    cut: set[str] = set()
    for each in latest_first:
        content = cut_to_tokens(each.content, _CAPTURE_TOKENS_MAX)
        left -= _FIELDS_TOKENS + estimate_tokens(content)
        if left < 0:
            break
        shown.append(each.model_copy(update={"content": content}))
        if each.is_cut or len(content) < len(each.content):
            cut.add(each.id)
    return Gathered(
        captures=tuple(reversed(shown)),
        cut=frozenset(cut),
        since=since,
        left_out=len(shown) < len(latest_first),
    )
