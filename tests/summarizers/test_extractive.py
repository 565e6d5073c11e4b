from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX, Kind
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.extractive import summarize
from komorebi_mcp.summarizers.grounding import unsupported
from komorebi_mcp.text.tokens import estimate_tokens

START = datetime(2026, 5, 8, 12, tzinfo=UTC)
FACTS = [
    "We decided to move the billing service to port 8417.",
    "Mariko Tanabe owns the rollout of billing_gateway until 14 March 2027.",
    "The nightly export failed 37 times with error EXPORT-5521.",
    "Decision: keep the retention period at 400 days.",
    "The new endpoint is https://billing.example.com/v2/ledger and needs 3 replicas.",
]
SUBJECTS = [
    "garden",
    "kitchen",
    "harbour",
    "library",
    "station",
    "orchard",
    "workshop",
    "bakery",
    "museum",
    "bridge",
]
DEEDS = ["opened", "closed", "painted", "repaired", "visited", "measured", "photographed", "cleaned"]


def passage(
    text: str, number: int = 0, *, kind: Kind = Kind.NOTE, source: str | None = None, title: str = ""
) -> Passage:
    return Passage(
        capture_id=f"capture-{number}",
        text=text,
        title=title,
        source=source,
        kind=kind,
        created_at=START + timedelta(hours=number),
    )


def passages(texts: Sequence[str], *, kind: Kind = Kind.NOTE) -> list[Passage]:
    return [passage(text, number, kind=kind) for number, text in enumerate(texts)]


def small_talk(count: int) -> list[str]:
    return [
        f"They {DEEDS[n * 7 % 8]} the {SUBJECTS[n % 10]} near the {SUBJECTS[(n * 3 + 1) % 10]} in week {n}."
        for n in range(count)
    ]


def told(draft: Draft) -> str:
    return " ".join(sentence.text for sentence in draft.sentences)


TEXTS = st.lists(
    st.text(alphabet="abc ABC. \n?!,1北京。é🎉-*", max_size=120)
    | st.sampled_from([*FACTS, *small_talk(4), "Okay.", "x" * 300]),
    max_size=12,
)
KINDS = st.sampled_from(list(Kind))


@settings(deadline=None)
@given(TEXTS, KINDS, st.integers(0, 120), st.sampled_from([None, "billing port", "北京", "?", "garden"]))
def test_a_summary_is_verbatim_cited_and_within_its_budget(
    texts: list[str], kind: Kind, max_tokens: int, query: str | None
) -> None:
    scope = passages(texts, kind=kind)
    draft = summarize(scope, max_tokens=max_tokens, query=query)
    assert estimate_tokens(told(draft)) <= max_tokens
    assert sum(estimate_tokens(sentence.text) for sentence in draft.sentences) <= max_tokens
    by_id = {one.capture_id: one.text for one in scope}
    for sentence in draft.sentences:
        assert sentence.sources
        assert all(sentence.text in by_id[source] for source in sentence.sources)
        assert not unsupported(sentence.text, [by_id[sentence.sources[0]]])
    assert summarize(scope, max_tokens=max_tokens, query=query) == draft


def test_nothing_is_told_of_nothing() -> None:
    assert summarize([], max_tokens=100) == Draft(sentences=(), truncated=False)
    assert summarize(passages(["", " \n"]), max_tokens=100) == Draft(sentences=(), truncated=False)


def test_a_scope_that_fits_is_told_whole_and_in_order() -> None:
    draft = summarize(passages(FACTS), max_tokens=500)
    assert [sentence.text for sentence in draft.sentences] == FACTS
    assert not draft.truncated


def test_where_all_fits_short_sentences_are_told_too() -> None:
    texts = ["Why did Porto win over Lisbon after all?", "Because rent is lower there.", "Rent and,"]
    draft = summarize([passage(text, n) for n, text in enumerate(texts)], max_tokens=200)
    assert [sentence.text for sentence in draft.sentences] == texts[:2]
    assert not draft.truncated


