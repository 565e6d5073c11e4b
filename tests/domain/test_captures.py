"""What a capture may be called."""

import pytest
from pydantic import ValidationError

from komorebi_mcp.domain.captures import TAGS_MAX, CaptureCreate


def test_tags_are_trimmed_and_kept_once_in_order() -> None:
    assert CaptureCreate(content="x", tags=(" b ", "a", "b")).tags == ("b", "a")


def test_a_title_is_kept_as_given() -> None:
    assert CaptureCreate(content="x", title="  As Given ").title == "  As Given "


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "two\nlines"},
        {"title": ""},
        {"project": "   "},
        {"project": "p" * 101},
        {"tags": ("nul\x00",)},
        {"tags": tuple(map(str, range(TAGS_MAX + 1)))},
        {"kind": "poem"},
        {"colour": "red"},
    ],
)
def test_names_that_no_list_could_show_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        CaptureCreate.model_validate({"content": "SECRET", **fields})
    assert "SECRET" not in str(refused.value)
