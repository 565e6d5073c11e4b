"""A model that is there, one that is not, and texts of all kinds."""

import sys
from pathlib import Path

import pytest
import structlog.testing

from komorebi_mcp.semantic.meaning import Meaning
from komorebi_mcp.semantic.static import StaticEncoder
from komorebi_mcp.text.vectors import Shelf
from support.models import WORDS, make_model

pytestmark = pytest.mark.slow


async def test_texts_that_mean_the_same_point_the_same_way(tmp_path: Path) -> None:
    meaning = Meaning(str(make_model(tmp_path / "tiny")))
    assert (meaning.model, meaning.read_now("car")) == (None, None)
    read = [await meaning.read(text) for text in ("the automobile", "Mend the car!", "cake")]
    automobile, mended, cake = (each.values for each in read if each is not None)
    assert Shelf(1).cosines(automobile, [mended, cake]) == pytest.approx([0.707, 0.0], abs=0.01)
    assert read[0] is not None
    assert read[0].model == meaning.model
    assert meaning.model is not None
    assert meaning.model.startswith("tiny:")
    assert await meaning.read_all(["the automobile"]) == [read[0]]


async def test_a_stamp_at_the_start_of_a_text_is_not_read(tmp_path: Path) -> None:
    meaning = Meaning(str(make_model(tmp_path / "tiny", [*WORDS, ("may", "2031")])))
    stamped = await meaning.read("1:56 pm on 8 May, 2031 - the car")
    assert stamped == await meaning.read("car")


@pytest.mark.parametrize(
    "text", ["", "  ", "nothing that it knows", "\x00", "\ud800", "\ud800 car", "字" * 9]
)
async def test_any_text_can_be_read(tmp_path: Path, text: str) -> None:
    vector = await Meaning(str(make_model(tmp_path / "tiny"))).read(text)
    assert vector is not None
    assert bool(vector.values) is ("car" in text)


def test_another_model_of_the_same_name_is_told_apart(tmp_path: Path) -> None:
    one = StaticEncoder(str(make_model(tmp_path / "a" / "tiny")))
    same = StaticEncoder(str(make_model(tmp_path / "b" / "tiny")))
    other = StaticEncoder(str(make_model(tmp_path / "c" / "tiny", WORDS[1:])))
    assert one.name == same.name != other.name


async def test_a_name_that_is_not_in_the_cache_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("it reached for the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    meaning = Meaning("nobody/no-such-model")
    with structlog.testing.capture_logs() as logs:
        assert await meaning.read("car") is None
    # One line is enough: there is nothing in the program to look for.
    assert [(each["log_level"], "exc_info" in each) for each in logs] == [("warning", False)]
    assert meaning.failure == (
        "nobody/no-such-model is not a folder, and no model of that name is in the Hugging Face cache. "
        "Name the folder of a model, or fetch it with `hf download`."
    )


async def test_a_broken_model_is_logged_once_and_done_without(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(b"not one")
    meaning = Meaning(str(folder))
    with structlog.testing.capture_logs() as logs:
        assert [await meaning.read("car") for _ in range(2)] == [None, None]
    assert [each["event"] for each in logs] == ["semantic.model_failed"]
    assert meaning.failure is not None
    assert meaning.failure.startswith("It cannot be read: ")


async def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "komorebi_mcp.semantic.static")
    monkeypatch.setitem(sys.modules, "model2vec", None)
    meaning = Meaning(str(tmp_path))
    await meaning.load()
    assert meaning.failure == "The extra is not installed. Install komorebi-mcp[semantic]."
