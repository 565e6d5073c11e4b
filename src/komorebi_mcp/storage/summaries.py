"""The summaries of one owner."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case

from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.domain.summaries import Scope, Summary, SummaryCreate
from komorebi_mcp.storage import nodes
from komorebi_mcp.storage.owned import AnyRow, OwnedSession, Rows, among, batches, canonical
from komorebi_mcp.storage.project_rows import id_query, require_id
from komorebi_mcp.storage.tables import projects, summaries, summary_children, summary_sources

_WITH_PROJECT = summaries.outerjoin(
    projects, (projects.c.id == summaries.c.project_id) & (projects.c.owner == summaries.c.owner)
)
_COLUMNS = (summaries, projects.c.name.label("project"))


class SummaryRepository:
    """The summaries of one owner, within one transaction."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def add(self, summary: SummaryCreate) -> Summary:
        """The summary as it is kept.

        Raises:
            NotFound: Its project does not exist.
        """
        return await self._session.run(_add, summary)

    async def get(self, summary_id: str) -> Summary | None:
        """The summary; None where there is none."""
        return await self._session.run(_get, summary_id)

    async def newest(self, project: str, *, max_tokens: int) -> Summary | None:
        """The newest one of the whole project, made with no ids, query, focus or time limits.

        One that was to be as long goes before newer ones of another length.
        """
        return await self._session.run(_newest, project, max_tokens)

    async def forget_citing(self, capture_ids: Sequence[str]) -> int:
        """How many were deleted: those that cite or cover any of the captures, and all made from such."""
        return await self._session.run(_forget_citing, capture_ids)


def _add(rows: Rows, summary: SummaryCreate) -> Summary:
    scope = summary.scope
    project_id = None if scope.project is None else require_id(rows, scope.project)
    kept = Summary(**dict(summary), id=new_id(), created_at=rows.clock())
    written = kept.model_dump(mode="json")
    # The project's name is the project's to change, and children are rows of their own.
    plain = {
        name: written[name] for name in ("sentences", "covers", "level", "method", "rejected", "truncated")
    }
    row = {
        **plain,
        "id": kept.id,
        "project_id": project_id,
        "whole": scope == Scope(project=scope.project) and project_id is not None,
        "scope": {name: value for name, value in written["scope"].items() if name != "project"},
        "max_tokens": kept.max_tokens,
        "created_at": kept.created_at,
    }
    rows.insert(summaries, [row])
    seq = rows.run(rows.select(summaries.c.seq, of=summaries).where(summaries.c.id == kept.id)).scalar_one()
    cited = dict.fromkeys(source for sentence in kept.sentences for source in sentence.sources)
    rows.insert(summary_sources, [{"seq": seq, "capture_id": capture_id} for capture_id in cited])
    children = enumerate(dict.fromkeys(kept.children))
    rows.insert(
        summary_children,
        [{"seq": seq, "child_id": child, "position": position} for position, child in children],
    )
    return kept


def _get(rows: Rows, summary_id: str) -> Summary | None:
    found = (
        rows.select(*_COLUMNS, of=summaries)
        .select_from(_WITH_PROJECT)
        .where(among(summaries.c.id, canonical([summary_id])))
    )
    return _summary(rows, rows.run(found).first())


def _newest(rows: Rows, project: str, max_tokens: int) -> Summary | None:
    named = id_query(rows, project).scalar_subquery()
    found = rows.select(*_COLUMNS, of=summaries).select_from(_WITH_PROJECT)
    found = found.where(summaries.c.project_id == named, summaries.c.whole.is_(True))
    as_long = case((summaries.c.max_tokens == max_tokens, 1), else_=0)
    return _summary(rows, rows.run(found.order_by(as_long.desc(), summaries.c.seq.desc()).limit(1)).first())


def _summary(rows: Rows, row: AnyRow | None) -> Summary | None:
    if row is None:
        return None
    child = summary_children.c
    children = (
        rows.select(child.child_id, of=summary_children).where(child.seq == row.seq).order_by(child.position)
    )
    return Summary(
        scope=Scope(**row.scope, project=row.project),
        sentences=row.sentences,
        level=row.level,
        covers=row.covers,
        method=row.method,
        rejected=row.rejected,
        truncated=row.truncated,
        max_tokens=row.max_tokens,
        children=tuple(rows.run(children).scalars()),
        id=row.id,
        created_at=row.created_at,
    )


def _forget_citing(rows: Rows, capture_ids: Sequence[str]) -> int:
    ids = canonical(capture_ids)
    # What a node knows of a capture it does not cite, such as its words, is to go too.
    doomed = nodes.above_captures(rows, ids)
    for some in batches(ids):
        citing = rows.select(summary_sources.c.seq, of=summary_sources)
        doomed |= _named(rows, citing.where(among(summary_sources.c.capture_id, some)))
    edge = doomed
    # One turn a level: a summary is made from summaries of the level below.
    while edge:
        above: dict[int, str] = {}
        for some in batches(edge.values()):
            made_from = rows.select(summary_children.c.seq, of=summary_children)
            above |= _named(rows, made_from.where(among(summary_children.c.child_id, some)))
        edge = {seq: summary_id for seq, summary_id in above.items() if seq not in doomed}
        doomed = doomed | edge
    nodes.drop(rows, doomed)
    return len(doomed)


def _named(rows: Rows, seqs: Any) -> dict[int, str]:
    statement = rows.select(summaries.c.seq, summaries.c.id, of=summaries).where(summaries.c.seq.in_(seqs))
    return {row.seq: row.id for row in rows.run(statement)}
