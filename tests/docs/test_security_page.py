"""Every promise of the security page names a test that is there."""

import re

from support.documents import ROOT

PAGE = ROOT / "docs" / "security.md"


def test_every_promise_names_a_test_that_is_there() -> None:
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rows = re.findall(r"^\| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    promises = [shown for promise, shown in rows if promise not in {"promise", "---"}]
    assert promises
    assert [shown for shown in promises if shown.strip("`") not in there] == []
