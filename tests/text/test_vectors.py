"""Vectors in a byte a dimension, compared with many at once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from komorebi_mcp.text.vectors import Shelf, pack


def _random(rows: int, dimensions: int = 96) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(rows, dimensions)).astype(np.float32)


def test_packing_keeps_how_near_two_directions_are() -> None:
    one, *others = _random(50)
    true = [float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)) for other in others]
    packed = pack(np.stack([one, *others]))
    assert {len(each) for each in packed} == {96}
    assert Shelf(10).cosines(packed[0], packed[1:]) == pytest.approx(true, abs=0.01)


def test_a_text_of_unknown_words_has_no_direction_and_is_near_to_nothing() -> None:
    nowhere, somewhere = pack(np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert (nowhere, len(somewhere)) == (b"", 2)
    shelf = Shelf(10)
    assert shelf.nearest(somewhere, 10) == {}
    assert shelf.cosines(somewhere, [nowhere, somewhere]) == [0.0, pytest.approx(1.0)]
    assert shelf.cosines(nowhere, [nowhere, somewhere]) == [0.0, 0.0]
    shelf.add([1, 2], [nowhere, somewhere])
    assert shelf.nearest(somewhere, 10).keys() == {2}
    assert shelf.nearest(nowhere, 10) == {}


def test_the_nearest_of_many_are_found_whatever_steps_they_came_in() -> None:
    packed = pack(_random(5_000))
    shelf = Shelf(10_000)
    for start in range(0, 5_000, 700):
        shelf.add(range(start, min(start + 700, 5_000)), packed[start : start + 700])
    near = shelf.cosines(packed[0], packed)
    truly = sorted(range(5_000), key=lambda key: -near[key])[:10]
    assert shelf.nearest(packed[0], 10) == pytest.approx({key: near[key] for key in truly}, abs=1e-5)
    assert shelf.nearest(packed[0], 10, among=[3, 4_999]).keys() == {3, 4_999}


def test_what_all_have_in_common_makes_none_of_them_near() -> None:
    shared = np.full(96, 3.0, np.float32)
    one, other, *rest = _random(5_000) + shared
    shelf = Shelf(10_000)
    assert shelf.cosines(*_apart(one, other)) == [pytest.approx(0.9, abs=0.05)]
    shelf.add(range(len(rest)), pack(np.stack(rest)))
    exact = np.stack([one, other]) - np.mean(rest, axis=0)
    true = exact[0] @ exact[1] / np.linalg.norm(exact[0]) / np.linalg.norm(exact[1])
    assert shelf.cosines(*_apart(one, other)) == [pytest.approx(true, abs=0.1)]


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[bytes, list[bytes]]:
    first, *rest = pack(np.stack([one, other]))
    return first, rest


def test_of_very_many_the_last_that_came_are_kept() -> None:
    packed = pack(_random(100))
    shelf = Shelf(20)
    for key, vector in enumerate(packed):
        shelf.add([key], [vector])
        assert key in shelf.nearest(vector, 1)
    assert set(range(80, 100)) <= shelf.nearest(packed[0], 100).keys() <= set(range(70, 100))


def test_of_one_that_came_twice_the_later_vector_is_in_force() -> None:
    east, north = pack(np.eye(2, dtype=np.float32))
    shelf = Shelf(10)
    shelf.add([1], [east])
    shelf.add([1, 2], [north, north])
    found = shelf.nearest(north, 10)
    assert found.keys() == {1, 2}
    assert found[1] == found[2] == pytest.approx(1.0, abs=0.01)
