from datetime import UTC, datetime

from komorebi_mcp.domain.captures import Kind
from komorebi_mcp.summarizers.candidates import gather
from komorebi_mcp.summarizers.draft import Passage
from komorebi_mcp.summarizers.records import log_lines


def test_only_lines_that_tell_of_an_error_are_marked_as_errors() -> None:
    log = "start\nERROR disk full\nfailover 1 done\nrequest timed out\nFehler: Größe, connection refused\nend"
    assert [line.text for line in log_lines(log) if line.is_error] == [
        "ERROR disk full",
        "request timed out",
        "Fehler: Größe, connection refused",
    ]


def test_lines_that_differ_in_numbers_alone_have_one_shape() -> None:
    first, last = log_lines("12:01 job 7 done in 80 ms\n12:02 job 8 went away in 0x1f ms")
    assert first.shape == log_lines("23:59 job 19 done in 1 ms")[0].shape
    assert first.shape != last.shape


def test_a_line_of_a_log_is_read_without_its_numbers_where_no_query_asks_for_them() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    log = Passage(capture_id="1", text="12:01 job 7 done in 80 ms", kind=Kind.LOG, created_at=at)
    (with_numbers,) = gather([log])
    (without,) = gather([log], by_shape=True)
    assert with_numbers.content == ("12", "01", "job", "7", "80", "ms")
    assert without.content == ("job", "ms")
    assert without.text == with_numbers.text
    assert without.text_bytes == with_numbers.text_bytes == 25
