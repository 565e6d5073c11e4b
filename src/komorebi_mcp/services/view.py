"""What a summary reads: captures, and of a large project the nodes of its pyramid.

A project that can be read whole is; a larger one is told from nodes, so that what an answer costs does not
grow with it. Nothing here waits for the pyramid: what no fresh node covers is read itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from komorebi_mcp.domain.captures import CaptureFilter, CaptureText
from komorebi_mcp.domain.nodes import Node
from komorebi_mcp.domain.projects import Project
from komorebi_mcp.domain.pyramid import FAN_OUT, frontier
from komorebi_mcp.domain.summaries import Covers, Scope, Summary
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.find import not_there
from komorebi_mcp.storage.sample import Sample
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.text.terms import parse_query

WHOLE_MAX = 2_000
"""A project of so many captures is read whole, and of what no fresh node covers so many are."""
_NODES_MIN = 50
"""Fewer nodes tell too little of a large project to choose from."""
_QUERY_HITS_MAX = 400
"""A query or a focus is answered from its best hits where there may be more than can be read whole."""
_PAGE_LIMIT = 100


@dataclass(frozen=True, kw_only=True)
class View:
    """What of a scope is read for a summary."""

    scope: Scope = field(default_factory=Scope)
    project: Project | None = None
    before: Summary | None = None
    """The newest summary of the whole project as long as this one, where that is what is asked for."""
    captures: Sequence[CaptureText] = ()
    """All of them where they are few; else those that no fresh node covers."""
    nodes: Sequence[Node] = ()
    """Fresh ones that together cover all the others; empty where all captures are read."""
    children: tuple[str, ...] = ()
    """Ids of the highest fresh nodes."""
    level: int = 0
    """The highest level among these."""
    cut_short: bool = False
    """Whether captures wait that are too many to be read."""

    @property
    def covers(self) -> Covers:
        """How many captures are behind it, and from when to when."""
        parts = [node.covers for node in self.nodes]
        parts += [Covers(captures=1, since=each.created_at, until=each.created_at) for each in self.captures]
        return Covers(
            captures=sum(part.captures for part in parts),
            since=min((part.since for part in parts if part.since), default=None),
            until=max((part.until for part in parts if part.until), default=None),
        )


async def look(transaction: Transaction, scope: Scope, *, max_tokens: int) -> View:
    """What there is of the scope.

    Raises:
        NotFound: The scope holds no capture, or its project is not there.
    """
    project = None if scope.project is None else await transaction.projects.require(scope.project)
    if project is not None and scope == Scope(project=project.name):
        view = await _of_project(transaction, project)
        view = replace(view, before=await transaction.summaries.newest(project.name, max_tokens=max_tokens))
    else:
        found = await _captures(transaction, scope, large=project is None or project.captures > WHOLE_MAX)
        view = View(captures=found.captures, cut_short=not found.is_all)
    if not view.captures and not view.nodes:
        raise NotFound(
            "There is nothing to summarize yet. Call capture first."
            if scope == Scope()
            else "No capture fits. Widen the time, drop a filter, or call list_captures to see what there is."
        )
    return replace(view, scope=scope, project=project)


async def still_said(transaction: Transaction, scope: Scope, *, max_tokens: int) -> Summary | None:
    """The newest summary of the whole project, where the project says the same now and as much is wanted.

    None where no whole project is asked for. Nothing of what the project says is read.
    """
    if scope.project is None or scope != Scope(project=scope.project):
        return None
    project = await transaction.projects.get(scope.project)
    before = await transaction.summaries.newest(scope.project, max_tokens=max_tokens)
    if project is None or before is None or before.max_tokens != max_tokens:
        return None
    made_at = await transaction.pyramid.made_at(scope.project)
    changed_at = max((time for time in (project.updated_at, made_at) if time), default=None)
    return before if changed_at is None or before.created_at > changed_at else None


async def _captures(transaction: Transaction, scope: Scope, *, large: bool) -> Sample:
    """The captures in the scope, oldest first, or what stands for them where they are very many.

    `large` says whether there may be so many that what answers a query has to be searched for.
    """
    where = CaptureFilter(project=scope.project, since=scope.since, until=scope.until, ids=scope.ids)
    if scope.ids:
        not_there(scope.ids, await transaction.captures.projects_of(scope.ids))
        passages = await transaction.captures.passages(scope.ids)
        where = where.model_copy(update={"ids": (*scope.ids, *(passage.id for passage in passages))})
    elif large and scope.query:
        hits = await _best_hits(transaction, scope.query, where)
        if not hits:
            return Sample([], is_all=True)
        where = where.model_copy(update={"ids": hits})
    found = await transaction.captures.sample(where, most=WHOLE_MAX)
    if scope.focus and not found.is_all and (hits := await _best_hits(transaction, scope.focus, where)):
        return await transaction.captures.sample(where.model_copy(update={"ids": hits}), most=WHOLE_MAX)
    return found


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


async def _of_project(transaction: Transaction, project: Project) -> View:
    pyramid = transaction.pyramid
    shape = await pyramid.shape(project.name)
    if shape is None:
        return View()
    stale = {leaf // FAN_OUT for leaf in shape.due}
    tops = frontier(shape.size, stale=stale, there=shape.places)
    linked = await pyramid.nodes(shape.project_id, tops)
    children = tuple(linked[place].id for place in tops if place in linked)
    level = max((place.level for place in tops), default=0)
    view = View(children=children, level=level)
    if project.captures <= WHOLE_MAX:
        whole = await _captures(transaction, Scope(project=project.name), large=False)
        return replace(view, captures=whole.captures, cut_short=not whole.is_all)
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
