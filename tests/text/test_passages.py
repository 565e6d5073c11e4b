"""Long texts are cut where a reader would cut them, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.passages import PASSAGE_BYTES_MAX, cut


def passages(text: bytes) -> list[bytes]:
    found = []
    while text:
        end = cut(text)
        found.append(text[:end])
        text = text[end:]
    return found


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), st.integers(1, 90_000)
        ),
        max_size=12,
    )
)
def test_the_passages_of_any_text_are_texts_and_make_it_up(parts: list[tuple[str, int]]) -> None:
    text = "".join(part * times for part, times in parts).encode()[: 4 * PASSAGE_BYTES_MAX]
    text = text.decode(errors="ignore").encode()
    found = passages(text)
    assert b"".join(found) == text
    assert all(0 < len(passage) <= PASSAGE_BYTES_MAX and passage.decode() for passage in found)


def test_a_passage_ends_with_a_line() -> None:
    found = passages(b"".join(b"line %d\n" % number for number in range(100_000)))
    assert len(found) > 3
    assert all(passage.endswith(b"\n") and len(passage) > PASSAGE_BYTES_MAX - 20 for passage in found[:-1])


def test_a_long_line_is_cut_between_words() -> None:
    first, *_ = passages(b"word-0123456789 " * 20_000)
    assert first.endswith(b"word-0123456789")


@pytest.mark.parametrize("before", range(PASSAGE_BYTES_MAX - 900, PASSAGE_BYTES_MAX, 100))
def test_a_private_key_is_not_cut(before: int) -> None:
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"QUJD" * 100 + b"\n-----END PRIVATE KEY-----\n"
    text = b"x\n" * (before // 2) + key + b"y\n" * 1000
    assert sum(key in passage for passage in passages(text)) == 1
