import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.text.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@settings(deadline=None)
@given(st.text(alphabet="aB. !?。\n\r\t-*#1()é🎉\"'", max_size=200) | st.text(max_size=200))
def test_sentences_are_stripped_slices_in_order(text: str) -> None:
    behind = 0
    for start, end in split_sentences(text):
        assert behind <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        behind = end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We moved. It works!", ["We moved.", "It works!"]),
        ("Use e.g. v1.2.3 here. Done.", ["Use e.g. v1.2.3 here.", "Done."]),
        ("It broke at src/app.ts:42:10 again.", ["It broke at src/app.ts:42:10 again."]),
        ("# Head\n\n- item one\n- [x] item two", ["Head", "item one", "item two"]),
        ("2. Write docs\n   - quickstart\n   - [ ] settings", ["Write docs", "quickstart", "settings"]),
        ("def f(x):\n    return x", ["def f(x):", "return x"]),
        ("Le budget reste. M. Tanaka confirme la date.", ["Le budget reste.", "M. Tanaka confirme la date."]),
        ("Ask Dr. Alvarez. She knows.", ["Ask Dr. Alvarez.", "She knows."]),
        ("We chose plan B. It works.", ["We chose plan B.", "It works."]),
        ("Er kam z.B. gestern. Die Liste ist nicht da.", ["Er kam z.B. gestern.", "Die Liste ist nicht da."]),
        (
            "It points at parse.(*Decoder).buffer. See it.",
            ["It points at parse.(*Decoder).buffer.", "See it."],
        ),
        ("npm ERR! code ERESOLVE\nnpm ERR! no tree", ["npm ERR! code ERESOLVE", "npm ERR! no tree"]),
        ("Sitzung am 12. November 2026. Anwesend: Mei.", ["Sitzung am 12. November 2026.", "Anwesend: Mei."]),
        ("We need 12. Novels sell.", ["We need 12.", "Novels sell."]),
        ("我们决定。今天走\uff01", ["我们决定。", "今天走\uff01"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_a_text_is_split_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_prose_broken_to_fit_a_page_stays_one_sentence() -> None:
    text = "This sentence was broken by hand after some seventy characters or so\nand goes on here. Next."
    assert sentences(text) == [
        "This sentence was broken by hand after some seventy characters or so\nand goes on here.",
        "Next.",
    ]


def test_a_list_item_is_not_joined_to_the_one_before() -> None:
    for mark in ("-", "a)", "2."):
        assert len(sentences(f"- {'word ' * 14}word\n{mark} another item")) == 2


def test_a_line_that_ends_in_of_goes_on_however_short_it_is_and_deep_the_next_one() -> None:
    text = "Parser -- responsible for a list of\n                    files, and for the tree.\nDone"
    assert sentences(text) == [
        "Parser -- responsible for a list of\n                    files, and for the tree.",
        "Done",
    ]


def test_a_condition_goes_on_behind_its_if_in_the_next_line() -> None:
    text = "Writes the file. If\n  `spaced` is set, delimiters have spaces around them."
    assert [text[start:end] for start, end in split_sentences(text)] == [
        "Writes the file.",
        "If\n  `spaced` is set, delimiters have spaces around them.",
    ]


def test_abbreviations_of_a_language_that_is_known_end_no_sentence() -> None:
    text = "Termin ggf. Dienstag. Raum bzw. Saal offen."
    spans = split_sentences(text, language="de")
    assert [text[start:end] for start, end in spans] == ["Termin ggf. Dienstag.", "Raum bzw. Saal offen."]
