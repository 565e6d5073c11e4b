"""Writing: a summary in a model's words, held against its sources.

What is sent to a model is chosen here without one, so that any scope fits whatever the model can read.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio.to_thread
import structlog

from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.errors import ModelFailed
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.extractive import summarize, summarize_nodes
from komorebi_mcp.summarizers.prompts import item_tokens, make_prompt, material_tokens
from komorebi_mcp.summarizers.replies import read_reply
from komorebi_mcp.summarizers.writer import Wish, Writer
from komorebi_mcp.summarizers.written import Material, Written, check, material_of

_CHOSEN_SHARE = 0.6
"""Of what fits, where sentences are chosen: each needs a frame of its own."""

_Parts = list[tuple[str, tuple[str, ...]]]

_log = structlog.get_logger(__name__)


async def write(
    writer: Writer,
    material: Callable[[int], Awaitable[Material]],
    wish: Wish,
    *,
    without: Draft,
) -> Written:
    """What the model writes of the material, so many tokens of which it is given, checked and mended.

    Raises:
        ModelFailed: It wrote nothing that its sources bear out.
    """
    shown = await material(material_tokens(writer.context_tokens, wish.max_tokens))
    if not shown.items:
        raise ModelFailed("Nothing of it fits what the model can read.")
    reply = await writer.complete(make_prompt(shown.items, wish))

    def checked() -> Written:
        claims = read_reply(reply, [item.handle for item in shown.items])
        return check(claims, shown, without, max_tokens=wish.max_tokens)

    return await anyio.to_thread.run_sync(checked)


async def first_of(
    writers: Sequence[Writer],
    material: Callable[[int], Awaitable[Material]],
    wish: Wish,
    *,
    without: Draft,
) -> tuple[Writer, Written] | None:
    """What the first of the models that answers writes, and which; None where none of them does."""
    for writer in writers:
        try:
            return writer, await write(writer, material, wish, without=without)
        except ModelFailed as error:
            _log.warning("summary.without_model", method=writer.method, reason=str(error))
    return None


def method_of(writer: Writer, written: Written) -> str:
    """Who wrote it; verbatim sentences among the model's are the extractive summarizer's."""
    if not written.own:
        return "extractive"
    return writer.method if written.own == len(written.sentences) else f"{writer.method}+extractive"


def capture_parts(passages: Sequence[Passage], wish: Wish, tokens: int) -> tuple[_Parts, bool]:
    """The captures whole where they fit, else what of them tells most; and whether something is left out."""
    if sum(item_tokens(each.text) for each in passages) <= tokens:
        return [(each.text, (each.capture_id,)) for each in passages], False
    chosen = summarize(
        passages,
        max_tokens=int(tokens * _CHOSEN_SHARE),
        query=wish.query,
        focus=wish.focus,
        goal=wish.goal,
    )
    by_source: dict[tuple[str, ...], list[str]] = {}
    for sentence in chosen.sentences:
        by_source.setdefault(sentence.sources[:1], []).append(sentence.text)
    return _fitting([(" … ".join(texts), sources) for sources, texts in by_source.items()], tokens), True


def node_parts(nodes: Sequence[NodeContent], wish: Wish, tokens: int) -> tuple[_Parts, bool]:
    """The same of nodes: their sentences, each with the captures it comes from."""
    parts: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        for sentence in node.sentences:
            parts.setdefault(sentence.text, sentence.sources)
    if sum(map(item_tokens, parts)) <= tokens:
        return list(parts.items()), any(node.truncated for node in nodes)
    chosen = summarize_nodes(nodes, max_tokens=int(tokens * _CHOSEN_SHARE), goal=wish.goal)
    return _fitting([(each.text, each.sources) for each in chosen.sentences], tokens), True


def _fitting(parts: _Parts, tokens: int) -> _Parts:
    left = tokens
    kept: _Parts = []
    for text, sources in parts:
        left -= item_tokens(text)
        if left >= 0:
            kept.append((text, sources))
    return kept


async def of_captures(passages: Sequence[Passage], wish: Wish, tokens: int) -> Material:
    """Material from captures."""

    def choose() -> Material:
        parts, cut = capture_parts(passages, wish, tokens)
        return material_of(parts, {each.capture_id: each for each in passages}, cut=cut)

    return await anyio.to_thread.run_sync(choose)


async def of_nodes(
    nodes: Sequence[NodeContent],
    read: Callable[[Sequence[str]], Awaitable[Sequence[Passage]]],
    wish: Wish,
    tokens: int,
) -> Material:
    """Material from nodes; `read` gives the captures behind them."""
    parts, cut = await anyio.to_thread.run_sync(partial(node_parts, nodes, wish, tokens))
    ids = list(dict.fromkeys(source for _, sources in parts for source in sources))
    passages = {each.capture_id: each for each in await read(ids)}
    return material_of(parts, passages, cut=cut)
