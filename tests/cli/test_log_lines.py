"""Log lines as whoever runs the server gets them."""

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from komorebi_mcp.cli.logs import announce, configure_logs
from support.logs import log_plainly


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    log_plainly()


def test_in_json_every_line_is_an_object_whoever_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", form="json")
    structlog.get_logger("ours").warning("leader.stalled", count=2, said="a\nb")
    logging.getLogger("theirs").error("It\nbroke: %s", "x")
    try:
        int("inside")
    except ValueError:
        structlog.get_logger("ours").exception("worker.failed")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [(line["level"], line["event"]) for line in lines]
    assert told == [("warning", "leader.stalled"), ("error", "It\nbroke: x"), ("error", "worker.failed")]
    assert all("timestamp" in line for line in lines)
    assert "ValueError: invalid literal" in lines[2]["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_start_announces_is_a_line_of_the_same_form(
    capsys: pytest.CaptureFixture[str], form: Literal["text", "json"]
) -> None:
    configure_logs("ERROR", form=form)
    announce("Listening on http://127.0.0.1/mcp", form=form, url="http://127.0.0.1/mcp")
    (line,) = capsys.readouterr().err.splitlines()
    if form == "text":
        assert line == "Listening on http://127.0.0.1/mcp"
    else:
        told = json.loads(line)
        assert (told["event"], told["url"]) == ("Listening on http://127.0.0.1/mcp", "http://127.0.0.1/mcp")
        assert told.keys() == {"event", "level", "timestamp", "url"}


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING", form="json")
    structlog.get_logger("ours").info("quiet")
    logging.getLogger("theirs").info("quiet")
    assert capsys.readouterr().err == ""
