import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.cuts import one_line, shorten
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é", 1), ("北京", 2)]
)
def test_a_token_is_four_bytes_of_utf_8(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(max_size=200), st.integers(-1, 60))
def test_a_cut_text_is_a_beginning_within_the_budget(text: str, tokens: int) -> None:
    cut = cut_to_tokens(text, tokens)
    assert text.startswith(cut)
    assert estimate_tokens(cut) <= max(0, tokens)


@given(st.text(max_size=200))
def test_a_text_within_the_budget_stays_as_it_is(text: str) -> None:
    assert cut_to_tokens(text, estimate_tokens(text)) == text


@pytest.mark.parametrize("whole", ["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301", "각", "\u1112\u1161\u11ab"])
@pytest.mark.parametrize("tokens", range(1, 30))
def test_a_visible_character_is_never_cut_in_two(whole: str, tokens: int) -> None:
    cut = cut_to_tokens(whole * 20, tokens)
    assert cut == whole * (len(cut) // len(whole))


def test_a_cut_ends_behind_a_sentence_where_one_ends_near() -> None:
    assert cut_to_tokens("One two three four. Five six seven", 6) == "One two three four."
    assert cut_to_tokens("One two three four five six", 4) == "One two three"


def test_a_number_is_not_cut_in_two_where_no_space_is_near() -> None:
    assert cut_to_tokens("端口8417000已经", 3) == "端口"
    assert cut_to_tokens("x" * 100, 3) == "x" * 12


def test_what_is_shortened_says_so() -> None:
    assert shorten("one two three", 9) == "one two…"
    assert shorten("one", 9) == "one"


@given(st.text(max_size=100), st.integers(2, 50))
def test_a_shortened_text_fits(text: str, chars: int) -> None:
    assert len(shorten(text, chars)) <= chars


@given(st.text(max_size=100))
def test_one_line_holds_no_control_character(text: str) -> None:
    assert not any(
        unicodedata.category(char) == "Cc" or char in "\u2028\u2029\u202e" for char in one_line(text)
    )
