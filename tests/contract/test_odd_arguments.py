"""Arguments no capture could have: answered like unknown ones."""

import pytest

from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, CaptureUpdate
from komorebi_mcp.domain.projects import ProjectUpdate
from komorebi_mcp.errors import NotFound
from komorebi_mcp.storage.store import open_store
from komorebi_mcp.text.terms import parse_query

ODD = "a\x00b"


async def test_a_name_or_id_that_cannot_be_is_unknown(store_url: str) -> None:
    async with open_store(store_url) as store, store.write("local") as transaction:
        captures, projects, summaries = transaction.captures, transaction.projects, transaction.summaries
        await captures.add_all([CaptureCreate(content="word", tags=("a",), source="a", project="a")])
        for where in (
            CaptureFilter(project=ODD),
            CaptureFilter(source=ODD),
            CaptureFilter(tags=("a", ODD)),
            CaptureFilter(ids=(ODD, "nonsense")),
        ):
            assert await captures.count(where) == 0
            assert (await captures.page(where)).items == ()
            assert (await captures.search(parse_query("word"), where)).items == ()
        assert await captures.get([ODD, "", "0190"]) == []
        assert await captures.overviews([ODD, "", "0190"]) == []
        assert await captures.update([ODD], CaptureUpdate(title="t")) == []
        assert await captures.forget([ODD]) == []
        assert await projects.get(ODD) is None
        assert await summaries.get(ODD) is None
        assert await summaries.newest(ODD, max_tokens=100) is None
        assert await summaries.forget_citing([ODD]) == 0
        with pytest.raises(NotFound):
            await projects.update(ODD, ProjectUpdate(goal="g"))


async def test_nothing_asked_for_is_nothing_done(store_url: str) -> None:
    async with open_store(store_url) as store:
        assert await store.enrich("local", []) == []
    async with open_store(store_url) as store, store.write("local") as transaction:
        captures = transaction.captures
        assert await captures.add_all([]) == []
        assert await captures.get([]) == []
        assert await captures.overviews([]) == []
        assert await captures.forget([]) == []
        assert await captures.update([], CaptureUpdate(title="t")) == []
        [receipt] = await captures.add_all([CaptureCreate(content="word")])
        before = await captures.overviews([receipt.id])
        assert await captures.update([receipt.id], CaptureUpdate()) == before
