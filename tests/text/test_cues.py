"""What a text gives away about itself."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.cues import asks, asks_when, tells_when
from komorebi_mcp.text.terms import parse_query


@pytest.mark.parametrize(
    "text", ["Where is it?", 'He said "why?"', "どこですか\uff1f", "Is this it? [photo of a door]"]
)
def test_a_text_that_ends_in_a_question_asks(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize("text", ["Why? Because it rained.", "https://example.com/?q=1", "It is here.", ""])
def test_a_text_that_goes_on_after_its_question_does_not_ask(text: str) -> None:
    assert not asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "We moved last week.",
        "It broke two days ago.",
        "Shipped on 3 March 2031.",
        "Ready by 2031-03-04.",
        "I started in May.",
        "2031-03-04 10:00 The valve was changed yesterday.",
        "9:15 am on 4 March, 2031 - Ines: see you on Friday",
    ],
)
def test_a_text_with_a_date_or_a_span_tells_when(text: str) -> None:
    assert tells_when(text)


@pytest.mark.parametrize(
    "text",
    [
        "It may rain.",
        "9:15 am on 4 March, 2031 - Ines: hello",
        "[2031-03-04 10:00:00] started",
        "An hourly job.",
    ],
)
def test_a_stamp_at_the_start_does_not_tell_when(text: str) -> None:
    assert not tells_when(text)


@pytest.mark.parametrize(
    "query", ["When did it break?", "how long ago", "Since when", "In which year was it?"]
)
def test_a_query_for_a_time_asks_when(query: str) -> None:
    assert asks_when(query)
    assert parse_query(query).asks_when


@pytest.mark.parametrize("query", ["What happened when it broke?", "whenever", "the time", ""])
def test_another_query_does_not_ask_when(query: str) -> None:
    assert not asks_when(query)


@given(st.text())
def test_any_text_has_cues_or_has_none(text: str) -> None:
    for cue in (asks, tells_when, asks_when):
        assert cue(text) in {True, False}


@pytest.mark.parametrize("text", ["[" * 9_000 + "?", "?" + " " * 9_000, "1:11 " * 9_000, "last " * 9_000])
def test_a_hostile_text_costs_little(text: str) -> None:
    started = time.process_time()
    for cue in (asks, tells_when, asks_when):
        cue(text)
    assert time.process_time() - started < 0.2
