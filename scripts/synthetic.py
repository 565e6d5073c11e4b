"""Texts like those people capture, made up from a seed: the same seed gives the same texts."""

import random
from collections.abc import Iterator
from typing import NamedTuple

_PEOPLE = ("Amara", "Jonas", "Mei", "Tomás", "Zoë", "Ravi", "Ingrid", "Kofi")
_THINGS = (
    "the importer",
    "checkout",
    "the nightly backup",
    "search",
    "the login page",
    "billing",
    "the mobile app",
)
_LEVELS = ("INFO", "WARN", "ERROR")
_SCRIPTS = (
    "会議の要点、予算は 3 月までに {n} 万円に決まりました。次回は金曜日です。",
    "Встреча перенесена на {n} марта, бюджет утверждён. Нужно обновить план.",
    "تم تأجيل الاجتماع إلى الساعة {n}. الميزانية جاهزة للمراجعة.",
    "🚀 ship it 👩‍👩‍👧‍👦 {n} ½ ≈ naïve café — “quotes”, zero\u200bwidth and a NUL \x00 inside.",
    "\x1b[31mFAILED\x1b[0m {n} tests\r\n\tcol1\tcol2\r\nnext line\u2028separator",
)
_LONG_CHARS = (20_000, 200_000)


class SyntheticText(NamedTuple):
    """What one capture call is made of."""

    content: str
    kind: str
    project: str
    key: str


def texts(size: int, *, seed: int, projects: int = 5) -> Iterator[SyntheticText]:
    """`size` different texts, spread over some projects; one in two hundred is long."""
    chance = random.Random(seed)  # noqa: S311  # Repeatable on purpose, secret to nobody.
    for number in range(size):
        kind, content = _one(chance, number)
        if number % 200 == 100:
            content = _lengthened(chance, content, _LONG_CHARS[(number // 200) % 2])
        yield SyntheticText(content, kind, f"project {chance.randrange(projects)}", f"hammer-{seed}-{number}")


def _one(chance: random.Random, number: int) -> tuple[str, str]:
    person, other = chance.sample(_PEOPLE, 2)
    thing = chance.choice(_THINGS)
    amount = chance.randrange(2, 9_999)
    match number % 6:
        case 0:
            return "note", (
                f"Note {number}. {person} looked at {thing} today and found {amount} stale rows. "
                f"The cause is the cache of release v{amount % 9}.{number % 30}.{amount % 7}. "
                f"{other} will clean it up on Friday."
            )
        case 1:
            return "decision", (
                f"Decision {number}: we decided to spend {amount} € on {thing} "
                f"before 2026-0{1 + amount % 9}-1{amount % 9}. "
                f"{person} agreed, {other} asked for a report at https://example.org/report/{number}."
            )
        case 2:
            return "log", "\n".join(
                f"2026-02-1{line % 9}T0{line % 9}:15:{line % 60:02d}Z {chance.choice(_LEVELS)} "
                f"worker-{number}: request {amount + line} took {chance.randrange(900)} ms"
                for line in range(chance.randrange(3, 30))
            )
        case 3:
            return "code", (
                f"def handle_{number}(rows: list[int]) -> int:\n"
                f'    """Sums what {person} counted."""\n'
                f"    limit_{amount} = {amount}\n"
                f"    return sum(row for row in rows if row < limit_{amount})\n"
            )
        case 4:
            return "error", (
                f'Traceback (most recent call last):\n  File "src/app_{number}.py", line {amount}, in main\n'
                f"ValueError: invalid literal for int() with base 10: 'x{amount}'\n"
                f"Seen by {person} in {thing}, {1 + amount % 12} times since Monday."
            )
        case _:
            return "note", f"{number}: " + chance.choice(_SCRIPTS).format(n=amount)


def _lengthened(chance: random.Random, content: str, chars: int) -> str:
    parts = [content]
    length = len(content)
    while length < chars:
        _, more = _one(chance, chance.randrange(6, 1_000_000))
        parts.append(more)
        length += len(more) + 2
    return "\n\n".join(parts)
