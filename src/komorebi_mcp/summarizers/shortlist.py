"""What a node chooses from: all that its children tell, or where that is much what each of them put first."""

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.text.tokens import estimate_tokens

_TIMES: dict[Kind | None, float] = {Kind.DECISION: 1.5, Kind.ERROR: 1.5, None: 3.0}
"""So many times as much as fits the node is kept of decisions, of errors, and of all others together.

Twice as much of the others cost a point of ROUGE in the third level, four times as much gained nothing."""


def shortlist(nodes: Sequence[NodeContent], *, tokens: int) -> list[list[int]]:
    """The places in each node of those of its sentences that have a chance in one of `tokens` above them.

    What was chosen last in a node of ten children is seldom chosen among ten times as much, and to weigh it
    costs as much as any other. Each node's best go first, then each node's second best, and so on.
    """
    sizes = [[estimate_tokens(sentence.text) for sentence in node.sentences] for node in nodes]
    kinds = [[kind if kind in _TIMES else None for kind in node.kinds] for node in nodes]
    offered = dict.fromkeys(_TIMES, 0)
    for kind, size in zip(chain.from_iterable(kinds), chain.from_iterable(sizes), strict=True):
        offered[kind] += size
    if all(offered[kind] <= tokens * times for kind, times in _TIMES.items()):
        return [list(range(len(mine))) for mine in sizes]
    chosen = list(map(_as_chosen, nodes))
    kept: list[list[int]] = [[] for _ in nodes]
    for kind, times in _TIMES.items():
        queues = [
            [(number, place) for place in places if kinds[number][place] is kind]
            for number, places in enumerate(chosen)
        ]
        # Where the order is not known, none may be passed over.
        unknown = [queue for queue, node in zip(queues, nodes, strict=True) if not node.ranks]
        turns = zip_longest(*[queue for queue, node in zip(queues, nodes, strict=True) if node.ranks])
        left = tokens * times
        for number, place in filter(None, chain(*unknown, chain.from_iterable(turns))):
            left -= sizes[number][place]
            if left < 0:
                break
            kept[number].append(place)
    return list(map(sorted, kept))


def _as_chosen(node: NodeContent) -> Iterable[int]:
    """The places of its sentences, the first chosen first."""
    places = range(len(node.sentences))
    return sorted(places, key=node.ranks.__getitem__) if node.ranks else places
