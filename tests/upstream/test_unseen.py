"""What nobody can see is taken out, and what shapes visible characters stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.upstream.unseen import seen, seen_in

MARKS = ["\u200b", "\u200d", "\u200d\u200d", "\u2060", "\ufeff", "\u3164", "\u00ad", "\ufe0f", "\U000e0100"]
CONTROLS = ["\u202e", "\u2066", "\x1b", "\x00", "\x9b", "\U000e0041"]


@pytest.mark.parametrize("hidden", [*MARKS, *CONTROLS], ids=ascii)
def test_a_hidden_character_is_taken_out(hidden: str) -> None:
    assert seen(f"read{hidden} a file") == "read a file"


@pytest.mark.parametrize("text", ["a\n\tb", "👩‍👩‍👧", "می‌خواهم", "1️⃣", "❤️", "naïve", "日本語"])
def test_what_shapes_a_visible_character_stays(text: str) -> None:
    assert seen(text) == text


@given(st.text())
def test_once_is_enough(text: str) -> None:
    assert seen(seen(text)) == seen(text)


def test_a_definition_with_nothing_to_hide_is_passed_on_as_the_object_it_is() -> None:
    definition = {"name": "a", "description": "b", "inputSchema": {"x": [1, None, {"title": "c"}]}}
    assert seen_in(definition) is definition
