"""Summarize: verbatim sentences that say which captures they come from.

A project that can be read whole is; a larger one is told from the nodes of its pyramid, so that what an
answer costs does not grow with it. Nothing here waits for the pyramid: what no fresh node covers is read
itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import anyio.to_thread

from komorebi_mcp.domain.captures import Capture, CaptureFilter
from komorebi_mcp.domain.nodes import Node
from komorebi_mcp.domain.projects import Project
from komorebi_mcp.domain.pyramid import FAN_OUT, frontier
from komorebi_mcp.domain.summaries import MAX_TOKENS_DEFAULT, Covers, Scope, Summary, SummaryCreate
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.find import not_there
from komorebi_mcp.services.material import passage
from komorebi_mcp.storage.store import Store, Transaction
from komorebi_mcp.summarizers.condense import condense_passages
from komorebi_mcp.summarizers.draft import Draft
from komorebi_mcp.summarizers.extractive import summarize, summarize_nodes
from komorebi_mcp.text.terms import parse_query

WHOLE_MAX = 2_000
"""A project of so many captures is read whole, and of what no fresh node covers so many are."""
_NODES_MIN = 50
"""Fewer nodes tell too little of a large project to choose from."""
_QUERY_HITS_MAX = 400
"""A query without a project is answered from its best hits, not from everything there is."""
_PAGE_LIMIT = 100


class Summarize:
    """Makes summaries and keeps them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def summarize(
        self, owner: str, scope: Scope, *, max_tokens: int = MAX_TOKENS_DEFAULT, refresh: bool = False
    ) -> Summary:
        """A summary of the captures in the scope, at most `max_tokens` long, kept under its own id.

        Unless `refresh`, a project's summary is given back as it was as long as the project is unchanged.

        Raises:
            NotFound: The scope holds no capture, or its project is not there.
        """
        whole = scope == Scope(project=scope.project) and scope.project is not None
        async with self._store.read(owner) as transaction:
            project = await _project(transaction, scope.project)
            before = await transaction.summaries.newest(project.name) if whole and project else None
            view = await _view(transaction, project) if whole and project else None
            if not refresh and before is not None and before.max_tokens == max_tokens and project is not None:
                changed_at = max(project.updated_at, (view and view.made_at) or project.updated_at)
                if before.created_at > changed_at:
                    return before
            captures = view.captures if view else await _captures(transaction, scope)
        nodes = view.nodes if view and not view.read_whole else ()
        if not captures and not nodes:
            raise NotFound(
                "No capture fits. Widen the time, drop a filter, or call list_captures to see what there is."
            )
        passages = [passage(capture) for capture in captures]
        goal = project.goal if project else ""
        told = [sentence.text for sentence in before.sentences] if before else []

        def draft() -> Draft:
            if nodes:
                edge = [
                    condense_passages(passages[at : at + FAN_OUT]) for at in range(0, len(passages), FAN_OUT)
                ]
                return summarize_nodes([*nodes, *edge], max_tokens=max_tokens, goal=goal, before=told)
            return summarize(
                passages,
                max_tokens=max_tokens,
                query=scope.query,
                focus=scope.focus,
                goal=goal,
                before=told,
            )

        drafted = await anyio.to_thread.run_sync(draft)
        made = SummaryCreate(
            scope=scope,
            sentences=drafted.sentences,
            level=1 + (view.level if view else 0),
            covers=_covers(captures, nodes),
            method="extractive",
            truncated=drafted.truncated or (view is not None and view.cut_short),
            max_tokens=max_tokens,
            children=view.children if view else (),
        )
        async with self._store.write(owner) as transaction:
            return await transaction.summaries.add(made)

    async def get(self, owner: str, summary_id: str) -> Summary:
        """A summary made earlier.

        Raises:
            NotFound: No summary has that id, or a capture it told of was forgotten.
        """
        async with self._store.read(owner) as transaction:
            summary = await transaction.summaries.get(summary_id)
        if summary is None:
            raise NotFound(f"No summary has the id '{summary_id}'. Call summarize to make one.")
        return summary

    async def brief(self, owner: str, project: str) -> Summary:
        """The project's present summary, made anew where the project has changed since.

        Raises:
            NotFound: No project has that name, or it holds no captures.
        """
        return await self.summarize(owner, Scope(project=project))


