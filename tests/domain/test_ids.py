"""An id, its URI and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.domain.ids import brief_uri, capture_uri, new_id, parse_capture_id, project_uri
from komorebi_mcp.errors import InvalidInput


def test_ids_sort_by_the_order_they_were_made_in() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))


def test_an_id_and_its_uri_name_the_same_capture() -> None:
    capture_id = new_id()
    for reference in (capture_id, capture_id.upper(), capture_uri(capture_id), f" {capture_id}\n"):
        assert parse_capture_id(reference) == capture_id


@given(st.text())
def test_anything_else_is_refused_without_being_repeated(reference: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_capture_id(reference)
    assert "list_captures" in str(refused.value)


def test_a_summary_is_no_capture() -> None:
    with pytest.raises(InvalidInput):
        parse_capture_id(f"komorebi://summaries/{new_id()}")


def test_a_project_name_is_one_segment_of_its_uri() -> None:
    assert project_uri("a/b ü?") == "komorebi://projects/a%2Fb%20%C3%BC%3F"
    assert brief_uri("x") == "komorebi://projects/x/brief"
