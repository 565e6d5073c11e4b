from datetime import UTC, datetime

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import gather
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.records import code_lines, log_lines


def test_only_lines_that_tell_of_an_error_are_marked_as_errors() -> None:
    log = "start\nERROR disk full\nfailover 1 done\nrequest timed out\nFehler: Größe, connection refused\nend"
    assert [line.text for line in log_lines(log) if line.is_error] == [
        "ERROR disk full",
        "request timed out",
        "Fehler: Größe, connection refused",
    ]


def test_a_line_that_only_says_that_something_failed_tells_nothing_of_it() -> None:
    told = log_lines("--- FAIL: TestFire (0.03s)\nFAIL\nFAIL\texample.com/kiln\t1.204s")
    assert [line.is_error for line in told if line.text == "FAIL"] == [False]
    assert sum(line.is_error for line in told) == 2


def test_headings_between_rules_and_dots_of_tests_are_not_told() -> None:
    log = "$ pytest\n..F.s [100%]\n==== FAILURES ====\n____ test_fire ____\nE  assert 1 == 2\n-----"
    assert [line.text for line in log_lines(log)] == ["$ pytest", "E  assert 1 == 2"]


def test_of_settings_the_lines_with_a_value_are_told() -> None:
    assert code_lines("services:\n  kiln:\n    image: kiln:2.3.1\n    ports: [8080]") == [
        "image: kiln:2.3.1",
        "ports: [8080]",
    ]
    assert code_lines("diff --git a/a b/a\nindex 3f1c2a9..8d0e7b1 100644\n-x = 1") == [
        "diff --git a/a b/a",
        "-x = 1",
    ]
    assert code_lines("services:\n  kiln:") == ["services:", "kiln:"]


def test_lines_that_differ_in_numbers_alone_have_one_shape() -> None:
    first, last = log_lines("12:01 job 7 done in 80 ms\n12:02 job 8 went away in 0x1f ms")
    assert first.shape == log_lines("23:59 job 19 done in 1 ms")[0].shape
    assert first.shape != last.shape


def test_a_line_of_a_log_is_read_without_its_numbers_where_no_query_asks_for_them() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    log = Passage(capture_id="1", text="12:01 job 7 done in 80 ms", kind=Kind.LOG, created_at=at)
    (with_numbers,) = gather([log])
    (without,) = gather([log], by_shape=True)
    assert with_numbers.reading.content == ("12", "01", "job", "7", "80", "ms")
    assert without.reading.content == ("job", "ms")
    assert without.text == with_numbers.text
    assert without.text_bytes == with_numbers.text_bytes == 25
