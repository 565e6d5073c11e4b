"""Of a long text, what a sentence could rest on."""

from komorebi_mcp.summarizers.excerpts import WHOLE_CHARS_MAX, excerpt


def test_a_short_text_is_read_whole() -> None:
    assert excerpt("x" * WHOLE_CHARS_MAX, "anything") == "x" * WHOLE_CHARS_MAX


def test_whatever_a_sentence_names_is_read_wherever_it_stands() -> None:
    filler = "filler words here. " * 20_000
    text = f"{filler}The port is 8417. {filler}Mariko wrote EXPORT-5521."
    read = excerpt(text, "Mariko wrote EXPORT-5521 on port 8417.")
    assert len(read) < WHOLE_CHARS_MAX
    assert "The port is 8417." in read
    assert "Mariko wrote EXPORT-5521." in read
