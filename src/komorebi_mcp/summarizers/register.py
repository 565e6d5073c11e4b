"""How a sentence is put: as people write, who name things, or as they talk, who point at them.

Writing has articles, prepositions and nouns where talk has pronouns and fillers (Heylighen and Dewaele 2002
measure formality so). What is put as in writing can be understood on its own.
"""

from collections.abc import Sequence

_WORDS: dict[str, frozenset[str]] = {
    "cue_words": frozenset(
        """
        decide decided decision agree agreed agreement should need needs needed must plan plans planned will
        propose proposed suggest suggested because therefore important problem issue result results
        conclusion goal main want wanted recommend idea possible different
        """.split()  # noqa: SIM905 - a table of words is read more easily than a list of strings
    ),
    "pronouns": frozenset(
        "i you he she we they me him us them it my your his her our their this that".split()  # noqa: SIM905
    ),
    "fillers": frozenset(
        """
        um uh hmm mm yeah yep okay ok well like just actually basically sort kind mean know right so huh oh
        """.split()  # noqa: SIM905
    ),
    "definite_articles": frozenset(["the"]),
    "indefinite_articles": frozenset(["a", "an"]),
    "prepositions": frozenset(
        """
        of to in for with on by from at as into about over between through without within
        """.split()  # noqa: SIM905
    ),
    "joining_words": frozenset(["and", "or"]),
}
SORTS = tuple(_WORDS)
"""Of English words. A text in another language has none of them: its sentences are alike in this."""
SORTS_OF = {
    word: tuple(place for place, words in enumerate(_WORDS.values()) if word in words)
    for word in frozenset[str]().union(*_WORDS.values())
}
"""By word the places among `SORTS` of those it belongs to: one look-up rather than one for each sort."""
_OPENERS = frozenset(["and", "so", "but", "or", "um", "uh", "well", "yeah", "okay", "i"])


def sort_shares(words: Sequence[str]) -> list[float]:
    """The share of the words, case-folded, that belongs to each of `SORTS`."""
    n = len(words) or 1
    found = [place for word in words for place in SORTS_OF.get(word, ())]
    return [found.count(place) / n for place in range(len(SORTS))]


def opens_as_talk(words: Sequence[str]) -> bool:
    """Whether the sentence takes up what somebody just said: "And so …"."""
    return bool(words) and words[0] in _OPENERS
