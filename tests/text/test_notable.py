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
        ("Q: Why did we drop it?\nA: Nobody knew it well.", []),
        ("They stay 30 days.\n\n> Do we know how long logs are kept?", []),
        ("## Open questions\n- Who owns the kiln?", [(Sort.OPEN, "Who owns the kiln?")]),
        ("Agreed with Mei: cone 6 it is.", [(Sort.DECISION, "Agreed with Mei: cone 6 it is.")]),
        (
            "Wir haben uns gestern für Kegel 6 entschieden.",
            [(Sort.DECISION, "Wir haben uns gestern für Kegel 6 entschieden.")],
        ),
        ("Beschlossen: Kegel 6.", [(Sort.DECISION, "Beschlossen: Kegel 6.")]),
        ("金曜日に出荷することにした。", [(Sort.DECISION, "金曜日に出荷することにした。")]),
        (
            "##[error]Process completed with exit code 1.",
            [(Sort.ERROR, "Process completed with exit code 1.")],
        ),
        ("--- FAIL: TestFire (0.03s)", [(Sort.ERROR, "FAIL: TestFire (0.03s)")]),
        ("error[E0382]: borrow of moved value", [(Sort.ERROR, "error[E0382]: borrow of moved value")]),
        ("npm ERR! code ERESOLVE", [(Sort.ERROR, "npm ERR! code ERESOLVE")]),
        (
            "Refunds: up to 30 days. We agreed on this in the team meeting. All know.",
            [(Sort.DECISION, "Refunds: up to 30 days. We agreed on this in the team meeting.")],
        ),
        ("We met. We decided that it ships.", [(Sort.DECISION, "We decided that it ships.")]),
        ("Why is it slow?\n\nBecause the element is worn.", []),
        ('{"level":"error","ts":"x","msg":"payment failed"}', [(Sort.ERROR, "payment failed")]),
        ('{"level":"info","msg":"an error, no error"}', []),
        ("12:00:01 [error] 31#31: connect() failed", [(Sort.ERROR, "[error] 31#31: connect() failed")]),
        ("The limit is unclear.", [(Sort.OPEN, "The limit is unclear.")]),
        ("The sky is blue.", []),
        ("[20/11/2026, 19:49] Mei: adapter?", []),
        ("", []),
    ],
)
def test_decisions_open_points_and_errors_are_found(text: str, found: list[tuple[Sort, str]]) -> None:
    assert list(notable(text)) == found


@given(st.text(max_size=400))
def test_what_is_found_stands_in_the_text(text: str) -> None:
    assert all(found in text for _, found in notable(text))


def test_what_only_replies_says_nothing_of_its_own() -> None:
    stamped = ["[20/11/2026, 18:23] Mei: ok", "20.11.26, 18:23 - Mei: <Media omitted>"]
    assert all(map(only_replies, ["ok", "Yes, great!", "❤️❤️", *stamped]))
    assert not any(
        map(only_replies, ["Ship it", "no", "好", "ok, Porto then", "[20/11/2026, 18:23] Mei: ok, Porto"])
    )
