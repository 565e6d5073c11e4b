"""Waits that grow with failures."""

import pytest

from komorebi_mcp.domain.clock import doubled_s


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 0.5), (2, 1.0), (5, 8.0), (11, 300.0)])
def test_a_wait_doubles_with_each_failure_up_to_its_limit(failures: int, wait_s: float) -> None:
    assert doubled_s(0.5, failures, most_s=300.0) == wait_s


def test_what_has_failed_for_weeks_is_waited_for_as_long_as_before() -> None:
    assert doubled_s(0.5, 100_000, most_s=300.0) == 300.0
