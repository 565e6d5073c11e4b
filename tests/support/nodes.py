"""Nodes of a pyramid, made without a summarizer."""

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeCreate
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.domain.summaries import Covers, Sentence

BOTTOM = Place(1, 0)


def a_node(
    source: str, place: Place = BOTTOM, *, told: str = "told", children: tuple[Place, ...] = ()
) -> NodeCreate:
    """One that tells one sentence; its input hash is what it tells."""
    return NodeCreate(
        place=place,
        sentences=(Sentence(text=f"{told} \x00 👍", sources=(source,)),),
        kinds=(Kind.DECISION,),
        ranks=(0,),
        counts={"told": 2, "a\x00b": 1},
        covers=Covers(captures=1, since=None, until=None),
        truncated=False,
        input_hash=told,
        method="extractive",
        version=1,
        max_tokens=100,
        children=children,
    )
