"""What one node of a pyramid tells: the sentences of its ten children that say most, letter for letter.

A node keeps more than it needs itself, since those above choose from it. It also counts what its captures
speak of, as sentences left out below cannot be counted any more above.
"""

import hashlib
from collections.abc import Mapping, Sequence

from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.domain.summaries import Covers, Sentence
from komorebi_mcp.summarizers.candidates import Candidate, gather, regather
from komorebi_mcp.summarizers.choosing import Budget, Taste, choose_marked_first
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.extractive import TASTE_CENTRAL, are_alike, central_scores
from komorebi_mcp.summarizers.features import Scope, add_counts, count, survey
from komorebi_mcp.summarizers.scorer import score
from komorebi_mcp.summarizers.shortlist import shortlist
from komorebi_mcp.text.tokens import BYTES_PER_TOKEN

METHOD = "extractive"
VERSION = 10
"""Goes up with every change of what a node would tell. Stored ones are made anew when next something below
them changes: verbatim sentences stay true, and all of them at once would cost too much."""
NODE_TOKENS = 250
UPPER_NODE_TOKENS = 600
COUNTS_MAX = 400
"""Concepts a node counts, the commonest first."""
_SOURCES_MAX = 8
_TASTE_TALK = Taste(discount=0.6, length_power=0.25)
"""Shorter sentences than a summary of talk prefers: those above have more to choose from."""


def fingerprint(passage: Passage) -> str:
    """A text that differs where what a summary may take from the passage does."""
    title, source, text = passage.title, passage.source or "", passage.text
    # Lengths tell where one ends and the next begins, for a fraction of what quoting long texts takes.
    lengths = f"{len(title)} {len(source)} {len(text)}"
    when = passage.created_at.isoformat()
    return f"{passage.capture_id} {passage.kind.value} {when} {lengths} {title}{source}{text}"


def input_hash(level: int, inputs: Sequence[str], *, method: tuple[str, int]) -> str:
    """A short text that differs where what a node is made from, or how, does."""
    told = "\x00".join([*map(str, method), str(level), *inputs])
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def condense_passages(passages: Sequence[Passage]) -> NodeContent:
    """The node right above the passages, of which there is at least one."""
    candidates = gather(passages, by_shape=True)
    times = [passage.created_at for passage in passages]
    covers = Covers(captures=len(passages), since=min(times), until=max(times))
    counts = count(candidates)
    telling = _telling(candidates)
    budget = Budget(NODE_TOKENS)
    if _all_fit(telling, budget):
        return _content(telling, telling, counts, covers)
    scope = survey(telling, len(passages), own=counts)
    return _content(telling, _best(telling, scope, budget), counts, covers)


def condense_nodes(nodes: Sequence[NodeContent]) -> NodeContent:
    """The node above the nodes, of which there is at least one."""
    times = [time for node in nodes for time in (node.covers.since, node.covers.until) if time is not None]
    covers = Covers(
        captures=sum(node.covers.captures for node in nodes),
        since=min(times, default=None),
        until=max(times, default=None),
    )
    counts = add_counts(nodes)
    if len(counts) > COUNTS_MAX:
        # What one capture of a hundred speaks of is no matter of them all, and still counts where it is told.
        counts = {name: n for name, n in counts.items() if n > 1}
    telling = _telling(regather(nodes, shortlist(nodes, tokens=UPPER_NODE_TOKENS)))
    budget = Budget(UPPER_NODE_TOKENS)
    if _all_fit(telling, budget):
        return _content(telling, telling, counts, covers)
    scope = survey(telling, covers.captures, counts=counts)
    return _content(telling, _best(telling, scope, budget), counts, covers)


def _telling(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    return [one for one in candidates if one.telling] or candidates


def _all_fit(telling: Sequence[Candidate], budget: Budget) -> bool:
    # With a space between any two, and room for each to be counted up to a whole token.
    bytes_all = sum([one.text_bytes for one in telling]) + len(telling) - 1
    return -(-bytes_all // BYTES_PER_TOKEN) + len(telling) <= budget.tokens_left


def _content(
    telling: Sequence[Candidate], chosen: Sequence[Candidate], counts: Mapping[str, int], covers: Covers
) -> NodeContent:
    """A node that tells what was chosen, in its order; `chosen` has the best first."""
    ranks = sorted(range(len(chosen)), key=lambda rank: chosen[rank].order)
    chosen = [chosen[rank] for rank in ranks]
    return NodeContent(
        sentences=tuple([Sentence(one.text, tuple(one.sources[:_SOURCES_MAX])) for one in chosen]),
        kinds=tuple([one.kind for one in chosen]),
        ranks=tuple(ranks),
        counts=_commonest(counts),
        covers=covers,
        truncated=len(chosen) < len(telling),
    )


def _commonest(counts: Mapping[str, int]) -> dict[str, int]:
    """The commonest concepts, single stems before pairs and by the alphabet where they are as common."""
    if len(counts) <= COUNTS_MAX:
        return dict(counts)
    least = sorted(counts.values(), reverse=True)[COUNTS_MAX - 1]
    commoner = {name: n for name, n in counts.items() if n > least}
    ties = sorted([name for name, n in counts.items() if n == least])
    ordered = [name for name in ties if " " not in name] + [name for name in ties if " " in name]
    return commoner | dict.fromkeys(ordered[: COUNTS_MAX - len(commoner)], least)


def _best(telling: Sequence[Candidate], scope: Scope, budget: Budget) -> Sequence[Candidate]:
    """What fits, the best first."""
    if are_alike(telling):
        scores, taste = central_scores(telling, scope, placed=False), TASTE_CENTRAL
    else:
        # To begin or end one of many nodes says nothing of a sentence.
        scores, taste = score(telling, scope, placed=False), _TASTE_TALK
    scored = list(zip(telling, scores, strict=True))
    return choose_marked_first(scored, budget, taste, weights=scope.weights)
