"""What in a text is worth coming back to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.notable import Sort, notable, only_replies


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("We decided to ship on Friday. Mei owns it.", [(Sort.DECISION, "We decided to ship on Friday.")]),
        ("It works. Who owns the roll-back?", [(Sort.OPEN, "Who owns the roll-back?")]),
        ("- [ ] write the migration\n- [x] tell Mei", [(Sort.OPEN, "write the migration")]),
        ("TODO: rename it", [(Sort.OPEN, "TODO: rename it")]),
        ("We are still waiting for Lisbon.", [(Sort.OPEN, "We are still waiting for Lisbon.")]),
        ("Das ist noch offen.", [(Sort.OPEN, "Das ist noch offen.")]),
        ("ValueError: row 4711", [(Sort.ERROR, "ValueError: row 4711")]),
        ("Mei? Any objections? No? Is there anything else?", []),
        ("Rollback plan?", [(Sort.OPEN, "Rollback plan?")]),
        ("昨日の会議は?", [(Sort.OPEN, "昨日の会議は?")]),
        ("Le budget reste à 30 000 euros.", []),
        ("Il reste à prévenir Mei.", [(Sort.OPEN, "Il reste à prévenir Mei.")]),
        ("The sky is blue.", []),
        ("", []),
    ],
)
def test_decisions_open_points_and_errors_are_found(text: str, found: list[tuple[Sort, str]]) -> None:
    assert list(notable(text)) == found


@given(st.text(max_size=400))
def test_what_is_found_stands_in_the_text(text: str) -> None:
    assert all(found in text for _, found in notable(text))


def test_what_only_replies_says_nothing_of_its_own() -> None:
    assert all(map(only_replies, ["ok", "Yes, great!"]))
    assert not any(map(only_replies, ["Ship it", "no", "好", "ok, Porto then"]))
