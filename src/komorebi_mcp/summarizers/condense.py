"""What one node of a pyramid tells: the sentences of its ten children that say most, letter for letter.

A node keeps more than it needs itself, since those above choose from it. It also counts what its captures
speak of, as sentences left out below cannot be counted any more above.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.domain.summaries import Covers, Sentence
from komorebi_mcp.summarizers.candidates import Candidate, gather, regather
from komorebi_mcp.summarizers.centrality import likeness, rank
from komorebi_mcp.summarizers.choosing import Budget, choose_marked_first
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.extractive import ALIKE_MIN, TASTE_CENTRAL, TASTE_TALK
from komorebi_mcp.summarizers.features import add_counts, survey
from komorebi_mcp.summarizers.scorer import score
from komorebi_mcp.text.tokens import estimate_tokens

METHOD = "extractive"
VERSION = 1
"""Goes up with every change of what a node would tell. Stored ones are made anew when next something below
them changes: verbatim sentences stay true, and all of them at once would cost too much."""
NODE_TOKENS = 250
UPPER_NODE_TOKENS = 600
COUNTS_MAX = 400
"""Concepts a node counts, the commonest first."""
_SOURCES_MAX = 8


def fingerprint(passage: Passage) -> str:
    """A short text that differs where what a summary may take from the passage does."""
    told = [passage.capture_id, passage.text, passage.title, passage.source or "", passage.kind.value]
    joined = "\x00".join([*told, passage.created_at.isoformat()])
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def input_hash(level: int, inputs: Sequence[str], *, method: tuple[str, int]) -> str:
    """A short text that differs where what a node is made from, or how, does."""
    told = "\x00".join([*map(str, method), str(level), *inputs])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def condense_passages(passages: Sequence[Passage]) -> NodeContent:
    """The node right above the passages, of which there is at least one."""
    candidates = gather(passages)
    times = [passage.created_at for passage in passages]
    covers = Covers(captures=len(passages), since=min(times), until=max(times))
    counts = survey(candidates, len(passages)).counts
    return _content(candidates, counts, covers, tokens=NODE_TOKENS)


def condense_nodes(nodes: Sequence[NodeContent]) -> NodeContent:
    """The node above the nodes, of which there is at least one."""
    times = [time for node in nodes for time in (node.covers.since, node.covers.until) if time is not None]
    covers = Covers(
        captures=sum(node.covers.captures for node in nodes),
        since=min(times, default=None),
        until=max(times, default=None),
    )
    return _content(regather(nodes), add_counts(nodes), covers, tokens=UPPER_NODE_TOKENS)


def _content(
    candidates: Sequence[Candidate], counts: Counter[str], covers: Covers, *, tokens: int
) -> NodeContent:
    telling = [one for one in candidates if one.telling] or candidates
    chosen = _best(telling, counts, covers.captures, Budget(tokens))
    commonest = sorted(counts.items(), key=lambda pair: (-pair[1], " " in pair[0], pair[0]))
    return NodeContent(
        sentences=tuple(Sentence(text=one.text, sources=tuple(one.sources[:_SOURCES_MAX])) for one in chosen),
        kinds=tuple(one.kind for one in chosen),
        counts=dict(commonest[:COUNTS_MAX]),
        covers=covers,
        truncated=len(chosen) < len(telling),
    )


def _best(
    telling: Sequence[Candidate], counts: Counter[str], captures: int, budget: Budget
) -> Sequence[Candidate]:
    """What fits, in its order, chosen only where not all does."""
    if estimate_tokens(" ".join(one.text for one in telling)) + len(telling) <= budget.tokens_left:
        return telling
    scope = survey(telling, captures, counts=counts)
    if likeness(telling) >= ALIKE_MIN:
        scores, taste = rank(telling), TASTE_CENTRAL
    else:
        # To begin or end one of many nodes says nothing of a sentence.
        scores, taste = score(telling, scope, placed=False), TASTE_TALK
    scored = list(zip(telling, scores, strict=True))
    chosen = choose_marked_first(scored, budget, taste, weights=scope.weights)
    return sorted(chosen, key=lambda one: one.order)
