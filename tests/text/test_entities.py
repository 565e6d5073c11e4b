import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import EntityType
from komorebi_mcp.text.entities import ENTITIES_MAX, find_entities

PIECES = [
    "https://a.example/x_(y)?z=1,",
    "src/app.ts:42:10",
    "foo_bar",
    "parseJson()",
    "ValueError:",
    "bad",
    "2026-05-08",
    "ABC-12",
    "Katharina",
    "Smith",
    "We",
    "decided",
    "to",
    "stop.",
    "`x",
    "y`",
    "8",
    "May",
    "2023",
    "me@a.example",
    "550e8400-e29b-41d4-a716-446655440000",
    "v1.2.3",
    "北京",
    "🎉",
    "\n",
]
ANY_TEXT = st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join)


def values(content: str, type_: EntityType) -> list[str]:
    return [one.value for one in find_entities(content) if one.type is type_]


@settings(deadline=None)
@given(ANY_TEXT)
def test_an_entity_is_the_slice_its_offsets_name(content: str) -> None:
    found = find_entities(content)
    assert [one.start for one in found] == sorted(one.start for one in found)
    for one in found:
        assert one.value
        assert content[one.start : one.end] == one.value


@settings(deadline=None)
@given(ANY_TEXT)
def test_no_two_entities_overlap_but_errors_and_decisions(content: str) -> None:
    behind = 0
    for one in find_entities(content):
        if one.type not in (EntityType.ERROR, EntityType.DECISION):
            assert behind <= one.start
            behind = one.end


@pytest.mark.parametrize(
    ("content", "type_", "expected"),
    [
        ("See https://a.example/x_(y)?z=1.", EntityType.URL, ["https://a.example/x_(y)?z=1"]),
        ("(at http://a.example/b)", EntityType.URL, ["http://a.example/b"]),
        ("write to me.too@mail.example.com.", EntityType.URL, ["me.too@mail.example.com"]),
        ("broke at src/app.ts:42:10.", EntityType.CODE_REF, ["src/app.ts:42:10"]),
        ("call pkg.mod.func() first", EntityType.CODE_REF, ["pkg.mod.func()"]),
        ("in /etc/nginx/sites today", EntityType.CODE_REF, ["/etc/nginx/sites"]),
        ("set foo_bar and ABC-12 to v1.2.3", EntityType.IDENTIFIER, ["foo_bar", "ABC-12", "v1.2.3"]),
        ("commit 9fceb02d0ae598", EntityType.IDENTIFIER, ["9fceb02d0ae598"]),
        ("run `make all` twice", EntityType.IDENTIFIER, ["make all"]),
        ("then ValueError: bad input\nnext", EntityType.ERROR, ["ValueError: bad input"]),
        ("ERROR disk full", EntityType.ERROR, ["ERROR disk full"]),
        ("exit code 137", EntityType.ERROR, ["exit code 137"]),
        ("connect: ECONNREFUSED", EntityType.ERROR, ["ECONNREFUSED"]),
        ("Hm. We decided to stop. Bye.", EntityType.DECISION, ["We decided to stop."]),
        ("Decision: keep it at 400 days.", EntityType.DECISION, ["Decision: keep it at 400 days."]),
        ("on 8 May 2023 or 2026-05-08", EntityType.DATE, ["8 May 2023", "2026-05-08"]),
        ("by next Friday or tomorrow", EntityType.DATE, ["next Friday", "tomorrow"]),
        ("the plan of Mariko Tanabe for it", EntityType.NAME, ["Mariko Tanabe"]),
        ("Katharina: hello", EntityType.NAME, ["Katharina"]),
    ],
)
def test_an_entity_is_found(content: str, type_: EntityType, expected: list[str]) -> None:
    assert values(content, type_) == expected


@pytest.mark.parametrize(
    "content",
    ["Nothing to see here, e.g. prose.", "It is 3.14 times and/or more.", "Today it may rain...", "🎉🎉", ""],
)
def test_plain_prose_names_no_code_and_no_error(content: str) -> None:
    quiet = {
        EntityType.ERROR,
        EntityType.URL,
        EntityType.IDENTIFIER,
        EntityType.CODE_REF,
        EntityType.DECISION,
    }
    assert not [one for one in find_entities(content) if one.type in quiet]


@pytest.mark.parametrize(
    "said",
    [
        *(
            "Decision: x",
            "Conclusion: x",
            "Resolved: x",
            "Agreed with Mei: x",
            "We've just settled on x",
            "They opted",
        ),
        *(
            "The board concluded x",
            "Everyone chose x",
            "We're going with x",
            "I'll stick with x",
            "It was agreed",
        ),
        *(
            "We will use gas instead",
            "Let's not use x",
            "Wir haben uns für x entschieden",
            "Wir haben x beschlossen",
        ),
        *(
            "Vereinbart: x",
            "Wir haben uns geeinigt",
            "Entscheidung: x",
            "Nous avons décidé x",
            "Décision : x",
        ),
        *("Hemos decidido x", "Acordamos x", "Decisión: x", "我们决定走", "走ることにした", "xに決まった"),
    ],
)
def test_every_way_to_say_that_something_is_decided_is_heard(said: str) -> None:
    assert [each.value for each in find_entities(said) if each.type is EntityType.DECISION] == [said]


def test_entities_are_capped() -> None:
    assert len(find_entities("foo_bar " * 2 * ENTITIES_MAX)) == ENTITIES_MAX


def test_a_traceback_ends_in_an_error_whatever_it_is_called() -> None:
    raised = 'Traceback (most recent call last):\n  File "a.py", line 1\n    raise x\nqueues.Empty: high'
    assert values(raised, EntityType.ERROR) == ["queues.Empty: high"]
