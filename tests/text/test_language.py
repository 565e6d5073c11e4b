import pytest

from komorebi_mcp.text.keywords import find_keywords
from komorebi_mcp.text.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("We have decided that this is the way to go.", "en"),
        ("Wir haben das nicht auf die Liste gesetzt.", "de"),
        ("Nous avons une idée pour les clients dans cette ville.", "fr"),
        ("El equipo no está de acuerdo con los cambios.", "es"),
        ("Het is niet zo dat we een plan hebben.", "nl"),
        ("今天我们开会", "zh"),
        ("今日は会議です", "ja"),
        ("오늘 회의", "ko"),
        ("สวัสดีชาวโลก", "th"),
        ("мы решили это", "ru"),
        ("ми вирішили їх", "uk"),
        ("مرحبا بالعالم", "ar"),
        ("שלום עולם", "he"),
        ("हिन्दी में", "hi"),
        ("We deployed 北京 today and the team is happy with it.", "en"),
    ],
)
def test_a_language_is_told(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize("text", ["", "ok", "🎉", "x = foo(y)", "12 + 3", "Buy milk"])
def test_no_language_is_guessed(text: str) -> None:
    assert detect_language(text) is None


def test_keywords_are_what_the_text_is_about_as_it_is_written() -> None:
    text = "We moved the invoice_service to Hamburg. Invoices are late; Hamburg invoices most of all."
    found = find_keywords(text)
    assert {"invoice_service", "Hamburg"} <= set(found)
    assert "the" not in found
    assert sum(word.casefold().startswith("invoices") for word in found) == 1


def test_keywords_are_as_many_as_asked_for_at_most() -> None:
    assert len(find_keywords("alpha beta gamma delta epsilon", most=3)) == 3
    assert find_keywords("") == ()
    assert find_keywords("the of and 12 34") == ()
