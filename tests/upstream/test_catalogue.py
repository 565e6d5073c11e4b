"""The catalogue: names that nobody can take from another one, and definitions that hide nothing."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.surface.tools.own import OWN_TOOLS
from komorebi_mcp.upstream.catalogue import Catalogue
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.listing import Listing, read_offer
from komorebi_mcp.upstream.names import OWN_NAMES, prefix_of
from komorebi_mcp.upstream.offers import Kind, Offer
from komorebi_mcp.upstream.pins import Verdict


def upstream(name: str, **rest: Any) -> UpstreamConfig:
    return UpstreamConfig(name=name, prefix=prefix_of(name), transport="stdio", command="x", **rest)


def tool(name: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **rest}


def listing(config: UpstreamConfig, *names: str, since: int = 0, ever: tuple[str, ...] = ()) -> Listing:
    """What the upstream offers, all of it first seen at `since`, and what it `ever` offered besides."""
    offer = Offer({Kind.TOOL: tuple(map(tool, names))})
    return read_offer(config, offer, Verdict(seen={("tool", name): since for name in (*names, *ever)}))


def test_our_own_names_are_reserved() -> None:
    assert set(OWN_TOOLS) <= OWN_NAMES


def test_an_upstream_without_prefix_has_its_own_names() -> None:
    catalogue = Catalogue(
        [listing(upstream("a", bare=True), "search", "with space"), listing(upstream("b"), "x")]
    )
    assert list(catalogue.of(Kind.TOOL)) == ["b__x", "search", "with_space-hb8b8f25a"]


def test_a_contested_name_stays_with_whoever_was_seen_first() -> None:
    early, late = upstream("z", bare=True), upstream("a", bare=True)
    catalogue = Catalogue([listing(late, "search", since=7), listing(early, "search", since=3)])
    assert {name: each.prefix for name, each in catalogue.of(Kind.TOOL).items()} == {
        "search": "z",
        "a__search": "a",
    }


def test_a_name_is_not_inherited_from_a_tool_that_is_not_offered_at_the_moment() -> None:
    early, late = upstream("z", bare=True), upstream("a", bare=True)
    catalogue = Catalogue([listing(late, "search", since=7), listing(early, since=3, ever=("search",))])
    assert list(catalogue.of(Kind.TOOL)) == ["a__search"]


@pytest.mark.parametrize("name", ["capture", "call_tool", "other__x"])
def test_no_upstream_takes_a_name_of_ours_or_of_one_with_a_prefix(name: str) -> None:
    catalogue = Catalogue([listing(upstream("a", bare=True), name), listing(upstream("other"), "x")])
    assert sorted(catalogue.of(Kind.TOOL)) == sorted([f"a__{name}", "other__x"])


originals = st.sampled_from(["search", "capture", "b__x", "a__search", "x", "resume"]) | st.text(
    "ab_-é ", max_size=70
)
offers = st.dictionaries(
    st.sampled_from(["a", "b", "b__x", "ü"]), st.tuples(st.booleans(), st.sets(originals, max_size=5))
)


@given(offers)
def test_whatever_is_offered_every_tool_has_a_legal_name_of_its_own(
    offered: dict[str, tuple[bool, set[str]]],
) -> None:
    listings = [
        listing(upstream(name, bare=bare), *sorted(tools), since=since)
        for since, (name, (bare, tools)) in enumerate(offered.items())
    ]
    named = Catalogue(listings).of(Kind.TOOL)
    assert len(named) == sum(len(tools) for _, tools in offered.values())
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) and name not in OWN_NAMES for name in named)


def test_a_denied_tool_is_not_there_whatever_is_allowed() -> None:
    config = upstream("a", allow=("get_*", "put_*"), deny=("*_secret",))
    catalogue = Catalogue([listing(config, "get_all", "get_secret", "drop_all")])
    assert list(catalogue.of(Kind.TOOL)) == ["a__get_all"]


def test_a_uri_stays_as_it_is_until_two_upstreams_have_the_same() -> None:
    def resources(name: str, *uris: str) -> Listing:
        offer = Offer({Kind.RESOURCE: tuple({"uri": uri, "name": "n"} for uri in uris)})
        return read_offer(upstream(name), offer)

    found = Catalogue([resources("a", "file:///x", "komorebi://inbox"), resources("b", "file:///x", "b://y")])
    assert list(found.of(Kind.RESOURCE)) == [
        "b://y",
        "file:///x",
        "upstream:a:komorebi://inbox",
        "upstream:b:file:///x",
    ]
    assert found.of(Kind.RESOURCE)["upstream:b:file:///x"].original == "file:///x"


def test_what_is_held_back_is_listed_apart_under_the_name_it_would_have() -> None:
    offer = Offer({Kind.TOOL: (tool("x"), tool("y"))})
    changed = Verdict(seen={}, held=frozenset({("tool", "y")}))
    found = Catalogue([read_offer(upstream("a"), offer, changed)])
    assert list(found.of(Kind.TOOL)) == ["a__x"]
    assert found.held_of("a") == ("a__y",)


def test_what_cannot_be_seen_is_taken_out_of_titles_and_descriptions_alone() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    argument = {"type": "string", "description": f"A{hidden} name.", "enum": ["a\u200bb"]}
    schema = {"type": "object", "properties": {"na\u200bme": argument}}
    offer = Offer({Kind.TOOL: (tool("x", description=f"R\u202eead{hidden}", inputSchema=schema),)})
    (definition,) = (entry.definition for entry in read_offer(upstream("a"), offer).entries)
    assert definition["description"] == "Read"
    assert definition["inputSchema"]["properties"] == {
        "na\u200bme": {"type": "string", "description": "A name.", "enum": ["a\u200bb"]}
    }