def test_a_record_beside_an_answer_is_no_part_of_it() -> None:
    logged = "10:02 INFO the import is tried once more\n10:03 ERROR the database refused the connection"
    draft = summarize(
        [
            passage("The office moved from Lisbon to Porto in spring.", 0),
            passage(logged, 1, kind=Kind.LOG),
            passage("Porto has the lower rents of the two towns.", 2),
        ],
        max_tokens=200,
        query="Porto",
    )
    assert {each for sentence in draft.sentences for each in sentence.sources} == {"capture-0", "capture-2"}


def test_a_short_note_that_holds_the_word_asked_for_is_found() -> None:
    notes = [
        passage("idea: garden lights", 0),
        passage("Somebody has to water the garden every morning.", 1),
        passage("why is the wifi slow", 2),
        passage("The lights by the door are twelve metres long.", 3),
    ]
    wifi = summarize(notes, max_tokens=100, query="wifi")
    assert told(wifi) == "why is the wifi slow"
    lights = summarize(notes, max_tokens=100, query="Where are the lights?")
    assert [one.sources[0] for one in lights.sentences] == ["capture-0", "capture-3"]


def test_a_query_finds_other_forms_of_its_words() -> None:
    notes = [*passages(small_talk(20)), passage("On Tuesday Mara bought daffodil bulbs at the market.", 50)]
    assert "daffodil" in told(summarize(notes, max_tokens=60, query="What did we buy?"))


def test_a_misspelt_word_of_a_query_is_taken_for_those_that_somebody_wrote() -> None:
    notes = [*passages(small_talk(20)), passage("On Tuesday Mara bought daffodil bulbs at the market.", 50)]
    assert "daffodil" in told(summarize(notes, max_tokens=60, query="dafodil"))
    assert not summarize(notes, max_tokens=60, query="dandelions").sentences


def test_who_is_named_in_a_query_is_not_taken_for_a_misspelt_word() -> None:
    notes = [
        passage("The stall sells markers in nine colours.", 1, source="Olu"),
        passage("We need a second stand for the autumn fair.", 2, source="Market"),
    ]
    assert told(summarize(notes, max_tokens=30, query="What does Market need?")).startswith("We need")


def test_a_query_for_nothing_but_a_person_is_told_what_that_person_said() -> None:
    notes = [
        passage("The door of the shed needs a second hinge.", 0, source="Rosa Lind"),
        passage("Paint comes before the hinge, in my view.", 1, source="Ken Abe"),
        passage("The roof can wait until the spring comes.", 2, source="Rosa Lind"),
    ]
    draft = summarize(notes, max_tokens=100, query="Why did Rosa Lind disagree?")
    assert [one.sources[0] for one in draft.sentences] == ["capture-0", "capture-2"]


def test_a_part_of_a_name_is_enough_to_ask_what_somebody_said() -> None:
    notes = [
        passage("The door of the shed needs a second hinge on top.", 0, source="Rosa Lind", title="talk"),
        passage("The door of the shed needs paint above all.", 1, source="Ken Abe", title="talk"),
    ]
    draft = summarize(notes, max_tokens=14, query="What did Abe say about the door of the shed?")
    assert [one.sources[0] for one in draft.sentences] == ["capture-1"]


def test_lines_of_a_log_do_not_push_an_answer_aside() -> None:
    logged = "\n".join(f"12:0{n} WARNING charge retry {n} of 5 for inv_{n}{n}" for n in range(5))
    answer = "The charge is tried again since the retry list holds 402 by mistake."
    notes = [passage(logged, 0, kind=Kind.LOG), *passages(small_talk(20)), passage(answer, 60)]
    assert answer in told(summarize(notes, max_tokens=40, query="why does the charge retry?"))


def test_markup_is_not_told_but_what_it_holds() -> None:
    readme = """# Sprout

[![CI](https://ci.example.com/ci.svg)](https://ci.example.com)

> A tiny site generator for gardeners.

```console
$ pip install sprout
```

| key | meaning |
| --- | --- |
| `title` | shown in the head |

<p>It runs on Python 3.11.</p>
"""
    draft = summarize([passage(readme)], max_tokens=500)
    assert [sentence.text for sentence in draft.sentences] == [
        "A tiny site generator for gardeners.",
        "$ pip install sprout",
        "| `title` | shown in the head |",
        "It runs on Python 3.11.",
    ]
    assert told(summarize([passage("# Sprout")], max_tokens=50)) == "Sprout"


