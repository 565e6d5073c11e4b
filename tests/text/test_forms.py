from komorebi_mcp.text.forms import other_forms
from komorebi_mcp.text.terms import stem, terms


def test_a_word_has_the_forms_that_no_stemmer_finds() -> None:
    assert other_forms(stem("bought")) == (stem("buy"),)
    assert set(other_forms(stem("writing"))) == {stem("wrote"), stem("written")}
    assert other_forms(stem("children")) == (stem("child"),)


def test_most_words_have_no_other_form() -> None:
    assert not any(map(other_forms, terms("The greenhouse on port 8417, foo_bar and 北京 are walked past")))
