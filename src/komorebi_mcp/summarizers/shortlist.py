"""What a node chooses from: all that its children tell, or where that is much what each of them put first."""

from collections.abc import Iterable, Sequence

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.text.tokens import estimate_tokens

_OF_KIND = {Kind.DECISION: 1.5, Kind.ERROR: 1.5}
_OF_OTHERS = 3.0
"""So many times as much as fits the node is kept of decisions, of errors, and of all others together.

Twice as much of the others cost a point of ROUGE in the third level, four times as much gained nothing."""


def shortlist(nodes: Sequence[NodeContent], *, tokens: int) -> list[list[int]]:
    """The places in each node of those of its sentences that have a chance in one of `tokens` above them.

    What was chosen last in a node of ten children is seldom chosen among ten times as much, and to weigh it
    costs as much as any other. Each node's best go first, then each node's second best, and so on.
    """
    sizes = [[estimate_tokens(sentence.text) for sentence in node.sentences] for node in nodes]
    if sum(map(sum, sizes)) <= tokens * min(_OF_OTHERS, *_OF_KIND.values()):
        return [list(range(len(mine))) for mine in sizes]
    turns: dict[Kind | None, list[tuple[int, int, int]]] = {}
    for number, node in enumerate(nodes):
        seen: dict[Kind | None, int] = {}
        for place in _as_chosen(node):
            kind = node.kinds[place] if node.kinds[place] in _OF_KIND else None
            turn = seen[kind] = seen.get(kind, 0) + 1
            # Where the order is not known, none may be passed over.
            turns.setdefault(kind, []).append((turn if node.ranks else 0, number, place))
    kept: list[list[int]] = [[] for _ in nodes]
    for kind, waiting in turns.items():
        left = tokens * (_OF_OTHERS if kind is None else _OF_KIND[kind])
        for _, number, place in sorted(waiting):
            left -= sizes[number][place]
            if left < 0:
                break
            kept[number].append(place)
    return list(map(sorted, kept))


def _as_chosen(node: NodeContent) -> Iterable[int]:
    """The places of its sentences, the first chosen first."""
    places = range(len(node.sentences))
    return sorted(places, key=node.ranks.__getitem__) if node.ranks else places