@pytest.mark.parametrize("kind", [Kind.NOTE, Kind.ERROR, Kind.LOG])
def test_of_a_traceback_what_went_wrong_is_told(kind: Kind) -> None:
    raised = """Traceback (most recent call last):
  File "/app/worker.py", line 88, in run
    invoice = await self.queue.get(timeout=5)
app.queues.Empty: invoices-high"""
    assert told(summarize([passage(raised, kind=kind)], max_tokens=200)) == "app.queues.Empty: invoices-high"


def test_of_a_decision_what_was_decided_is_told_before_what_was_said_about_it() -> None:
    decision = passage("We keep Celery for the nightly reports. Nobody objected.", 99, kind=Kind.DECISION)
    draft = summarize([*passages(small_talk(50)), decision], max_tokens=40)
    assert "We keep Celery for the nightly reports." in told(draft)
    assert "Nobody objected." not in told(draft)


def test_replies_in_a_chat_tell_no_more_for_the_stamps_before_them() -> None:
    chat = [
        *(
            "Mei: hey!",
            "Olu: we take the night ferry to Naxos at 22:30 from Piraeus",
            "Mei: agreed",
            "Olu: gn",
        ),
        *(
            "Mei: haha",
            "Olu: the flat by the harbour costs 65 euros a night for six nights",
            "Mei: ok",
            "Olu: bye",
        ),
    ]
    stamped = [passage(f"[20/11/2026, 18:{at:02}] {said}", at) for at, said in enumerate(chat, 10)]
    told = [each.text for each in summarize(stamped, max_tokens=46).sentences]
    assert told == [stamped[1].text, stamped[5].text]
    asked = summarize(stamped, query="what was said on 20/11/2026 at 18:12", max_tokens=60)
    assert any("agreed" in each.text for each in asked.sentences)


def test_what_people_say_of_an_outage_is_told_before_the_lines_of_its_log() -> None:
    lines = [f"2026-11-21T03:0{n}:00Z api-3 INFO request handled path=/v1/orders ms={n}" for n in range(8)]
    lines[4] = "2026-11-21T03:04:02Z api-3 ERROR db pool exhausted (size=20 waiting=57)"
    cause = "The nightly report holds eighteen of the twenty connections, so orders waited in vain."
    notes = [passage("\n".join(lines), 0, kind=Kind.LOG), passage(cause, 1)]
    draft = summarize(notes, max_tokens=45)
    assert [sentence.text for sentence in draft.sentences] == [lines[4], cause]


def test_sentences_are_told_in_the_order_of_their_captures() -> None:
    draft = summarize(passages(small_talk(200)), max_tokens=200)
    numbers = [int(sentence.sources[0].removeprefix("capture-")) for sentence in draft.sentences]
    assert numbers == sorted(numbers)
    assert len(numbers) > 3
    assert draft.truncated


def test_a_sentence_in_several_captures_cites_all_of_them_the_first_copy_first() -> None:
    scope = passages([FACTS[0], "Something else entirely stood here.", FACTS[0], f"{FACTS[0]} {FACTS[0]}"])
    draft = summarize(scope, max_tokens=200)
    assert draft.sentences[0].sources == ("capture-0", "capture-2", "capture-3")


def test_decisions_are_told_among_a_thousand_remarks() -> None:
    texts = small_talk(1000)
    scope = passages(texts)
    scope[100:100] = [passage(fact, 2000 + n, kind=Kind.DECISION) for n, fact in enumerate(FACTS)]
    assert all(fact in told(summarize(scope, max_tokens=500)) for fact in FACTS)


def test_a_short_decision_is_told() -> None:
    scope = [*passages(small_talk(50)), passage("Ship Friday.", 99, kind=Kind.DECISION)]
    assert "Ship Friday." in told(summarize(scope, max_tokens=60))


