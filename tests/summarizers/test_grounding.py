import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.summarizers.grounding import atoms, proper_words, unsupported
from komorebi_mcp.summarizers.spoken import spoken_numbers

PIECES = [
    "On",
    "14",
    "March",
    "2027",
    "Mariko",
    "Tanabe",
    "moved",
    "`foo_bar`",
    "to",
    "port",
    "8,417",
    "at",
    "https://a.example/b?d=E",
    "for",
    "$1,200.50",
    "twenty-five",
    "hundred",
    "users.",
    "May",
    "8th",
    "2023-05-08",
    "Friday",
    "v1.2.3",
    "ABC-12",
    "parseJson()",
    "src/app.ts:42",
    "½",
    "²",
    "北京",
    "I",
    "me@a.example",
    "0.00",
    "1.",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=15).map(" ".join) | st.text(max_size=200))
def test_every_text_backs_itself(text: str) -> None:
    assert unsupported(text, [text]) == set()


@pytest.mark.parametrize(
    ("sentence", "atom"),
    [
        ("It failed 38 times.", ("number", "38")),
        ("It cost $1,200.50.", ("number", "1200.5")),
        ("There were twenty-five of them.", ("number", "25")),
        ("See https://a.example/B.", ("url", "https://a.example/b")),
        ("Ask me@a.example now.", ("url", "me@a.example")),
        ("We set `foo bar` there.", ("identifier", "foo bar")),
        ("We set foo_bar there.", ("identifier", "foo_bar")),
        ("We use v1.2.3 there.", ("identifier", "v1.2.3")),
        ("Fixed ABC-12 there.", ("identifier", "abc-12")),
        ("It ended on 8 May 2023.", ("date", "2023-05-08")),
        ("It ended on May 8th.", ("date", "-----05-08")),
        ("It ended on 2023-05-08.", ("date", "2023-05-08")),
        ("It ended on Friday.", ("weekday", "friday")),
        ("It was Mariko Tanabe.", ("name", "mariko tanabe")),
    ],
)
def test_an_atom_without_backing_is_unsupported(sentence: str, atom: tuple[str, str]) -> None:
    assert atom in atoms(sentence)
    assert atom in unsupported(sentence, ["Something else was said."])


@pytest.mark.parametrize(
    ("sentence", "backing"),
    [
        ("It failed 37 times.", "It failed thirty-seven times."),
        ("It took 3 days.", "It took three days."),
        ("There were twelve of them.", "There were 12 of them."),
        ("It cost 1200.5 dollars.", "It cost $1,200.50."),
        ("It ended on 8 May.", "It ended on 2023-05-08T12:00:00Z."),
        ("It ended on May 8, 2023.", "It ended on 8 May."),
        ("Tanabes agreed with Mariko.", "Mariko Tanabe agreed."),
        ("We took two or three of them.", "We took some."),
        ("It has 4,000 lines.", "It has four thousand lines."),
        ("It costs 12.5 dollars.", "It costs twelve point five dollars."),
        ("It cost 14 million dollars.", "It cost $14million."),
        ("It was the USB port.", "It was a U_S_B_ port, I think."),
        ("It was the USB port.", "It was a U. S. B. port."),
    ],
)
def test_the_same_thing_written_otherwise_is_backing(sentence: str, backing: str) -> None:
    assert unsupported(sentence, [backing]) == set()


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("four thousand two hundred and seven", {"4207"}),
        ("thirty - six gigabytes", {"36"}),
        ("two and a half", {"2.5"}),
        ("ten point seven", {"10.7"}),
        ("three million", {"3000000"}),
        ("a hundred and five", {"105"}),
        ("fifty sixty five", {"50", "65"}),
        ("twenty twenty", {"20"}),
        ("two point", set()),
        ("one thing and two others", set()),
    ],
)
def test_a_number_of_several_words_has_one_value(said: str, numbers: set[str]) -> None:
    assert spoken_numbers(said) == numbers


def test_a_number_said_otherwise_is_no_backing() -> None:
    assert unsupported("It has 4,000 lines.", ["It has fourteen thousand lines."])
    assert unsupported("It costs 2.5 dollars.", ["It costs two dollars, and five cents are left."])
    assert unsupported("It cost $14million.", ["It cost $14 billion."])


def test_a_word_that_only_opens_sentences_is_no_name() -> None:
    texts = ["Therefore we went. Mariko left. According to him we did.", "Therefore he stayed."]
    assert proper_words(texts) == {"mariko"}


def test_the_end_of_a_number_is_not_a_day() -> None:
    assert atoms("It cost $1,200.05 March or not.") >= {("number", "1200.05")}


def test_the_day_must_be_the_same_and_the_year_where_both_give_one() -> None:
    assert unsupported("It ended on 9 May.", ["It ended on 8 May."])
    assert unsupported("It ended on 8 May 2024.", ["It ended on 8 May 2023."])


def test_any_of_the_cited_texts_backs_an_atom() -> None:
    assert unsupported("It took Mariko Tanabe 37 days.", ["It took 37 days.", "Mariko Tanabe"]) == set()
