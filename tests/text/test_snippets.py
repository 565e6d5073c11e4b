import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.text.snippets import HEAD_CHARS, MARKED_CHARS, head, mark
from komorebi_mcp.text.terms import parse_query

FILLING = "Nothing of interest stands in here. " * 30
STORY = f"{FILLING}We moved the invoice_service to port 8417. Invoices go out daily. {FILLING}"


@given(st.text(max_size=500))
def test_a_head_is_one_line_without_control_characters(content: str) -> None:
    shown = head(content)
    assert len(shown) <= HEAD_CHARS
    assert not any(unicodedata.category(char) == "Cc" for char in shown)


def test_a_head_puts_white_space_and_escapes_into_single_spaces() -> None:
    assert head("  one\n\ttwo\x00three \x1b[31mfour\x1b[0m ") == "one two three four"


def test_a_head_ends_at_a_word_and_says_that_more_follows() -> None:
    shown = head("word " * 100)
    assert shown.endswith("word…")
    assert len(shown) <= HEAD_CHARS


def test_a_head_is_found_behind_much_white_space_and_many_nul_characters() -> None:
    assert head("\0" * 5000 + "here") == "here"
    assert head(" " * 5000 + "here") == "here"


def test_the_densest_match_is_shown_with_its_words_marked() -> None:
    shown = mark(f"One invoice alone. {STORY}", parse_query("invoice port"))
    assert "**invoice_service** to **port** 8417" in shown
    assert "**Invoices**" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")


def test_a_match_is_shown_from_the_start_of_its_sentence() -> None:
    assert mark(STORY, parse_query("port")).startswith("…We moved the invoice_service to **port**")


def test_a_match_in_an_unspaced_script_is_marked_as_one() -> None:
    assert mark("今天我们决定把发票服务迁移", parse_query("发票服务")) == "今天我们决定把**发票服务**迁移"


@pytest.mark.parametrize(
    ("content", "query", "shown"),
    [
        ("ประชุมโครงการดิน", "ประชุม", "**ประชุม**โครงการดิน"),
        ("परियोजना की बैठक कल", "बैठक", "परियोजना की **बैठक** कल"),
        ("Une re\u0301union", "réunion", "Une **re\u0301union**"),
    ],
)
def test_a_match_is_marked_with_the_marks_of_its_letters(content: str, query: str, shown: str) -> None:
    assert mark(content, parse_query(query)) == shown


def test_the_head_is_shown_where_nothing_matches() -> None:
    assert mark(STORY, parse_query("zebra")) == head(STORY)
    assert mark(STORY, parse_query("!?")) == head(STORY)


@settings(deadline=None)
@given(st.text(alphabet="ab北. \n*é🎉", max_size=600), st.text(alphabet='ab北 "-', max_size=10))
def test_a_marked_snippet_is_a_short_part_of_the_content(content: str, query: str) -> None:
    shown = mark(content, parse_query(query))
    bare = shown.replace("*", "").strip("…")
    assert len(bare) <= MARKED_CHARS + 5
    assert re.sub(r"\s+", "", bare) in re.sub(r"\s+", "", content.replace("*", ""))