def test_many_decisions_leave_room_for_the_rest() -> None:
    decisions = [
        passage(f"We will {DEEDS[n % 8]} the {SUBJECTS[n % 10]} number {n} at last.", n, kind=Kind.DECISION)
        for n in range(100)
    ]
    draft = summarize([*decisions, passage("A", 998), passage(small_talk(1)[0], 999)], max_tokens=200)
    assert small_talk(1)[0] in told(draft)


def test_many_similar_notes_are_told_by_what_most_of_them_say() -> None:
    notes = [
        f"The battery life of this camera is {how} after a day."
        for how in ["great", "good", "fine", "superb", "nice", "lovely"]
    ]
    notes += ["My uncle once repaired an old tractor without any tools."]
    draft = summarize(passages(notes), max_tokens=14)
    assert "battery life" in told(draft)


def test_of_two_answers_the_one_that_can_be_understood_on_its_own_is_told() -> None:
    talk = [
        "Well yeah, I mean the orchard gate, you know, fences are kind of broken, right?",
        "The fence of the orchard is the duty of the gardener in the spring and the autumn.",
    ]
    assert told(summarize(passages(talk), max_tokens=24, query="the orchard")) == talk[1]


def test_a_terse_error_answers_as_well_as_prose() -> None:
    scope = [
        passage("The importer of the ledger is part of the plan for the spring.", 1, title="One"),
        passage("importer: exit 3", 2, kind=Kind.ERROR, title="Two"),
    ]
    assert told(summarize(scope, max_tokens=17, query="importer")) == "importer: exit 3"


def test_a_query_is_answered_by_what_is_said_about_it() -> None:
    scope = passages([*small_talk(100), FACTS[0], *small_talk(100)])
    draft = summarize(scope, max_tokens=60, query="Which port does billing use?")
    assert FACTS[0] in told(draft)


def test_a_query_that_names_a_speaker_is_answered_by_that_speaker() -> None:
    scope = [
        passage("The orchard needs a new fence soon enough.", 1, source="Anna"),
        passage("The orchard is a lovely place in spring.", 2, source="Boris"),
    ]
    assert (
        told(summarize(scope, max_tokens=12, query="What did Boris say about the orchard?")) == scope[1].text
    )


def test_notes_kept_one_after_the_other_are_no_session_unless_one_takes_up_the_other() -> None:
    texts = [
        "Mei wants the plan in writing before the release.",
        "The importer fails on rows without a zone.",
        "It was the export of the Lisbon office all along.",
        "Lunch on Thursday is at the Thai place near the station.",
    ]

    def kept(source: str | None) -> list[Passage]:
        return [
            Passage(
                capture_id=f"capture-{n}",
                text=text,
                title=text[:20],
                source=source and f"{source} {n}",
                created_at=START + timedelta(minutes=n),
            )
            for n, text in enumerate(texts)
        ]

    notes = summarize(kept(None), max_tokens=100, query="why does the importer fail?")
    assert [one.sources[0] for one in notes.sentences] == ["capture-1", "capture-2"]
    talk = summarize(kept("speaker"), max_tokens=100, query="why does the importer fail?")
    assert len(talk.sentences) == len(texts)


def test_an_answer_far_from_any_other_capture_of_its_session_brings_no_neighbours() -> None:
    scope = [
        passage("Nothing here concerns the matter at all.", 1, title="One"),
        passage(FACTS[0], 2, title="Two"),
        passage("Nothing there concerns the matter either.", 3, title="Three"),
    ]
    assert told(summarize(scope, max_tokens=200, query="billing service")) == FACTS[0]


def test_a_query_nothing_answers_gets_no_sentences() -> None:
    assert summarize(passages(small_talk(5)), max_tokens=100, query="zebra crossing").sentences == ()


def test_a_focus_nothing_speaks_of_and_a_query_without_content_get_an_overview() -> None:
    scope = passages(small_talk(5))
    overview = summarize(scope, max_tokens=100)
    assert summarize(scope, max_tokens=100, focus="zebra crossing") == overview
    assert summarize(scope, max_tokens=100, query="What happened last week?") == overview


