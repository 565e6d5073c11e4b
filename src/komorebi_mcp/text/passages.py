"""Passages: a text too long for one capture, cut where a reader would cut it.

Works on UTF-8 bytes as they arrive, so that the text is never in memory as a whole.
"""

import re

PASSAGE_BYTES_MAX = 262_144
"""256 KiB: small enough to be read and enriched at once, large enough that 50 MB are 200 of them."""

_BREAK_SEARCHED_BYTES = 4_096
_KEY_BYTES_MAX = 17_000
"""A PEM block is searched for that far before a cut; `text.secrets` knows none that are longer."""

# Where a line is too long: before a byte that no token, path or number goes on with. A byte from 0xC0 up
# begins a character; those from 0x80 to 0xBF continue one.
_BREAK = re.compile(rb"[^A-Za-z0-9_\-./+=:%~\x80-\xbf]")


def cut(text: bytes | bytearray) -> int:
    """How many of the first bytes are the next passage; at least 1 and at most `PASSAGE_BYTES_MAX`.

    It ends behind the last line break there is room for. A longer line is cut between words, or at worst
    between two characters; a private key is not cut, so that it can be recognised as one.
    """
    if len(text) <= PASSAGE_BYTES_MAX:
        return len(text)
    end = text.rfind(b"\n", 0, PASSAGE_BYTES_MAX) + 1 or _within_line(text)
    begun = text.rfind(b"-----BEGIN ", max(1, end - _KEY_BYTES_MAX), end)
    if begun > 0 and text.find(b"-----END ", begun, end) < 0:
        return begun
    return end


def _within_line(text: bytes | bytearray) -> int:
    lowest = PASSAGE_BYTES_MAX - _BREAK_SEARCHED_BYTES
    # One byte further: a passage may end before it.
    breaks = [match.start() for match in _BREAK.finditer(text, lowest, PASSAGE_BYTES_MAX + 1)]
    if breaks:
        return breaks[-1]
    end = PASSAGE_BYTES_MAX
    while end > PASSAGE_BYTES_MAX - 3 and text[end] & 0xC0 == 0x80:
        end -= 1
    return end
