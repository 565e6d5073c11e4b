"""The nodes of a project's pyramid, and the captures at its foot."""

from typing import NamedTuple

from pydantic import SkipValidation

from komorebi_mcp.domain.captures import CaptureText, Kind
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.domain.summaries import Covers, Sentence


class NodeContent(Model):
    """What a node tells, and what its parent needs to know of all that lies below it."""

    sentences: tuple[Sentence, ...]
    kinds: tuple[Kind, ...]
    """Of each sentence: that of the capture it comes from, so that decisions stay known as such."""
    ranks: SkipValidation[tuple[int, ...]] = ()
    """Of each sentence: how many were chosen before it, so that the node above need not look at all of them.
    Empty where that is not known."""
    counts: SkipValidation[dict[str, int]]
    """In how many captures below a concept occurs; the commonest ones only."""
    covers: Covers
    truncated: bool
    """Whether something of what lies below was left out."""


class NodeCreate(NodeContent):
    """A node to be kept."""

    place: Place
    input_hash: str
    """Of what it was made from and how: the same inputs need not be read twice."""
    method: str
    version: int
    """Of the method."""
    rejected: int = 0
    """How many sentences of a model failed the grounding check and were replaced."""
    max_tokens: int
    children: tuple[Place, ...] = ()
    """The nodes it was made from, none at level 1. Not read back: the summary of the same id has them."""


class Node(NodeCreate):
    """A node that is kept."""

    id: str


class Leaf(Model):
    """A place at the foot of a pyramid. It belongs to its capture for good, so that no other one shifts."""

    position: int
    edited: int
    """How often its capture has changed; a leaf is due while its nodes have not seen the last change."""
    capture: CaptureText | None
    """None where it was forgotten, put away or moved to another project."""


class Work(Model):
    """A part of a pyramid whose nodes are to be made anew, as it was read."""

    project_id: int
    project: str
    goal: str = ""
    """The project's."""
    size: int
    """How many leaves the whole pyramid has, holes included."""
    leaves: tuple[Leaf, ...]
    """Those of the groups that are due, each group whole, from left to right."""
    due_next: int | None = None
    """The first leaf to the right of these that is due as well; the nodes above it are made with it."""
    places: tuple[Place, ...]
    """The other nodes above the leaves, and all that these are made from."""
    nodes: dict[Place, Node]
    """Those of them that there are."""


class Waiting(NamedTuple):
    """A project whose pyramid lags behind its captures."""

    owner: str
    project_id: int


class Shape(Model):
    """What of a project's pyramid may be told at present."""

    project_id: int
    size: int
    due: tuple[int, ...]
    """Positions of leaves whose last change no node has seen."""
    places: frozenset[Place]
    """The nodes there are."""
