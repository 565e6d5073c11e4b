"""What careless and dishonest models do to a true sentence shows; what is only said in other words passes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.summarizers.claims import misstated
from komorebi_mcp.summarizers.topic import Usage

EXPORT = "The nightly export failed 37 times, the import failed 12 times."
SPENT = "Alice spent 20 euros on paint and Bob 30."
FRIDAY = "We will not deploy the billing service on Friday."
MOVED = "The pool size went from 20 to 80 connections after the incident."
PIECES = [EXPORT, SPENT, FRIDAY, MOVED, "No.", "12, 20 and 37.", "Not", "from 5 to 7"]


@pytest.mark.parametrize(
    ("sentence", "source", "wrong"),
    [
        ("The nightly export failed 12 times, the import failed 37 times.", EXPORT, "figure"),
        ("The import failed 37 times.", EXPORT, "figure"),
        ("Bob spent 20 euros on paint.", SPENT, "figure"),
        ("Alice spent 30 euros and Bob 20.", SPENT, "figure"),
        ("The pool size went from 80 to 20 connections.", MOVED, "figure"),
        ("The import took 30 minutes.", "The import took 20 minutes, the export took 30 minutes.", "figure"),
        ("The retention period is 400 weeks.", "The retention period is 400 days.", "unit"),
        ("It cost 14 billion dollars.", "They said that it cost $14 million.", "unit"),
        ("The cache holds 512 GB.", "The cache holds 512MB at most.", "unit"),
        ("We will deploy the billing service on Friday.", FRIDAY, "negation"),
        ("The billing service is deployed on Friday.", FRIDAY, "negation"),
        ("The release does not need a migration.", "The release needs a migration.", "negation"),
        ("Legal agreed to the change.", "Legal never agreed to the change.", "negation"),
        ("Wir verschieben die Umstellung.", "Wir verschieben die Umstellung nicht.", "negation"),
        ("On a déployé le service.", "On n'a pas déployé le service.", "negation"),
        ("El servicio se desplegó el viernes.", "El servicio no se desplegó el viernes.", "negation"),
        (
            "We deploy the billing service on Friday.",
            "Do we deploy the billing service on Friday? " + FRIDAY,
            "negation",
        ),
        ("Lunch was late since the canteen ran out of soup.", EXPORT, "topic"),
        ("The garden wall needs fresh paint before winter.", FRIDAY, "topic"),
    ],
)
def test_a_statement_that_was_bent_shows(sentence: str, source: str, wrong: str) -> None:
    assert misstated(sentence, [source]) == wrong


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        (EXPORT, EXPORT),
        ("The export failed 37 times and the import 12.", EXPORT),
        ("12 imports and 37 exports failed.", "12 imports and 37 exports failed."),
        ("Bob spent 30 and Alice 20 euros.", SPENT),
        ("The pool size is now 80 instead of 20.", MOVED),
        ("Friday's deployment of the billing service will not happen.", FRIDAY),
        ("We decided against deploying the billing service on Friday.", FRIDAY),
        ("The retention period is 400 days.", "We keep data for 400 days: that is the retention period."),
        ("It took 3 h.", "It took 3 hours."),
        ("Deploying on Monday is fine.", "We will not deploy on Friday but on Monday."),
        ("Not only the export failed.", "The export failed, and so did the import."),
        ("出口在星期五失败了。", "出口在星期五失败了,我们重试了。"),
        ("Noted.", EXPORT),
        ("The new tool does not take long to learn.", "Does the new tool take long to learn? It should not."),
        (
            "The filter helped with speech but not with noise.",
            "For speech it helped. With noise it is as it was.",
        ),
        ("It is hard to find one cause of the outage.", "We cannot find one single cause of the outage."),
        ("Everybody wears dual microphones.", "Let's not forget the dual microphones everybody wears."),
        ("They had no bright screen and a fancy chip.", "We have no bright screen. We have no fancy chip."),
        (
            "A price of 25 euros for the lamp would give a profit of 50 million.",
            "So we should target a selling price of 25 euros for this new lamp. It generates 50 million.",
        ),
    ],
)
def test_a_statement_in_other_words_passes(sentence: str, source: str) -> None:
    assert misstated(sentence, [source]) is None


def test_who_said_it_need_not_be_in_what_was_said() -> None:
    sentence = "Rosa Lind approved."
    assert misstated(sentence, ["Sure, go ahead."]) == "topic"
    assert misstated(sentence, ["Sure, go ahead."], ["Rosa Lind"]) is None
    assert misstated("Rosa Lind painted the garden wall.", [EXPORT], ["Rosa Lind"]) == "topic"


def test_rare_words_tell_which_capture_a_sentence_is_about() -> None:
    plastic = "Well, the rubber is too dear, so let us take plastic for the case of it."
    team = "The team was asked, I think, what the remote should do for the people who buy it."
    soldered = "By night some workers abroad soldered the antenna carelessly."
    talk = [plastic, team, soldered, "The team likes the remote.", "I think we should buy it for the team."]
    usage = Usage(talk)
    summing_up = (
        "It was eventually concluded after lengthy debate among all designers that plastic should replace "
        "rubber since funding was short."
    )
    assert misstated(summing_up, [plastic], usage=usage) is None
    assert misstated(summing_up, [team], usage=usage) == "topic"
    told = "The team thinks that the antenna was soldered carelessly by night workers abroad."
    assert misstated(told, [soldered], usage=usage) is None
    assert misstated(told, [team], usage=usage) == "topic"


def test_another_form_of_a_word_is_the_same_word() -> None:
    assert misstated("Mice were bought quickly indeed.", ["Somebody has to buy a mouse."]) is None


def test_a_source_that_bears_it_out_is_enough() -> None:
    assert misstated("The import failed 12 times.", ["Lunch was late.", EXPORT]) is None


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([EXPORT, SPENT, FRIDAY, MOVED, "No.", "12, 20 and 37."])).map(" ".join)
    | st.text(max_size=200)
)
def test_every_text_states_what_it_states(text: str) -> None:
    assert misstated(text, [text]) is None