def test_a_goal_draws_the_summary_towards_it() -> None:
    scope = passages(small_talk(300))
    aimless = told(summarize(scope, max_tokens=300)).count("museum")
    assert told(summarize(scope, max_tokens=300, goal="Reopen the museum")).count("museum") > aimless


def test_a_log_is_told_by_its_lines_with_the_first_and_the_last_error() -> None:
    beats = [f"12:00:{n % 60:02} INFO heartbeat {n}" for n in range(5000)]
    log = "\n".join(
        ["INFO started", *beats, "ERROR disk full at first", *beats, "ValueError: the last one", *beats]
    )
    lines = [sentence.text for sentence in summarize([passage(log, kind=Kind.LOG)], max_tokens=400).sentences]
    assert "ERROR disk full at first" in lines
    assert "ValueError: the last one" in lines
    assert sum("heartbeat" in line for line in lines) <= 2


def test_code_is_told_by_its_remarks_and_signatures() -> None:
    code = "import os\n\n# Cleans the cache.\ndef clean(path: str) -> None:\n    x = 1\n    os.unlink(path)\n"
    assert told(summarize([passage(code, kind=Kind.CODE)], max_tokens=50)) == (
        "# Cleans the cache. def clean(path: str) -> None:"
    )


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["a", "word ", "🎉", "北", "\n", "\0", "a. ", "foo(bar); "])
@pytest.mark.parametrize("kind", [Kind.NOTE, Kind.LOG, Kind.CODE, Kind.DECISION])
def test_a_mebibyte_of_anything_is_summarized(unit: str, kind: Kind) -> None:
    text = unit * (CONTENT_BYTES_MAX // len(unit.encode()))
    draft = summarize([passage(text, kind=kind)], max_tokens=50)
    assert estimate_tokens(told(draft)) <= 50
    assert bool(draft.sentences) is (unit != "\n")


def test_one_character_and_other_scripts_are_told() -> None:
    for text in (
        "a",
        "🎉",
        "我们决定把发票服务迁移到新的端口。",
        "Мы решили перенести сервис на новый порт.",
    ):
        assert told(summarize([passage(text)], max_tokens=50)) == text


def test_a_sentence_longer_than_the_budget_is_told_by_its_beginning() -> None:
    draft = summarize([passage("word " * 1000)], max_tokens=10)
    assert told(draft) == "word word word word word word word word"
    assert draft.truncated


@pytest.mark.parametrize(
    "text", ["8417000 is the port.", "端口8417000已经打开了好几天", "EXPORT-5521 failed."]
)
@pytest.mark.parametrize("max_tokens", range(6))
def test_half_a_number_is_never_told(text: str, max_tokens: int) -> None:
    for sentence in summarize([passage(text)], max_tokens=max_tokens).sentences:
        assert not unsupported(sentence.text, [text])
        assert "8417" not in sentence.text or "8417000" in sentence.text
        assert "EXPORT" not in sentence.text or "EXPORT-5521" in sentence.text


@pytest.mark.slow
def test_a_large_scope_is_thinned_but_keeps_its_decisions() -> None:
    scope = passages(
        [f"Remark number {n} speaks of the {SUBJECTS[n % 10]} and word{n}." for n in range(45_000)]
    )
    scope.append(passage(FACTS[0], 50_000, kind=Kind.DECISION))
    assert FACTS[0] in told(summarize(scope, max_tokens=100))


def test_an_item_that_ends_in_the_middle_of_a_sentence_is_not_told_while_there_are_whole_ones() -> None:
    text = (
        "The formatters leave the help text of the parser as it stands:\n"
        "- RawDescriptionFormatter tells the parser not to change the description, and\n"
        "- DefaultsFormatter adds information about the default of each argument,\n"
        "- MetavarFormatter shows the type of each argument in its help.\n"
    )
    told = [sentence.text for sentence in summarize(passages([text]), max_tokens=200).sentences]
    assert "MetavarFormatter shows the type of each argument in its help." in told
    assert not [each for each in told if each.endswith((", and", ","))]
