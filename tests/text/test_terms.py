import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.text.terms import QUERY_TERMS_MAX, TERM_CHARS_MAX, ordered_terms, parse_query, terms

WORDS = [
    "cans",
    "does",
    "foo_bar",
    "parseJson",
    "v1.2.3",
    "ABC-12",
    "c++",
    "C#",
    "e-mail",
    "don't",
    "DON'T",
    "it's",
    "北京大学",
    "naïve",
    "the",
    "running",
    "agreed",
    "generalization",
    "organizes",
    "O'Brien",
    "3.14",
    "__init__",
    "HTTPServer",
    "URLs",
    "ガーデン",
    "สวัสดี",
    "हिन्दी",
    "🎉",
]
ANY_TEXT = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="aB1_.-'+# cC北ä🎉ßİt\n\"", max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
)


@settings(deadline=None)
@given(ANY_TEXT)
def test_terms_are_words_both_indexes_keep_whole(text: str) -> None:
    for term in terms(text):
        assert re.fullmatch(rf"\w{{1,{TERM_CHARS_MAX}}}", term)


@settings(deadline=None)
@given(ANY_TEXT)
def test_terms_looked_up_again_give_the_same_terms(text: str) -> None:
    found = terms(text)
    assert set(terms(" ".join(found))) == set(found)


@settings(deadline=None)
@given(ANY_TEXT)
def test_any_text_is_a_valid_query(text: str) -> None:
    query = parse_query(text)
    assert len(query.terms) <= QUERY_TERMS_MAX


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("running", "runs"),
        ("Maria's notes", "maria note"),
        ("naïve café", "NAIVE CAFE"),
        ("Straße", "STRASSE"),
        ("foo_bar", "fooBar"),
        ("foo_bar", "bar"),
        ("parseJson()", "json"),
        ("HTTPServer", "httpserver"),
        ("PDFs", "pdf"),
        ("the URLs' hosts", "URL"),
        ("e-mail", "email"),
        ("v1.2.3", "1.2.3"),
        ("ABC-12", "abc-12"),
        ("2026-05-08", "2026"),
        ("see src/app.ts:42", "app.ts"),
        ("c++", "C++"),
        ("我们决定把发票服务迁移", "发票服务"),
        ("我们决定把发票服务迁移", "票"),
        ("서울에서", "서울"),
        ("สวัสดีชาวโลก", "สวัสดี"),
        ("Python3.11で動く", "動く"),
        ("it worked 🎉", "🎉"),
        ("\ufb01le \uff21\uff11", "file a1"),
        ("The cans", "cans"),
    ],
)
def test_what_was_written_is_found_as_it_is_asked_for(written: str, asked: str) -> None:
    assert set(parse_query(asked).terms) & set(terms(written))


@pytest.mark.parametrize(("one", "other"), [("c++", "c#"), ("C", "C++"), ("1.2.3", "123"), ("北京", "东京")])
def test_what_is_not_the_same_is_told_apart(one: str, other: str) -> None:
    assert not set(parse_query(one).terms) & set(terms(other)) or one == "北京"
    assert set(parse_query(one).terms) != set(parse_query(other).terms)


def test_stop_words_are_left_out_unless_nothing_else_is_left() -> None:
    assert terms("the cat is on the mat") == ("cat", "mat")
    assert terms("To be or not to be") == ("to", "be", "or", "not", "to", "be")
    assert parse_query("to be or not to be").terms == ("to", "be", "or", "not")


def test_a_word_whose_stem_would_be_a_stop_word_is_kept() -> None:
    assert terms("The cans are full") == ("cans", "full")


def test_repeats_and_order_are_kept() -> None:
    assert terms("port invoice port") == ("port", "invoic", "port")
    assert ordered_terms("call foo_bar now") == ("call", "foo", "bar", "now")


def test_quoted_words_are_phrases_that_match_in_order() -> None:
    query = parse_query('move "invoice service" soon')
    assert query.phrases == (("invoic", "servic"),)
    assert set(query.terms) == {"move", "soon", "invoic", "servic"}
    for text in ("the Invoice Services", "我的发票服务很好"):
        phrase = parse_query(f'"{text}"').phrases[0]
        indexed = terms(f"before {text} behind")
        assert any(indexed[i : i + len(phrase)] == phrase for i in range(len(indexed)))


def test_a_phrase_reaches_across_an_identifier() -> None:
    indexed = terms("we call foo_bar before leaving")
    phrase = parse_query('"call foo"').phrases[0]
    assert any(indexed[i : i + len(phrase)] == phrase for i in range(len(indexed)))


def test_a_word_with_a_minus_is_excluded_but_a_negative_number_is_not() -> None:
    query = parse_query("invoice -legacy -foo_bar -ABC-12 -5 --flag")
    assert query.excluded == ("legaci", "foobar", "abc12")
    assert "5" in query.terms
    assert "flag" in query.terms


def test_what_a_question_is_dressed_in_is_not_looked_for() -> None:
    assert parse_query("What did Ines say about the invoice?").terms == ("ine", "invoic")
    assert parse_query("Summarize the discussion about the heat pump").terms == ("heat", "pump")
    assert parse_query("discussion").terms == ("discuss",)


def test_the_form_of_a_question_is_not_looked_for_unless_it_is_all_there_is() -> None:
    assert parse_query("How many kinds of bread might there be?").terms == ("bread",)
    assert parse_query("Where did they go?").terms == ("go",)
    assert parse_query("kinds of bread").terms == ("kind", "bread")


def test_an_unclosed_quote_is_ignored() -> None:
    assert parse_query('"invoice service').terms == ("invoic", "servic")
    assert parse_query('"').terms == ()


def test_a_long_query_is_capped() -> None:
    assert len(parse_query(" ".join(f"word{n}" for n in range(1000))).terms) == QUERY_TERMS_MAX


def test_a_term_is_never_longer_than_its_limit() -> None:
    assert terms("x" * 1000) == ("x" * TERM_CHARS_MAX,)
    assert parse_query("x" * 1000).terms == ("x" * TERM_CHARS_MAX,)
