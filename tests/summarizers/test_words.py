import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.summarizers.words import content_of, words_of


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_words_are_runs_of_letters_and_digits_with_apostrophes_inside(text: str) -> None:
    assert words_of(text) == tuple(re.findall(r"[a-z0-9]+(?:'[a-z0-9]+)*", text.lower()))


@pytest.mark.parametrize(
    ("beyond", "plain"),
    [
        ("Zoë moved invoice_service to v1.2.3", "Zoe moved invoice_service to v1.2.3"),
        ("Budget: 400 € — don\u2019t spend it", "Budget: 400 -- don't spend it"),
        ("cafe\u0301 menu", "cafe menu"),
    ],
)
def test_a_sentence_says_the_same_with_and_without_a_character_beyond_ascii(beyond: str, plain: str) -> None:
    assert words_of(beyond) == words_of(plain)
    assert content_of(words_of(beyond)) == content_of(words_of(plain))


def test_words_too_light_to_tell_sentences_apart_are_not_content() -> None:
    assert content_of(words_of("So I think the invoices are really late")) == ("invoic", "late")


def test_an_unspaced_script_is_told_by_pairs_of_characters() -> None:
    assert content_of(words_of("東京都")) == ("東京", "京都")


def test_an_emoji_is_content() -> None:
    assert content_of(words_of("🎉")) == ("u1f389",)
