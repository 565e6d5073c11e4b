"""Summarize: verbatim sentences that say which captures they come from."""

from collections.abc import Sequence

import anyio.to_thread

from komorebi_mcp.domain.captures import Capture, CaptureFilter
from komorebi_mcp.domain.projects import Project
from komorebi_mcp.domain.summaries import MAX_TOKENS_DEFAULT, Covers, Scope, Summary, SummaryCreate
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.find import not_there
from komorebi_mcp.storage.store import Store, Transaction
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.extractive import summarize
from komorebi_mcp.text.terms import parse_query

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
        async with self._store.read(owner) as transaction:
            project = await _project(transaction, scope.project)
            if not refresh and scope == Scope(project=scope.project) and project is not None:
                kept = await transaction.summaries.newest(project.name)
                if (
                    kept is not None
                    and kept.max_tokens == max_tokens
                    and kept.created_at > project.updated_at
                ):
                    return kept
            captures = await _captures(transaction, scope)
        if not captures:
            raise NotFound(
                "No capture fits. Widen the time, drop a filter, or call list_captures to see what there is."
            )
        draft = await anyio.to_thread.run_sync(
            lambda: summarize(
                [_passage(capture) for capture in captures],
                max_tokens=max_tokens,
                query=scope.query,
                focus=scope.focus,
                goal=project.goal if project else "",
            )
        )
        times = [capture.created_at for capture in captures]
        made = SummaryCreate(
            scope=scope,
            sentences=draft.sentences,
            level=1,
            covers=Covers(captures=len(captures), since=min(times), until=max(times)),
            method="extractive",
            truncated=draft.truncated,
            max_tokens=max_tokens,
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
        not_there(scope.ids, await transaction.captures.get(scope.ids))
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


def _passage(capture: Capture) -> Passage:
    return Passage(
        capture_id=capture.id,
        text=capture.content,
        title=capture.title,
        source=capture.source,
        kind=capture.kind,
        created_at=capture.created_at,
    )
