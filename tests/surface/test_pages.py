"""Cursors of the lists that are known whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.surface.pages import page_of


@given(items=st.lists(st.integers(), max_size=40), items_max=st.integers(1, 9))
def test_the_pages_hold_everything_once_in_order(items: list[int], items_max: int) -> None:
    page, cursor = page_of(items, None, items_max=items_max)
    assert len(page) <= items_max
    seen = list(page)
    while cursor is not None:
        page, cursor = page_of(items, cursor, items_max=items_max)
        assert 0 < len(page) <= items_max
        seen += page
    assert seen == items


@given(cursor=st.text(st.characters(codec=None)))
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="without a cursor"):
        page_of([1, 2, 3], cursor, items_max=2)


def test_a_cursor_that_another_list_gave_is_refused() -> None:
    _, cursor = page_of([1, 2, 3], None, items_max=2)
    for items_max in (3, 50):
        with pytest.raises(InvalidInput, match="without a cursor"):
            page_of(list(range(9)), cursor, items_max=items_max)
