"""Exposed names: legal, stable, and never the same for two tools."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.upstream.names import NAME_CHARS_MAX, exposed_name, prefix_in, prefix_of

LEGAL = re.compile(r"[A-Za-z0-9_-]{1,64}")
names = (
    st.text(max_size=90)
    | st.text("ab_-", max_size=70)
    | st.from_regex(r"[a-c_]{0,4}-h[0-9a-f]{8}", fullmatch=True)
)


def test_a_plain_name_is_kept_as_it_is() -> None:
    assert exposed_name(prefix_of("git_hub"), "list-pull_requests") == "git_hub__list-pull_requests"


def test_a_name_is_the_same_in_every_process() -> None:
    assert prefix_of("My Files!") == "My_Files-h10d04e95"
    assert exposed_name("files", "lire/écrire") == "files__lire__crire-h1a9a80c6"


@pytest.mark.slow
@given(st.sets(st.tuples(names, names), max_size=30))
def test_different_tools_never_share_a_name(tools: set[tuple[str, str]]) -> None:
    exposed = {exposed_name(prefix_of(upstream), tool) for upstream, tool in tools}
    assert len(exposed) == len(tools)


@given(names, names)
def test_a_name_like_the_changed_form_of_another_one_does_not_meet_it(upstream: str, tool: str) -> None:
    prefix = prefix_of(upstream)
    changed = exposed_name(prefix, tool).removeprefix(f"{prefix}__")
    assert changed == tool or exposed_name(prefix, changed) != exposed_name(prefix, tool)
    assert prefix == upstream or prefix_of(prefix) != prefix


@given(names, names)
def test_any_name_becomes_a_legal_one_that_leads_back_to_its_upstream(upstream: str, tool: str) -> None:
    exposed = exposed_name(prefix_of(upstream), tool)
    assert LEGAL.fullmatch(exposed)
    assert len(exposed) <= NAME_CHARS_MAX
    assert prefix_in(exposed) == prefix_of(upstream)


@given(names, names)
def test_a_separator_at_the_seam_belongs_to_one_side_only(upstream: str, tool: str) -> None:
    pairs = {
        (f"{upstream}_", tool),
        (upstream, f"_{tool}"),
        (f"{upstream}__{tool}", tool),
        (upstream, f"{tool}__{tool}"),
    }
    assert len({exposed_name(prefix_of(one), other) for one, other in pairs}) == len(pairs)


def test_what_is_no_exposed_name_leads_nowhere() -> None:
    assert [prefix_in(name) for name in ("capture", "__tool", "files__", "")] == [None] * 4
