"""Arithmetic on the vectors that models make of texts.

Needs numpy, which comes with the extra `semantic`: imported only where a model has been loaded.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127
_GROWTH = 1.5
_ROWS_MIN = 1_024
_CHUNK_ROWS = 1_024
"""Compared at once, so that what is in between fits a cache."""
_UNCENTRED = 100
"""As if so many without direction were there: what a few have in common may be what they are about."""


def pack(directions: NDArray[np.floating]) -> list[bytes]:
    """Each row as one signed byte a dimension, which keeps angles within a degree; b"" for a row of zeros."""
    largest = np.abs(directions).max(axis=1, keepdims=True)
    scaled = np.rint(directions / np.where(largest > 0, largest, 1) * _LARGEST).astype(np.int8)
    return [row.tobytes() if row.any() else b"" for row in scaled]


class Shelf:
    """Many vectors of one length, compared with another one all at once; the last that came are kept.

    What all of them have in common is taken out of each before it is compared. It says only that they are
    texts of that store, and with it some models find everything alike.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._count = 0
        self._keys = np.empty(0, np.int64)
        self._rows = np.empty((0, 0), np.int8)
        self._lengths = np.empty(0, np.float32)
        self._sum: NDArray[np.float32] | float = 0.0
        """Of the vectors, each of length 1, those included that were too many."""
        self._came = 0

    @property
    def size_bytes(self) -> int:
        return self._rows.nbytes + self._keys.nbytes + self._lengths.nbytes

    def add(self, keys: Sequence[int], vectors: Sequence[bytes]) -> None:
        """Takes vectors in; those without direction are left out."""
        pairs = [(key, vector) for key, vector in zip(keys, vectors, strict=True) if vector]
        if not pairs:
            return
        rows = _rows([vector for _, vector in pairs])
        end = self._count + len(pairs)
        if end > len(self._keys):
            room = max(_ROWS_MIN, end, int(len(self._keys) * _GROWTH))
            self._keep(slice(0, self._count), room, rows.shape[1])
        added = slice(end - len(pairs), end)
        self._rows[added] = rows
        self._keys[added] = [key for key, _ in pairs]
        self._lengths[added] = np.linalg.norm(rows.astype(np.float32), axis=1)
        self._sum = self._sum + (rows / self._lengths[added, None]).sum(axis=0)
        self._came += len(pairs)
        self._count = end
        if end > self._rows_max * _GROWTH:
            self._keep(slice(end - self._rows_max, end), self._rows_max, rows.shape[1])
            self._count = self._rows_max

    def nearest(self, vector: bytes, limit: int, *, among: Collection[int] | None = None) -> dict[int, float]:
        """The nearest and the cosine of each, in no order; of those in `among`, where given."""
        rows, keys = self._rows[: self._count], self._keys[: self._count]
        lengths = self._lengths[: self._count]
        if not vector or len(vector) != rows.shape[1]:
            return {}
        if among is not None:
            there = np.isin(keys, np.fromiter(among, np.int64, len(among)))
            rows, keys, lengths = rows[there], keys[there], lengths[there]
        near = self._compare(vector, rows, lengths)
        if len(keys) > limit:
            best = np.argpartition(-near, limit)[:limit]
            keys, near = keys[best], near[best]
        # Of one that came twice, the later vector is in force.
        return dict(zip(keys.tolist(), near.tolist(), strict=True))

    def cosines(self, vector: bytes, others: Sequence[bytes]) -> list[float]:
        """How near in direction each of `others` is, 1 being the same; 0 for one that has no direction."""
        comparable = [place for place, other in enumerate(others) if len(other) == len(vector) > 0]
        near = [0.0] * len(others)
        if comparable:
            rows = _rows([others[place] for place in comparable])
            lengths = np.linalg.norm(rows.astype(np.float32), axis=1)
            for place, cosine in zip(comparable, self._compare(vector, rows, lengths).tolist(), strict=True):
                near[place] = cosine
        return near

    def _compare(
        self, vector: bytes, rows: NDArray[np.int8], lengths: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        there = np.frombuffer(vector, np.int8).astype(np.float32)
        there /= np.linalg.norm(there)
        mean = np.zeros_like(there)
        mean += self._sum / (self._came + _UNCENTRED)
        there -= mean
        # (row - mean) * (there - mean), without making the first: its product with both, and its length.
        products = np.empty((2, len(rows)), np.float32)
        for start in range(0, len(rows), _CHUNK_ROWS):
            some = slice(start, start + _CHUNK_ROWS)
            chunk = rows[some].astype(np.float32)
            for product, factor in zip(products, (there, mean), strict=True):
                # Not by the @ operator: its threads wait for each other longer than this takes.
                np.einsum("ij,j->i", chunk, factor, out=product[some])
        with_there, with_mean = products / lengths
        away = np.sqrt(np.maximum(1 - 2 * with_mean + mean @ mean, 1e-6)) * max(np.linalg.norm(there), 1e-3)
        near: NDArray[np.float32] = (with_there - mean @ there) / away
        return near

    def _keep(self, kept: slice, room: int, dimensions: int) -> None:
        """Moves the rows to where there is room for so many."""

        def moved(old: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
            new = np.empty(shape, old.dtype)
            new[: kept.stop - kept.start] = old[kept] if len(old) else 0
            return new

        self._rows = moved(self._rows, (room, dimensions))
        self._keys = moved(self._keys, (room,))
        self._lengths = moved(self._lengths, (room,))


def _rows(vectors: Sequence[bytes]) -> NDArray[np.int8]:
    return np.frombuffer(b"".join(vectors), np.int8).reshape(len(vectors), -1)
