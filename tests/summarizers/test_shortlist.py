from collections.abc import Sequence

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.domain.nodes import NodeContent
from komorebi_mcp.domain.summaries import Covers, Sentence
from komorebi_mcp.summarizers.shortlist import shortlist


def node(name: str, *, kinds: Sequence[Kind], ranks: Sequence[int]) -> NodeContent:
    """A node whose sentences take ten tokens each."""
    return NodeContent(
        sentences=tuple(Sentence(text=f"{name}{at}".ljust(40), sources=(name,)) for at in range(len(kinds))),
        kinds=tuple(kinds),
        ranks=tuple(ranks),
        counts={},
        covers=Covers(captures=1, since=None, until=None),
        truncated=False,
    )


def told(nodes: Sequence[NodeContent], *, tokens: int) -> list[list[str]]:
    kept = shortlist(nodes, tokens=tokens)
    return [
        [node.sentences[at].text.strip() for at in places] for node, places in zip(nodes, kept, strict=True)
    ]


def test_few_sentences_are_all_there_to_choose_from() -> None:
    nodes = [node("a", kinds=[Kind.NOTE] * 3, ranks=[2, 1, 0])]
    assert told(nodes, tokens=30) == [["a0", "a1", "a2"]]


def test_of_many_each_node_offers_in_its_order_what_it_chose_first() -> None:
    nodes = [
        node("a", kinds=[Kind.NOTE] * 4, ranks=[3, 0, 2, 1]),
        node("b", kinds=[Kind.NOTE] * 4, ranks=[0, 1, 2, 3]),
    ]
    assert told(nodes, tokens=14) == [["a1", "a3"], ["b0", "b1"]]


def test_few_decisions_among_many_notes_are_all_there_however_late_they_were_chosen() -> None:
    kinds = [Kind.NOTE] * 8 + [Kind.DECISION] * 2
    nodes = [node(name, kinds=kinds, ranks=range(10)) for name in ("a", "b")]
    assert [texts[-2:] for texts in told(nodes, tokens=30)] == [["a8", "a9"], ["b8", "b9"]]


def test_of_a_node_whose_order_is_not_known_nothing_is_passed_over_for_others() -> None:
    nodes = [
        node("a", kinds=[Kind.NOTE] * 4, ranks=[0, 1, 2, 3]),
        node("b", kinds=[Kind.NOTE] * 4, ranks=[]),
    ]
    assert told(nodes, tokens=14) == [[], ["b0", "b1", "b2", "b3"]]
