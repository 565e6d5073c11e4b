"""What is kept of upstreams: offers as they were made, and pins that change only when somebody says so."""

from collections.abc import Mapping

import pytest

from komorebi_mcp.domain.pins import KeptOffer, Pin, PinKey
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock

SEND: PinKey = ("tool", "send")


async def pin(
    store: Store, forms: Mapping[PinKey, str], upstream: str = "u", *, accept: bool = False
) -> list[Pin]:
    async with store.upstreams(write=True) as kept:
        return await kept.pin(upstream, forms, accept=accept)


async def test_an_offer_reads_back_and_takes_the_place_of_the_one_before(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        first = KeptOffer(upstream="ü\x00", reached="r", era="modern", offer="{}", listed_at=clock())
        second = first.model_copy(update={"offer": '{"\\u0000": 1}', "reached": "s"})
        async with store.upstreams(write=True) as kept:
            await kept.keep(first)
            await kept.keep(second)
        async with store.upstreams() as kept:
            assert await kept.offers(["ü\x00", "other"]) == {"ü\x00": second}
            assert await kept.offers([]) == {}


async def test_a_pin_stays_as_it_was_first_seen_and_the_change_is_noted_beside_it(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        (first,) = await pin(store, {SEND: "old"})
        (again,) = await pin(store, {SEND: "new"})
    assert (first.definition, first.offered) == ("old", None)
    assert again == first.model_copy(update={"offered": "new", "offered_at": clock()})


async def test_what_is_as_it_was_again_is_no_change(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        (first,) = await pin(store, {SEND: "old"})
        await pin(store, {SEND: "new"})
        assert await pin(store, {SEND: "old"}) == [first]


async def test_trust_takes_the_change_over_for_the_named_alone(store_url: str, clock: StillClock) -> None:
    other: PinKey = ("prompt", "ask")
    async with open_store(store_url, clock=clock) as store:
        await pin(store, {SEND: "old", other: "old"})
        await pin(store, {SEND: "new", other: "new"})
        async with store.upstreams(write=True) as kept:
            assert await kept.waiting(["u", "v"]) == {"u": {SEND, other}, "v": set()}
            (accepted,) = await kept.trust("u", ["send"])
            assert await kept.waiting(["u"]) == {"u": {other}}
        assert (accepted.key, accepted.definition, accepted.offered) == (SEND, "new", None)
        async with store.upstreams(write=True) as kept:
            (rest,) = await kept.trust("u")
            assert rest.key == other
            assert await kept.trust("u") == []


async def test_where_changes_are_accepted_the_pin_follows(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        await pin(store, {SEND: "old"})
        (pinned,) = await pin(store, {SEND: "new"}, accept=True)
    assert (pinned.definition, pinned.offered) == ("new", None)


@pytest.mark.parametrize("name", ["a\x00b", "ü" * 200, "\ud800"], ids=["nul", "long", "surrogate"])
async def test_any_name_is_pinned(store_url: str, clock: StillClock, name: str) -> None:
    async with open_store(store_url, clock=clock) as store:
        (pinned,) = await pin(store, {("tool", name): "form"})
    assert pinned.name == name


async def test_pins_come_in_the_order_in_which_they_were_seen_and_forgetting_takes_one_upstream(
    store_url: str, clock: StillClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        await pin(store, {SEND: "form"}, "z")
        await pin(store, {SEND: "form"}, "a")
        async with store.upstreams() as kept:
            assert [each.upstream for each in await kept.pins()] == ["z", "a"]
        async with store.upstreams(write=True) as kept:
            await kept.forget("z")
            assert [each.upstream for each in await kept.pins()] == ["a"]
            assert await kept.pins([]) == []
