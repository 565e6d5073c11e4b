"""How long a text is for a model.

One rule throughout: a token is four bytes of UTF-8, rounded up. English prose has 4 to 4.5 bytes per token
in the vocabularies of current models; other scripts have more bytes per character and more tokens too, so
that counting bytes follows them where counting characters would not.
"""

from komorebi_mcp.text.cuts import sentence_end, whole_end

BYTES_PER_TOKEN = 4


def byte_length(text: str) -> int:
    """Bytes of UTF-8; a lone surrogate counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(text: str) -> int:
    """ceil(UTF-8 bytes / 4); 0 for the empty text."""
    return -(-byte_length(text) // BYTES_PER_TOKEN)


def cut_to_tokens(text: str, tokens: int) -> str:
    """The beginning of the text in at most `tokens` tokens.

    It ends behind a sentence or else a word where one ends in the last quarter, and never inside a visible
    character.
    """
    bytes_max = max(0, tokens) * BYTES_PER_TOKEN
    if byte_length(text) <= bytes_max:
        return text
    fitting = text[:bytes_max].encode("utf-8", "surrogatepass")[: bytes_max + 1]
    # A character cut in two at the end is dropped; surrogates stay, since "surrogatepass" cannot be told to
    # ignore.
    while fitting and (len(fitting) > bytes_max or not _is_whole(fitting)):
        fitting = fitting[:-1]
    end = len(fitting.decode("utf-8", "surrogatepass"))
    return text[: sentence_end(text, whole_end(text, end))].rstrip()


def _is_whole(encoded: bytes) -> bool:
    """Whether the UTF-8 bytes end behind a whole character."""
    for back in range(1, min(4, len(encoded)) + 1):
        lead = encoded[-back]
        if lead & 0xC0 != 0x80:
            length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return length == back
    return False
