"""How a pyramid is divided: which nodes there are, and which ones a change touches. Pure planning.

Leaves are numbered in the order of their arrival, and a number is never given twice. Every `FAN_OUT` leaves
in a row have one node of level 1, every `FAN_OUT` nodes of a level one of the next, up to a single node. A
capture that is forgotten leaves a hole, so that all others stay in their groups.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

FAN_OUT = 10


class Place(NamedTuple):
    """Where a node stands in its project's pyramid."""

    level: int
    """1 right above the captures."""
    position: int
    """From left to right, counted from 0."""


def depth(size: int) -> int:
    """How many levels of nodes stand above `size` leaves; 0 above none."""
    levels, nodes = 0, size
    while nodes > 1 or (nodes == 1 and levels == 0):
        nodes = -(-nodes // FAN_OUT)
        levels += 1
    return levels


def width(size: int, level: int) -> int:
    """How many nodes that level has."""
    return -(-size // int(FAN_OUT**level))


def above(leaf: int, size: int) -> list[Place]:
    """The nodes that cover the leaf, from level 1 up: all that change with it."""
    return [Place(level, leaf // FAN_OUT**level) for level in range(1, depth(size) + 1)]


def group(place: Place) -> range:
    """The positions one level below: of leaves for level 1, else of nodes."""
    return range(place.position * FAN_OUT, (place.position + 1) * FAN_OUT)


def is_full(place: Place, size: int) -> bool:
    """Whether no leaf is still to come below the node, of which `size` have come."""
    return (place.position + 1) * int(FAN_OUT**place.level) <= size


def beside(leaves: Iterable[int], size: int, *, due_next: int | None = None) -> list[Place]:
    """The nodes above any of the leaves, and all that these are made from; levels from the lowest up.

    Those that stand above `due_next` as well, a leaf to the right of all these, are left to the work on it:
    they would have to be made again.
    """
    later = frozenset[Place]() if due_next is None else frozenset(above(due_next, size))
    paths = {place for leaf in leaves for place in above(leaf, size)} - later
    below = {
        Place(place.level - 1, position)
        for place in paths
        if place.level > 1
        for position in group(place)
        if position < width(size, place.level - 1)
    }
    return sorted(paths | below)


def frontier(
    size: int, *, stale: Collection[int], there: Collection[Place], nodes_min: int = 1
) -> list[Place]:
    """Fresh nodes that cover every leaf of fresh groups exactly once, the highest there are, left to right.

    `stale` holds positions of level 1. Where fewer than `nodes_min` would be told, higher ones give way to
    those below them as long as there are any.
    """
    top = depth(size)
    if top == 0:
        return []
    level = top
    while level > 1 and width(size, level) < nodes_min:
        level -= 1
    kept = frozenset(there)
    spoilt = {Place(up, leaf // FAN_OUT ** (up - 1)) for leaf in stale for up in range(1, top + 1)}
    found: list[Place] = []
    todo = [Place(level, position) for position in reversed(range(width(size, level)))]
    while todo:
        place = todo.pop()
        if place in kept and place not in spoilt:
            found.append(place)
        elif place.level > 1:
            below = [Place(place.level - 1, position) for position in group(place)]
            todo += [each for each in reversed(below) if each.position < width(size, each.level)]
    return found
