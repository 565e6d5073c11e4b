"""Every capture stands below one node of each level, and a change touches no more than those."""

from hypothesis import given
from hypothesis import strategies as st

from komorebi_mcp.domain.pyramid import FAN_OUT, Place, above, beside, depth, frontier, group, width

SIZES = st.integers(1, 1_200)


def leaves_below(place: Place, size: int) -> range:
    start = place.position * FAN_OUT**place.level
    return range(start, min(size, start + FAN_OUT**place.level))


def all_places(size: int) -> list[Place]:
    return [
        Place(level, position)
        for level in range(1, depth(size) + 1)
        for position in range(width(size, level))
    ]


@given(SIZES)
def test_each_level_covers_every_leaf_exactly_once_up_to_a_single_top(size: int) -> None:
    for level in range(1, depth(size) + 1):
        covered = [
            leaf
            for position in range(width(size, level))
            for leaf in leaves_below(Place(level, position), size)
        ]
        assert covered == list(range(size))
    assert width(size, depth(size)) == 1


@given(st.integers(0, 10**12))
def test_the_depth_is_the_logarithm_of_the_size(size: int) -> None:
    levels = depth(size)
    assert size <= FAN_OUT**levels if size else levels == 0
    assert levels <= 1 or size > FAN_OUT ** (levels - 1)


@given(SIZES, st.data())
def test_a_leaf_changes_the_nodes_above_it_and_no_others(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    touched = above(leaf, size)
    assert len(touched) == depth(size)
    assert set(touched) == {place for place in all_places(size) if leaf in leaves_below(place, size)}


@given(SIZES)
def test_one_more_leaf_leaves_all_other_nodes_where_they_are(size: int) -> None:
    touched = set(above(size, size + 1))
    assert len(touched) == depth(size + 1)
    assert set(all_places(size)) - touched == set(all_places(size + 1)) - touched


@given(SIZES, st.data())
def test_the_work_on_a_leaf_reads_what_its_nodes_are_made_from(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    read = beside([leaf], size)
    assert read == sorted(set(read))
    for place in above(leaf, size):
        assert place in read
        below = {Place(place.level - 1, position) for position in group(place)}
        assert place.level == 1 or below.intersection(all_places(size)) <= set(read)


@given(SIZES, st.integers(1, 300), st.data())
def test_work_done_in_steps_makes_each_node_once_and_behind_all_that_it_is_made_from(
    size: int, step: int, data: st.DataObject
) -> None:
    due = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    groups = sorted({leaf // FAN_OUT for leaf in due})
    made: list[Place] = []
    for start in range(0, len(groups), step):
        leaves = [leaf for leaf in due if leaf // FAN_OUT in groups[start : start + step]]
        due_next = min((leaf for leaf in due if leaf > max(leaves)), default=None)
        here = {place for leaf in leaves for place in above(leaf, size)}
        made += [place for place in beside(leaves, size, due_next=due_next) if place in here]
    assert len(made) == len(set(made))
    assert set(made) == {place for leaf in due for place in above(leaf, size)}
    for order, place in enumerate(made):
        below = {Place(place.level - 1, position) for position in group(place)}
        assert below.isdisjoint(made[order:])


@given(SIZES, st.sets(st.integers(0, 299), max_size=8), st.integers(1, 60), st.data())
def test_what_is_told_covers_every_fresh_leaf_once_and_no_stale_one(
    size: int, stale: set[int], nodes_min: int, data: st.DataObject
) -> None:
    upper = [each for each in all_places(size) if each.level > 1]
    lost = data.draw(st.sets(st.sampled_from(upper))) if upper else set[Place]()
    there = set(all_places(size)) - lost
    told = frontier(size, stale=stale, there=there, nodes_min=nodes_min)
    covered = [leaf for place in told for leaf in leaves_below(place, size)]
    assert covered == [leaf for leaf in range(size) if leaf // FAN_OUT not in stale]
    assert there.issuperset(told)
    assert not stale or not {Place(1, leaf) for leaf in stale}.intersection(told)


def test_an_untouched_pyramid_is_told_by_its_top() -> None:
    size = 1_234
    places = all_places(size)
    assert frontier(size, stale=(), there=places) == [Place(4, 0)]
    assert len(frontier(size, stale=(), there=places, nodes_min=50)) == 124
    assert frontier(0, stale=(), there=()) == []
