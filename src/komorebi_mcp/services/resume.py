"""Resume: where the owner left off, in sentences that stand in captures letter for letter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio.to_thread

from komorebi_mcp.domain.captures import CaptureFilter, Kind
from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.domain.nodes import Node
from komorebi_mcp.domain.projects import Project
from komorebi_mcp.domain.pyramid import FAN_OUT, frontier
from komorebi_mcp.domain.resume import (
    RESUME_TOKENS_DEFAULT,
    Glimpse,
    Resume,
    ResumeItem,
    ResumeSection,
    SinceWhen,
)
from komorebi_mcp.services.quoting import (
    SOURCES_MAX,
    distinct,
    gist_of,
    line_of,
    notable_of,
    one_of_alike,
    saying_something,
)
from komorebi_mcp.storage.store import Store
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.summarizers.extractive import summarize_nodes
from komorebi_mcp.text.notable import Sort
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens

_RECENT_MAX = 300
"""Captures that are read; those kept as decisions or errors are looked for further back."""
_OF_KIND_MAX = 40
_READ_CHARS_MAX = 300_000
"""Of the latest captures together; of the others only what enrichment found is told."""
_PAUSE = timedelta(hours=6)
"""So long nothing is captured between two stretches of work."""

SHORT, LEFT_OFF, DECISIONS, OPEN, ERRORS, CHANGED = (
    "In short",
    "Where you left off",
    "Decisions",
    "Open questions",
    "Errors seen",
    "Changed since you left",
)
_ITEMS_MAX = {SHORT: 3, LEFT_OFF: 5, DECISIONS: 10, OPEN: 10, ERRORS: 8, CHANGED: 20}
_SHORT_TOKENS = 80
_TOPS_MAX = 10
_LEFT_OFF_READ = 3 * _ITEMS_MAX[LEFT_OFF]
"""Some of them say no more than "ok"."""


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What was read."""

    project: Project | None
    since: datetime | None
    since_when: SinceWhen
    tops: Sequence[Node]
    """The highest nodes of its pyramid, the latest few; none while all there is fits a single node."""
    before: Sequence[Glimpse]
    """The latest captures before `since`; the latest of all on the first resume."""
    recent: Sequence[Glimpse]
    """All of these are the latest first."""
    changed: Sequence[Glimpse]
    changed_count: int


