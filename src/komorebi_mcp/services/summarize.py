"""Summarize: sentences that say which captures they come from, verbatim or a model's.

What is told without a model is worked out in any case: it is the answer where no model gives one, and it
holds what no model may leave out.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal

import anyio.to_thread

from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.domain.pyramid import FAN_OUT
from komorebi_mcp.domain.summaries import MAX_TOKENS_DEFAULT, Scope, Summary, SummaryCreate
from komorebi_mcp.errors import NotFound
from komorebi_mcp.services.material import passage
from komorebi_mcp.services.view import View, look, still_said
from komorebi_mcp.services.writing import first_of, method_of, of_captures, of_nodes
from komorebi_mcp.storage.store import Store
from komorebi_mcp.summarizers.condense import condense_passages
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.extractive import summarize, summarize_nodes
from komorebi_mcp.summarizers.writer import Complete, Wish, Writer
from komorebi_mcp.summarizers.written import Material

Summarizer = Literal["extractive", "openai", "client", "auto"]
Report = Callable[[int, int, str], Awaitable[None]]
"""Told which step begins, counted from 1, how many there are, and what it is."""

CLIENT_CONTEXT_TOKENS = 16_000
"""What a client's model is trusted to read, and its user to pay for."""


class Summarize:
    """Makes summaries and keeps them."""

    def __init__(
        self, store: Store, *, summarizer: Summarizer = "extractive", endpoint: Writer | None = None
    ) -> None:
        """`endpoint` is the model that is there for everybody; a caller may bring its own."""
        self._store = store
        self._summarizer = summarizer
        self._endpoint = endpoint

    async def summarize(
        self,
        owner: str,
        scope: Scope,
        *,
        max_tokens: int = MAX_TOKENS_DEFAULT,
        refresh: bool = False,
        client: Complete | None = None,
        report: Report | None = None,
    ) -> Summary:
        """A summary of the captures in the scope, at most `max_tokens` long, kept under its own id.

        Unless `refresh`, a project's summary is given back as it was as long as the project is unchanged and
        the same summarizer is to write. `client` is the caller's own model, `report` is told how far it is.

        Raises:
            NotFound: The scope holds no capture, or its project is not there.
        """
        writers = self._writers(client)
        steps = _Steps(report, total=4 if writers else 3)
        await steps.next("Reading captures")
        async with self._store.read(owner) as transaction:
            before = None if refresh else await still_said(transaction, scope, max_tokens=max_tokens)
            if before is not None and _wanted(before, writers):
                return before
            view = await look(transaction, scope, max_tokens=max_tokens)
        return await self._make(owner, view, max_tokens, writers, steps)

    async def brief(self, owner: str, project: str) -> Summary:
        """The project's present summary, whoever wrote it; made anew where the project has changed since.

        Raises:
            NotFound: No project has that name, or it holds no captures.
        """
        async with self._store.read(owner) as transaction:
            before = await still_said(transaction, Scope(project=project), max_tokens=MAX_TOKENS_DEFAULT)
            if before is not None:
                return before
            view = await look(transaction, Scope(project=project), max_tokens=MAX_TOKENS_DEFAULT)
        writers = self._writers(None)
        return await self._make(owner, view, MAX_TOKENS_DEFAULT, writers, _Steps(None, total=4))

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

    def _writers(self, client: Complete | None) -> list[Writer]:
        """The models to ask, in this order, until one answers."""
        found: list[Writer] = []
        if client is not None and self._summarizer in ("client", "auto"):
            found.append(Writer("client", client, CLIENT_CONTEXT_TOKENS))
        if self._endpoint is not None and self._summarizer in ("openai", "auto"):
            found.append(self._endpoint)
        return found

    async def _make(
        self,
        owner: str,
        view: View,
        max_tokens: int,
        writers: Sequence[Writer],
        steps: "_Steps",
    ) -> Summary:
        scope, goal = view.scope, view.project.goal if view.project else ""
        wish = Wish(max_tokens=max_tokens, goal=goal, query=scope.query, focus=scope.focus)
        passages = [passage(capture) for capture in view.captures]
        await steps.next(f"Choosing from {view.covers.captures:,} captures")
        without = await anyio.to_thread.run_sync(_verbatim, view, passages, wish)
        found = None
        # Where nothing answers a query, a model could only make something up.
        if writers and without.sentences:
            await steps.next(f"Asking {writers[0].method}")
            material = partial(self._material, owner, view, passages, wish)
            found = await first_of(writers, material, wish, without=without)
        await steps.next("Keeping the summary")
        made = SummaryCreate(
            scope=scope,
            sentences=without.sentences,
            level=1 + view.level,
            covers=view.covers,
            method="extractive",
            truncated=without.truncated or view.cut_short,
            max_tokens=max_tokens,
            children=view.children,
        )
        if found is not None:
            writer, written = found
            made = made.model_copy(
                update={"rejected": written.rejected, "method": method_of(writer, written)}
                | ({"sentences": written.sentences, "truncated": written.truncated} if written.own else {})
            )
        async with self._store.write(owner) as transaction:
            cited = dict.fromkeys(source for sentence in made.sentences for source in sentence.sources)
            there = {capture.id for capture in await transaction.captures.get(list(cited))}
            # A capture may have been forgotten while a model was writing about it.
            still = tuple(each for each in made.sentences if there.issuperset(each.sources))
            return await transaction.summaries.add(made.model_copy(update={"sentences": still}))

    async def _material(
        self, owner: str, view: View, passages: Sequence[Passage], wish: Wish, tokens: int
    ) -> Material:
        async def read(ids: Sequence[str]) -> list[Passage]:
            async with self._store.read(owner) as transaction:
                return [passage(capture) for capture in await transaction.captures.get(ids)]

        if view.nodes:
            return await of_nodes([*view.nodes, *_edge(passages)], read, wish, tokens)
        return await of_captures(passages, wish, tokens)


class _Steps:
    """Tells a caller how far its call is, where it wants to know."""

    def __init__(self, report: Report | None, *, total: int) -> None:
        self._report = report
        self._total = total
        self._begun = 0

    async def next(self, what: str) -> None:
        """Says what begins now."""
        self._begun += 1
        if self._report is not None:
            await self._report(self._begun, self._total, what)


def _wanted(before: Summary, writers: Sequence[Writer]) -> bool:
    """Whether whoever wrote it would write it again; without a model's part it may be from a bad day."""
    method = writers[0].method if writers else "extractive"
    return before.method.removesuffix("+extractive") == method or before.rejected > 0


def _verbatim(view: View, passages: Sequence[Passage], wish: Wish) -> Draft:
    """What is told without a model."""
    before = [sentence.text for sentence in view.before.sentences] if view.before else []
    if view.nodes:
        nodes = [*view.nodes, *_edge(passages)]
        return summarize_nodes(nodes, max_tokens=wish.max_tokens, goal=wish.goal, before=before)
    return summarize(
        passages,
        max_tokens=wish.max_tokens,
        query=wish.query,
        focus=wish.focus,
        goal=wish.goal,
        before=before,
    )


def _edge(passages: Sequence[Passage]) -> list[NodeContent]:
    """Nodes over what none covers yet."""
    return [condense_passages(passages[at : at + FAN_OUT]) for at in range(0, len(passages), FAN_OUT)]
