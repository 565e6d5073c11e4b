"""Which nodes of a part of a pyramid are to be different, and what they say without a model."""

from collections.abc import Sequence

from komorebi_mcp.domain.nodes import NodeContent, NodeCreate, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, group, is_full
from komorebi_mcp.services.material import passage
from komorebi_mcp.summarizers.condense import (
    METHOD,
    NODE_TOKENS,
    UPPER_NODE_TOKENS,
    VERSION,
    condense_nodes,
    condense_passages,
    fingerprint,
    input_hash,
)
from komorebi_mcp.summarizers.draft import Passage

Inputs = Sequence[Passage] | Sequence[NodeCreate]
"""What a node is made from: captures at level 1, else nodes of the level below."""


class Making:
    """Makes nodes level by level, the lowest first, since those above are made from them."""

    def __init__(self, work: Work, *, writer: tuple[str, int] | None = None) -> None:
        """`writer` is the method and version of the model that writes full nodes, if any does."""
        self.gone: list[Place] = []
        self._work = work
        self._writer = writer
        self._now: dict[Place, NodeCreate] = dict(work.nodes)
        self._made: dict[Place, NodeCreate] = {}
        self._held: dict[Place, list[Passage]] = {}
        for leaf in work.leaves:
            held = self._held.setdefault(Place(1, leaf.position // FAN_OUT), [])
            held += [] if leaf.capture is None else [passage(leaf.capture)]
        self._due = set(self._held)

    @property
    def made(self) -> list[NodeCreate]:
        """The nodes that are to be different, lower levels first."""
        return [self._made[place] for place in sorted(self._made)]

    @property
    def done(self) -> bool:
        """Whether no level is left."""
        return not self._due

    def level(self) -> list[NodeCreate]:
        """Makes the next level; the nodes of it that a model is to write.

        A node whose inputs are the ones it was made from, by the same method, is not made again.
        """
        asked: list[NodeCreate] = []
        for place in sorted(self._due):
            inputs, before = self.inputs(place), self._now.get(place)
            if not inputs:
                self.gone += [] if self._now.pop(place, None) is None else [place]
                continue
            wanted = self.hash_of(place, self._method(place))
            if before is not None and before.input_hash == wanted:
                continue
            by_model = self._method(place) != (METHOD, VERSION)
            made_from = self.hash_of(place, (METHOD, VERSION)) if by_model else wanted
            node = self._made[place] = self._now[place] = _condensed(place, inputs, made_from)
            asked += [node] if by_model else []
        above = {Place(level + 1, position // FAN_OUT) for level, position in self._due}
        self._due = above.intersection(self._work.places)
        return asked

    def put(self, node: NodeCreate) -> None:
        """Takes this node in place of the one made; those above have not been made yet."""
        self._made[node.place] = self._now[node.place] = node

    def inputs(self, place: Place) -> Inputs:
        """What the node is made from."""
        if place.level == 1:
            return self._held[place]
        below = [Place(place.level - 1, position) for position in group(place)]
        return [self._now[each] for each in below if each in self._now]

    def hash_of(self, place: Place, method: tuple[str, int]) -> str:
        """Of the node's inputs and how it is made from them."""
        inputs = self.inputs(place)
        told = [each.input_hash if isinstance(each, NodeContent) else fingerprint(each) for each in inputs]
        return input_hash(place.level, told, method=method)

    def _method(self, place: Place) -> tuple[str, int]:
        # What is still growing would have to be written anew with every capture.
        writes = self._writer is not None and is_full(place, self._work.size)
        return self._writer if writes and self._writer else (METHOD, VERSION)


def _condensed(place: Place, inputs: Inputs, made_from: str) -> NodeCreate:
    nodes = [each for each in inputs if isinstance(each, NodeCreate)]
    passages = [each for each in inputs if isinstance(each, Passage)]
    content = condense_nodes(nodes) if nodes else condense_passages(passages)
    return NodeCreate(
        **vars(content),
        place=place,
        input_hash=made_from,
        method=METHOD,
        version=VERSION,
        max_tokens=UPPER_NODE_TOKENS if nodes else NODE_TOKENS,
        children=tuple(each.place for each in nodes),
    )


def make_nodes(work: Work) -> tuple[list[NodeCreate], list[Place]]:
    """The nodes that are to be different, lower levels first, and the places that are to be empty."""
    making = Making(work)
    while not making.done:
        making.level()
    return making.made, making.gone
