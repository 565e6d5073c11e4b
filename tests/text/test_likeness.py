"""Signatures tell how alike texts are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.likeness import LIKE_MIN, TERMS_MIN, bands, signature, similarity
from komorebi_mcp.text.terms import terms

STORY = (
    "Looked at the nightly import with Mei. Row 4711 fails because the date column holds a time zone name; "
    "we decided to normalise to UTC before parsing, and to log the first ten offenders. Follow up on Friday."
)


def _signed(text: str) -> bytes:
    signed = signature(terms(text))
    assert signed is not None
    return signed


def _share_a_band(one: bytes, other: bytes) -> bool:
    return not set(bands(one)).isdisjoint(bands(other))


def test_a_text_is_like_itself_whatever_its_case_and_marks() -> None:
    one, other = _signed(STORY), _signed(STORY.upper().replace(".", " !"))
    assert (one, similarity(one, other)) == (other, 1.0)


def test_a_corrected_text_is_found_by_its_bands() -> None:
    one, other = _signed(STORY), _signed(STORY.replace("4711", "4712").replace("Friday", "Monday"))
    assert LIKE_MIN <= similarity(one, other) < 1
    assert _share_a_band(one, other)


def test_another_text_is_neither_alike_nor_found() -> None:
    other = _signed("The invoice service moved to port 8417 last night, and billing answers within a second.")
    assert similarity(_signed(STORY), other) < 0.1
    assert not _share_a_band(_signed(STORY), other)


@pytest.mark.parametrize("text", ["", "ok", "heartbeat fine", "one one one one one two three four"])
def test_few_words_have_no_signature(text: str) -> None:
    assert signature(terms(text)) is None


def test_signatures_of_another_version_are_never_alike() -> None:
    signed = _signed(STORY)
    older = bytes((signed[0] - 1,)) + signed[1:]
    assert similarity(signed, older) == 0
    assert not _share_a_band(signed, older)


def test_a_signature_is_the_same_in_every_process_and_release() -> None:
    """It is stored: one made tomorrow must be comparable, unless its first byte says otherwise."""
    signed = _signed(STORY)
    assert signed[:9].hex() == "02221cb60aafbd9d1b"
    assert bands(signed)[:2] == [6327245886973246724, 2784290913217239714]


@given(
    st.lists(st.integers(0, 400).map(str), min_size=TERMS_MIN, max_size=300, unique=True),
    st.lists(st.integers(0, 400).map(str), min_size=TERMS_MIN, max_size=300, unique=True),
)
def test_similarity_is_what_the_texts_have_in_common(one: list[str], other: list[str]) -> None:
    features = [{*words, *pairwise(words)} for words in (one, other)]
    true = len(features[0] & features[1]) / len(features[0] | features[1])
    signed, compared = signature(one), signature(other)
    assert signed is not None
    assert compared is not None
    # Five standard deviations of 128 samples.
    assert similarity(signed, compared) == pytest.approx(true, abs=0.22)
