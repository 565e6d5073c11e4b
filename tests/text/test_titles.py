import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.text.titles import TITLE_CHARS, UNTITLED, make_title


@given(st.text(max_size=400))
def test_a_title_is_never_empty_and_fits(content: str) -> None:
    title = make_title(content)
    assert 0 < len(title) <= TITLE_CHARS
    assert not any(unicodedata.category(char) == "Cc" for char in title)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (
            "Both are made in `Queue.__init__`; we __really__ accept that.",
            "Both are made in Queue.__init__; we really accept that.",
        ),
        ("# **Hello** world\n\nbody", "Hello world"),
        ("\n\n- [x] buy milk\n- eggs", "buy milk"),
        ("3. Third thing", "Third thing"),
        ("> quoted words", "quoted words"),
        ("2026-05-08T12:00:01.123Z INFO Server started", "Server started"),
        ("[12:00:01] [ERROR] it broke", "it broke"),
        ("[20/11/2026, 18:23] Mei: ok", "Mei: ok"),
        ("Hi team,\n\ncone 6 is sold out.\n\nBest\nMei", "cone 6 is sold out."),
        ("Dear all!", "Dear all!"),
        ("20.11.26, 18:23 - Mei: ok", "Mei: ok"),
        ("9:12 am on 3 June, 2031 - Katharina: Good morning!", "Katharina: Good morning!"),
        ("```python\nimport os\n```", "import os"),
        ("---\ntitle: 'Front matter'\ntags: x\n---\nbody", "Front matter"),
        ("See [the docs](https://a.b/c) for `foo_bar`", "See the docs for foo_bar"),
        ("<h1>A page</h1>", "A page"),
        ("-----\n=====\nUnder the rule", "Under the rule"),
        ("#!/bin/sh\n# Cleans up", "Cleans up"),
        ("func (s *Store) Append(e *Event) error {", "func (s *Store) Append(e *Event) error {"),
        ("*Kegel* 6 and _not_ 7", "Kegel 6 and not 7"),
        ("| cone | °C |\n| --- | ---: |\n| 6 | 1222 |", "cone, °C"),
        ('{\n  "name": "kiln",\n  "cone": 6\n}', "name: kiln"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nValueError: no kiln',
            "ValueError: no kiln",
        ),
        ("From: Mei <m@k.example>\nTo: all@k.example\nSubject: Re: Cones\n\nHi,", "Re: Cones"),
        (
            "Herr Weiß übernimmt z. B. die Wartung. Frau Özdemir bereitet die Daten der letzten Jahre auf.",
            "Herr Weiß übernimmt z. B. die Wartung",
        ),
        ("First sentence of a line. " + "More of it. " * 20, "First sentence of a line"),
        ("我们决定迁移发票服务。" * 20, "我们决定迁移发票服务。我们决定迁移发票服务"),
        ("🎉", "🎉"),
        ("42", "42"),
        ("", UNTITLED),
        ("\x00\n\x01 ", UNTITLED),
    ],
)
def test_a_title_is_the_first_line_that_says_something(content: str, title: str) -> None:
    assert make_title(content) == title


def test_a_long_line_without_a_full_stop_is_cut_at_a_word() -> None:
    assert make_title("word " * 40).endswith("word…")