async def _project(transaction: Transaction, name: str | None) -> Project | None:
    if name is None:
        return None
    project = await transaction.projects.get(name)
    if project is None:
        raise NotFound("No project has that name. Call list_projects for the names there are.")
    return project


async def _captures(transaction: Transaction, scope: Scope) -> Sequence[Capture]:
    """The captures in the scope, oldest first."""
    where = CaptureFilter(project=scope.project, since=scope.since, until=scope.until, ids=scope.ids)
    if scope.ids:
        not_there(scope.ids, await transaction.captures.overviews(scope.ids))
        passages = await transaction.captures.passages(scope.ids)
        where = where.model_copy(update={"ids": (*scope.ids, *(passage.id for passage in passages))})
    elif scope.query and scope.project is None:
        where = where.model_copy(update={"ids": await _best_hits(transaction, scope.query, where)})
        if not where.ids:
            return []
    return [capture async for capture in transaction.captures.walk(where)]


async def _best_hits(transaction: Transaction, query: str, where: CaptureFilter) -> tuple[str, ...]:
    ids: list[str] = []
    cursor: str | None = None
    while len(ids) < _QUERY_HITS_MAX:
        page = await transaction.captures.search(parse_query(query), where, limit=_PAGE_LIMIT, cursor=cursor)
        ids.extend(hit.id for hit in page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    return tuple(ids)


@dataclass(frozen=True, kw_only=True)
class _View:
    """What a summary of a whole project may read."""

    captures: Sequence[Capture]
    """All of them where they are few; else those that no fresh node covers."""
    nodes: Sequence[Node] = ()
    """Fresh ones that together cover all the others."""
    children: tuple[str, ...] = ()
    """Ids of the highest fresh nodes."""
    level: int = 0
    """The highest level among these."""
    made_at: datetime | None = None
    """When the pyramid last changed."""
    cut_short: bool = False
    """Whether captures wait that are too many to be read."""

    @property
    def read_whole(self) -> bool:
        return not self.nodes


async def _view(transaction: Transaction, project: Project) -> _View:
    pyramid = transaction.pyramid
    shape = await pyramid.shape(project.name)
    if shape is None:
        return _View(captures=[])
    stale = {leaf // FAN_OUT for leaf in shape.due}
    tops = frontier(shape.size, stale=stale, there=shape.places)
    linked = await pyramid.nodes(shape.project_id, tops)
    children = tuple(linked[place].id for place in tops if place in linked)
    level = max((place.level for place in tops), default=0)
    view = _View(captures=[], children=children, level=level, made_at=shape.made_at)
    if project.captures <= WHOLE_MAX:
        return replace(view, captures=await _captures(transaction, Scope(project=project.name)))
    told = frontier(shape.size, stale=stale, there=shape.places, nodes_min=_NODES_MIN)
    nodes = await pyramid.nodes(shape.project_id, told)
    behind = [
        position for group in sorted(stale) for position in range(group * FAN_OUT, (group + 1) * FAN_OUT)
    ]
    edge = await pyramid.captures_at(shape.project_id, behind[-WHOLE_MAX:])
    fresh = await pyramid.unplaced(shape.project_id, limit=WHOLE_MAX + 1)
    return replace(
        view,
        captures=[*edge, *fresh[-WHOLE_MAX:]],
        nodes=[nodes[place] for place in told if place in nodes],
        cut_short=len(behind) > WHOLE_MAX or len(fresh) > WHOLE_MAX,
    )


def _covers(captures: Sequence[Capture], nodes: Sequence[Node]) -> Covers:
    parts = [node.covers for node in nodes]
    parts += [Covers(captures=1, since=each.created_at, until=each.created_at) for each in captures]
    return Covers(
        captures=sum(part.captures for part in parts),
        since=min((part.since for part in parts if part.since), default=None),
        until=max((part.until for part in parts if part.until), default=None),
    )