class Resuming:
    """Tells where the owner left off, and remembers when it did."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def resume(
        self,
        owner: str,
        *,
        project: str | None = None,
        since: datetime | None = None,
        max_tokens: int = RESUME_TOKENS_DEFAULT,
    ) -> Resume:
        """What to know before going on with the project, or with everything; `text` is within `max_tokens`.

        Changes are told of from `since` on, or else from the last resume of that project.

        Raises:
            NotFound: No project has that name.
        """
        now = self._clock()
        async with self._store.read(owner) as transaction:
            material = await _read(transaction, project, since)
        resumed = await anyio.to_thread.run_sync(_told, material, max_tokens)
        async with self._store.write(owner) as transaction:
            await transaction.recall.remember_resume(project, at=now)
        return resumed


async def _read(transaction: Transaction, name: str | None, since: datetime | None) -> _Material:
    project = None if name is None else await transaction.projects.require(name)
    recall = transaction.recall
    where = CaptureFilter(project=name)
    recent = list(await recall.recent(where, limit=_RECENT_MAX))
    known = {each.id for each in recent}
    for kind in (Kind.DECISION, Kind.ERROR) if len(recent) == _RECENT_MAX else ():
        more = await recall.recent(where.model_copy(update={"kinds": (kind,)}), limit=_OF_KIND_MAX)
        recent += [each for each in more if each.id not in known]
    since_when = SinceWhen.GIVEN
    if since is None:
        since, since_when = await recall.last_resume(name), SinceWhen.LAST_RESUME
    if since is None:
        since, since_when = last_activity(recent), SinceWhen.LAST_ACTIVITY
    before: Sequence[Glimpse] = recent[:_LEFT_OFF_READ]
    changed: Sequence[Glimpse] = ()
    changed_count = 0
    if since is not None and since_when is not SinceWhen.LAST_ACTIVITY:
        earlier = where.model_copy(update={"until": since})
        before = await recall.recent(earlier, limit=_LEFT_OFF_READ)
        later = where.model_copy(update={"since": since})
        changed = await recall.recent(later, limit=_ITEMS_MAX[CHANGED])
        changed_count = len(changed)
        if changed_count == _ITEMS_MAX[CHANGED]:
            changed_count = await transaction.captures.count(later)
    return _Material(
        project=project,
        since=since,
        since_when=since_when,
        tops=await _tops(transaction, name) if name is not None else (),
        before=before,
        recent=recent,
        changed=changed,
        changed_count=changed_count,
    )


async def _tops(transaction: Transaction, project: str) -> Sequence[Node]:
    shape = await transaction.pyramid.shape(project)
    if shape is None or shape.size <= FAN_OUT:
        return ()
    stale = {leaf // FAN_OUT for leaf in shape.due}
    tops = frontier(shape.size, stale=stale, there=shape.places)[-_TOPS_MAX:]
    nodes = await transaction.pyramid.nodes(shape.project_id, tops)
    return [nodes[place] for place in tops if place in nodes]


def last_activity(latest_first: Sequence[Glimpse]) -> datetime | None:
    """When the last stretch of work began."""
    began = latest_first[0].created_at if latest_first else None
    for each in latest_first:
        if began is None or began - each.created_at > _PAUSE:
            break
        began = min(began, each.created_at)
    return began


@dataclass(slots=True)
class _Draft:
    """A section as it is filled."""

    heading: str
    waiting: list[ResumeItem]
    items: list[ResumeItem] = field(default_factory=list)
    cut: bool = False
    """Whether something of it did not fit."""


def _told(material: _Material, max_tokens: int) -> Resume:
    drafts = _drafts(material)
    # In turns, so that a small budget holds something of everything.
    while any(draft.waiting for draft in drafts):
        for draft in drafts:
            if not draft.waiting:
                continue
            draft.items.append(draft.waiting.pop(0))
            if estimate_tokens(_rendered(material, drafts)) > max_tokens:
                draft.items.pop()
                draft.cut = True
    return Resume(
        project=material.project.name if material.project else None,
        text=cut_to_tokens(_rendered(material, drafts), max_tokens),
        sections=tuple(
            ResumeSection(heading=each.heading, items=tuple(each.items))
            for each in drafts
            if each.items or not each.cut
        ),
        since=material.since,
        since_when=material.since_when,
        truncated=any(draft.cut for draft in drafts),
    )


def _drafts(material: _Material) -> list[_Draft]:
    found: dict[Sort, list[ResumeItem]] = {sort: [] for sort in Sort}
    left = _READ_CHARS_MAX
    for each in material.recent:
        left -= len(each.content)
        for sort, text in notable_of(each, read=left >= 0):
            found[sort].append(ResumeItem(text=line_of(text), sources=(each.id,)))
    told = {
        SHORT: _in_short(material),
        LEFT_OFF: [gist_of(each) for each in saying_something(material.before)],
        DECISIONS: found[Sort.DECISION],
        OPEN: found[Sort.OPEN],
        ERRORS: one_of_alike(distinct(found[Sort.ERROR])),
        CHANGED: [gist_of(each) for each in material.changed],
    }
    return [
        _Draft(heading, distinct(items)[: _ITEMS_MAX[heading]])
        for heading, items in told.items()
        if items or heading != SHORT
    ]


def _in_short(material: _Material) -> list[ResumeItem]:
    """What the project's pyramid tells most."""
    goal = material.project.goal if material.project else ""
    draft = summarize_nodes(material.tops, max_tokens=_SHORT_TOKENS, goal=goal)
    return [
        ResumeItem(text=line_of(each.text), sources=each.sources[:SOURCES_MAX]) for each in draft.sentences
    ]


def _rendered(material: _Material, drafts: Sequence[_Draft]) -> str:
    project = material.project
    lines = [f"# {project.name if project else 'Everything'}"]
    if project is not None and project.goal:
        lines.append(f"Goal: {line_of(project.goal)}")
    lines.append(_since_line(material))
    numbers: dict[str, int] = {}
    for draft in drafts:
        if material.since is None:
            break
        lines += ["", f"## {draft.heading}"]
        for item in draft.items:
            marks = ", ".join(str(numbers.setdefault(each, len(numbers) + 1)) for each in item.sources)
            lines.append(f"- {item.text} [{marks}]")
        if not draft.items:
            lines.append("(more than fits)" if draft.waiting or draft.cut else "(none)")
    if numbers:
        lines += ["", "Sources:", *(f"[{number}] {capture_id}" for capture_id, number in numbers.items())]
    return "\n".join(lines)


def _since_line(material: _Material) -> str:
    if material.since is None:
        return "Nothing is captured here yet. Call capture to begin."
    when = f"{material.since:%Y-%m-%d %H:%M}Z"
    new = f"{material.changed_count:,} new capture{'' if material.changed_count == 1 else 's'}"
    match material.since_when:
        case SinceWhen.GIVEN:
            return f"Since {when}, as asked: {new}."
        case SinceWhen.LAST_RESUME:
            return f"Since the last resume, {when}: {new}."
        case SinceWhen.LAST_ACTIVITY:
            return f"The first resume here. The last activity began {when}."
