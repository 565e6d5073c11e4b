"""Leaves and nodes as they are kept."""

from komorebi_mcp.domain.captures import CaptureCreate, CaptureUpdate, Status
from komorebi_mcp.domain.nodes import Waiting, Work
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.storage.store import Store, open_store
from support.clock import StillClock
from support.nodes import a_node

ME = "local"
TOP = Place(2, 0)


async def add(store: Store, count: int, *, owner: str = ME, project: str | None = "p") -> list[str]:
    """Ids of captures that are enriched."""
    made = [CaptureCreate(content=f"{number}", project=project) for number in range(count)]
    async with store.write(owner) as transaction:
        ids = [receipt.id for receipt in await transaction.captures.add_all(made)]
        await transaction.captures.update(ids, CaptureUpdate(status=Status.PROCESSED))
    return ids


async def lagging(store: Store) -> list[Waiting]:
    async with store.work() as queue:
        return await queue.lagging(limit=10)


async def take(store: Store, waiting: Waiting, *, leaves_max: int = 100) -> Work:
    async with store.write(waiting.owner) as transaction:
        work = await transaction.pyramid.take(waiting.project_id, leaves_max=leaves_max)
    assert work is not None
    return work


async def test_captures_get_their_places_in_the_order_of_arrival_and_keep_them(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await add(store, 12)
        await add(store, 2, project=None)
        [waiting] = await lagging(store)
        work = await take(store, waiting)
        assert [leaf.capture and leaf.capture.id for leaf in work.leaves] == ids
        assert (work.size, work.project, work.nodes) == (12, "p", {})
        assert work.places == (Place(1, 0), Place(1, 1), TOP)
        async with store.write(ME) as transaction:
            await transaction.captures.forget([ids[4]])
            await transaction.captures.update([ids[5]], CaptureUpdate(status=Status.ARCHIVED))
        ids += await add(store, 1)
        again = await take(store, waiting)
        held = [leaf.capture and leaf.capture.id for leaf in again.leaves]
        assert held == [*ids[:4], None, None, *ids[6:]]


async def test_a_step_takes_whole_groups_and_no_more_than_it_is_asked_to(store_url: str) -> None:
    async with open_store(store_url) as store:
        await add(store, 35)
        [waiting] = await lagging(store)
        work = await take(store, waiting, leaves_max=11)
        assert [leaf.position for leaf in work.leaves] == list(range(20))
        async with store.write(ME) as transaction:
            covered = await transaction.pyramid.keep(work, [], gone=[])
            assert covered is not None
            assert len(covered) == 20
        assert [leaf.position for leaf in (await take(store, waiting)).leaves] == list(range(20, 35))


async def test_nodes_above_what_is_due_later_are_left_to_it(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await add(store, 250)
        [waiting] = await lagging(store)
        work = await take(store, waiting, leaves_max=101)
        assert (len(work.leaves), work.due_next) == (110, 110)
        assert [place for place in work.places if place.level > 1] == [Place(2, 0)]
        made = [a_node(ids[0], place) for place in work.places]
        async with store.write(ME) as transaction:
            await transaction.pyramid.keep(work, made, gone=[])
        last = await take(store, waiting, leaves_max=200)
        assert (len(last.leaves), last.due_next) == (140, None)
        # Its first group is there already.
        left = [Place(2, 0), Place(2, 1), Place(2, 2), Place(3, 0)]
        assert list(last.places) == [Place(1, position) for position in range(10, 25)] + left


async def test_work_is_refused_when_what_it_left_to_others_has_been_done_by_them(store_url: str) -> None:
    async with open_store(store_url) as store:
        ids = await add(store, 15)
        [waiting] = await lagging(store)
        all_of_it = await take(store, waiting)
        async with store.write(ME) as transaction:
            await transaction.pyramid.keep(all_of_it, [], gone=[])
            await transaction.captures.update([ids[14]], CaptureUpdate(content="The last one has changed."))
        the_last = await take(store, waiting)
        async with store.write(ME) as transaction:
            await transaction.captures.update([ids[0]], CaptureUpdate(content="So has the first one."))
        the_first = await take(store, waiting, leaves_max=1)
        assert (the_first.due_next, the_first.places) == (14, (Place(1, 0),))
        async with store.write(ME) as transaction:
            kept = await transaction.pyramid.keep(the_last, [a_node(ids[14], TOP)], gone=[])
            assert kept is not None
            assert await transaction.pyramid.keep(the_first, [a_node(ids[0])], gone=[]) is None
        assert (await take(store, waiting)).places == (Place(1, 0), Place(1, 1), TOP)


async def test_nodes_read_back_as_they_were_made_and_keep_their_ids(store_url: str) -> None:
    async with open_store(store_url) as store:
        [one, *_] = await add(store, 11)
        [waiting] = await lagging(store)
        low, high = Place(1, 0), Place(1, 1)
        made = [a_node(one, low), a_node(one, high), a_node(one, TOP, children=(low, high))]
        async with store.write(ME) as transaction:
            work = await transaction.pyramid.take(waiting.project_id, leaves_max=100)
            assert work is not None
            await transaction.pyramid.keep(work, made, gone=[])
            found = await transaction.pyramid.nodes(waiting.project_id, [low, high, TOP, Place(1, 2)])
            assert {place: dict(node) for place, node in found.items()} == {
                node.place: {**dict(node), "id": found[node.place].id, "children": ()} for node in made
            }
            summary = await transaction.summaries.get(found[TOP].id)
            assert summary is not None
            assert summary.children == (found[low].id, found[high].id)
            assert (summary.level, summary.scope) == (2, Scope(project="p"))
            assert await transaction.summaries.newest("p", max_tokens=100) is None
        assert await lagging(store) == []
        async with store.write(ME) as transaction:
            await transaction.captures.update([one], CaptureUpdate(title="new"))
            work = await transaction.pyramid.take(waiting.project_id, leaves_max=100)
            assert work is not None
            await transaction.pyramid.keep(work, [a_node(one, low, told="other")], gone=[high])
            now = await transaction.pyramid.nodes(waiting.project_id, [low, high])
            assert [(node.id, node.input_hash) for node in now.values()] == [(found[low].id, "other")]
            shape = await transaction.pyramid.shape("p")
            assert shape is not None
            assert (shape.size, shape.due, set(shape.places)) == (11, (), {low, TOP})


async def test_a_node_is_not_kept_where_another_one_was_made_meanwhile(store_url: str) -> None:
    async with open_store(store_url) as store:
        [one, *_] = await add(store, 3)
        [waiting] = await lagging(store)
        first, second = await take(store, waiting), await take(store, waiting)
        async with store.write(ME) as transaction:
            assert await transaction.pyramid.keep(first, [a_node(one)], gone=[]) is not None
        async with store.write(ME) as transaction:
            assert await transaction.pyramid.keep(second, [a_node(one, told="late")], gone=[]) is None


async def test_a_pyramid_was_made_when_the_last_of_its_nodes_was(store_url: str, clock: StillClock) -> None:
    async with open_store(store_url, clock=clock) as store:
        ids = await add(store, 11)
        [waiting] = await lagging(store)
        work = await take(store, waiting)
        async with store.write(ME) as transaction:
            assert await transaction.pyramid.made_at("p") is None
            made = [a_node(ids[0], place) for place in (Place(1, 0), Place(1, 1), TOP)]
            await transaction.pyramid.keep(work, made, gone=[])
            await transaction.captures.update([ids[0]], CaptureUpdate(title="new"))
        clock.advance(seconds=60)
        work = await take(store, waiting)
        async with store.write(ME) as transaction:
            await transaction.pyramid.keep(work, [a_node(ids[0], told="other")], gone=[])
            assert await transaction.pyramid.made_at("p") == clock()
        async with store.read("another") as transaction:
            assert await transaction.pyramid.made_at("p") is None


async def test_nodes_that_cover_a_forgotten_capture_go_with_it_though_they_do_not_cite_it(
    store_url: str,
) -> None:
    async with open_store(store_url) as store:
        one, two, *_ = await add(store, 11)
        [waiting] = await lagging(store)
        work = await take(store, waiting)
        low, high = Place(1, 0), Place(1, 1)
        async with store.write(ME) as transaction:
            made = [a_node(one, low), a_node(one, high), a_node(one, TOP, children=(low, high))]
            await transaction.pyramid.keep(work, made, gone=[])
            assert await transaction.summaries.forget_citing([two]) == 2
            found = await transaction.pyramid.nodes(waiting.project_id, work.places)
            assert set(found) == {high}


async def test_another_owners_pyramid_is_as_unknown_as_any(store_url: str) -> None:
    async with open_store(store_url) as store:
        await add(store, 2)
        [waiting] = await lagging(store)
        async with store.write("another") as transaction:
            pyramid = transaction.pyramid
            assert await pyramid.take(waiting.project_id, leaves_max=9) is None
            assert await pyramid.shape("p") is None
            assert await pyramid.captures_at(waiting.project_id, [0]) == []
            assert await pyramid.unplaced(waiting.project_id, limit=9) == []
