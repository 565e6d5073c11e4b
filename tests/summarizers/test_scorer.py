import json
from importlib.resources import files
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import Candidate, Reading
from komorebi_mcp.summarizers.centrality import likeness, rank, wording
from komorebi_mcp.summarizers.choosing import Budget, Taste, choose
from komorebi_mcp.summarizers.features import FEATURES, describe, survey
from komorebi_mcp.summarizers.register import SORTS, opens_as_talk, sort_shares
from komorebi_mcp.summarizers.relevance import relevance, smooth
from komorebi_mcp.summarizers.scorer import score


def candidate(text: str, order: int = 0) -> Candidate:
    words = tuple(text.casefold().split())
    stems = tuple(dict.fromkeys(words))
    reading = Reading(words, words, stems, frozenset(words))
    return Candidate(text, order, order, Kind.NOTE, [str(order)], reading, len(text.encode()))


def candidates(*texts: str) -> list[Candidate]:
    return [candidate(text, order) for order, text in enumerate(texts)]


def test_there_is_a_weight_for_every_feature() -> None:
    read = json.loads(files("komorebi_mcp.summarizers").joinpath("weights.json").read_text("utf-8"))
    assert tuple(read["weights"]) == FEATURES
    assert isinstance(read["constant"], float)


def test_a_sentence_has_every_feature() -> None:
    found = candidates("one two three", "two three four")
    assert len(describe(found[0], survey(found, 2), 0.0)) == len(FEATURES)


def test_a_concept_counts_once_for_each_capture_that_holds_it() -> None:
    found = candidates("one two", "two three")
    found[1].passage = 0
    found.append(candidate("two four", 2))
    scope = survey(found, 2)
    assert scope.counts["two"] == 2
    assert scope.counts["one"] == 1


def test_the_sentence_most_others_resemble_is_the_most_central() -> None:
    ranks = rank(candidates("red blue green", "red blue black", "red blue white", "far off alone"))
    assert ranks[3] == min(ranks)
    assert min(ranks[:3]) > 2 * ranks[3]


@pytest.mark.parametrize("words", range(3, 25))
def test_a_sentence_that_no_other_resembles_is_not_central(words: int) -> None:
    ranks = rank(candidates("red blue", "red green", " ".join(f"word{n}" for n in range(words))))
    assert ranks == [1.0, 1.0, pytest.approx(0.05)]


def test_what_everybody_says_in_the_same_words_is_common_wording() -> None:
    found = candidates("the rooms are clean", "the rooms are nice", "clean were rooms the")
    common = list(map(wording(found), found))
    assert common[0] == max(common)
    assert common[2] == min(common)


def test_writing_has_articles_and_prepositions_where_talk_has_pronouns_and_fillers() -> None:
    written = dict(zip(SORTS, sort_shares(["the", "end", "of", "the", "budget"]), strict=True))
    spoken = dict(zip(SORTS, sort_shares(["yeah", "i", "like", "that"]), strict=True))
    assert written["definite_articles"] == 0.4
    assert written["prepositions"] == 0.2
    assert spoken["pronouns"] == 0.5
    assert spoken["fillers"] == 0.5
    assert sum(sort_shares([])) == 0
    assert opens_as_talk(["so", "what"])
    assert not opens_as_talk(["the", "so"])
    assert not opens_as_talk([])


def test_what_is_put_as_in_writing_is_expected_in_a_summary_rather_than_what_is_put_as_in_talk() -> None:
    written = "the opening of the museum is moved to the second week of march"
    spoken = "so we should decide you guys because museum opening moved second march week"
    found = [candidate(written), candidate(spoken)]
    scope = survey(found, 100)
    first, second = (score([one], scope)[0] for one in found)
    assert first > second


@given(
    st.lists(st.text("the and so we plan 7 budget port é", min_size=1), min_size=1, max_size=8), st.booleans()
)
def test_a_score_is_the_features_times_their_weights(texts: list[str], placed: bool) -> None:
    found = candidates(*texts)
    scope = survey(found, 5)
    read = json.loads(files("komorebi_mcp.summarizers").joinpath("weights.json").read_text("utf-8"))
    places = [at / max(1, len(found) - 1) if placed else 0.5 for at in range(len(found))]
    expected = [
        read["constant"] + sum(map(mul, describe(one, scope, place), read["weights"].values()))
        for one, place in zip(found, places, strict=True)
    ]
    assert score(found, scope, placed=placed) == pytest.approx([max(0.01, each) for each in expected])


def test_likeness_is_the_share_two_sentences_have_in_common() -> None:
    assert likeness(candidates("a b", "a c")) == 0.5
    assert likeness(candidates("a b", "a b")) == 1.0
    assert likeness(candidates("a b", "c d")) == 0.0
    assert likeness(candidates("a b")) == 0.0


def test_a_rare_word_answers_better_than_a_common_one() -> None:
    scores = relevance(
        candidates("port moved", "service moved", "service stays", "nothing"), ["port", "service"]
    )
    assert scores[0] > scores[1] == scores[2] > scores[3] == 0


def test_words_side_by_side_answer_better_than_the_same_words_apart() -> None:
    together, apart = candidates("remote control works", "control works remote")
    together.reading.concepts |= {"remote control", "control works"}
    apart.reading.concepts |= {"control works", "works remote"}
    scores = relevance([together, apart], ["remote", "control"])
    assert scores[0] > scores[1] > 0


def test_a_score_is_lent_to_the_neighbours_and_fades() -> None:
    assert smooth([0.0, 4.0, 0.0, 0.0], 0.5) == [2.0, 4.0, 2.0, 1.0]
    assert smooth([], 0.5) == []


def test_what_was_told_already_counts_less() -> None:
    found = candidates("red blue", "red blue", "green black")
    chosen = choose(
        list(zip(found, (3.0, 2.9, 2.0), strict=True)),
        Budget(6),
        Taste(discount=0.8, length_power=0.5),
        weights=dict.fromkeys(["red", "blue", "green", "black"], 1.0),
        told=set(),
    )
    assert [one.order for one in chosen] == [0, 2]


def test_of_equally_good_sentences_the_first_is_told() -> None:
    found = candidates("red blue", "green black", "red white")
    chosen = choose(
        # The last has said half of it, which makes it as good as the one before.
        list(zip(found, (5.0, 3.0, 4.0), strict=True)),
        Budget(6),
        Taste(discount=0.5, length_power=0.0),
        weights=dict.fromkeys(["red", "blue", "green", "black", "white"], 1.0),
        told=set(),
    )
    assert [one.order for one in chosen] == [0, 1]


def test_what_is_left_of_a_reserved_part_is_given_back() -> None:
    budget = Budget(100)
    part = budget.reserve(0.6)
    part.take("x" * 40)
    budget.give_back(part)
    assert budget.tokens_left == 90
    assert budget.fits("x" * 356)
    assert not budget.fits("x" * 364)
