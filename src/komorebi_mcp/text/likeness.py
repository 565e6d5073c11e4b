"""How alike two texts are, told from small signatures of them.

A signature is made by MinHash (Broder 1997, "On the resemblance and containment of documents"): of two of
them, as large a share of places agrees as the texts share of their words and pairs of neighbouring words. Cut
into bands, signatures find each other: those of like texts agree in at least one whole band.
"""

import hashlib
from collections.abc import Sequence
from itertools import islice, pairwise
from operator import eq

TERMS_MIN = 5
"""A text of fewer different words has no signature: a single word would make all the difference."""
LIKE_MIN = 0.7
"""From here on two texts are near-duplicates."""

_TERMS_MAX = 10_000
_PLACES = 128
_SEED = 0
_BANDS = 8
_BAND_PLACES = 5
"""Of texts that share .7, .8 and .9, bands like these find 78, 96 and 99.9 in a hundred."""
_CHANCE = 1 / 256
"""How often a place agrees for no reason, since only a byte of it is kept."""


def signature(terms: Sequence[str]) -> bytes | None:
    """129 bytes that tell the text with these index terms from others; None where it has too few words.

    The first byte is the version of the algorithm: signatures of different versions have no band in common.
    """
    # Imported where it is used: a server that is never given a text needs no MinHash.
    from rensa import RMinHash  # noqa: PLC0415

    read = list(islice(terms, _TERMS_MAX))
    if len(set(read)) < TERMS_MIN:
        return None
    minhash = RMinHash(num_perm=_PLACES, seed=_SEED)
    minhash.update([*read, *(f"{one} {other}" for one, other in pairwise(read))])
    return bytes((RMinHash.ALGORITHM_VERSION, *(value & 0xFF for value in minhash.digest())))


def stripes(signed: bytes) -> list[bytes]:
    """The signature in parts, of which one that is alike has some in common."""
    version = signed[:1]
    return [
        version + bytes((number,)) + signed[1 + number * _BAND_PLACES : 1 + (number + 1) * _BAND_PLACES]
        for number in range(_BANDS)
    ]


def bands(signed: bytes) -> list[int]:
    """The signature's stripes as signed 64-bit numbers, to be stored."""
    return [
        int.from_bytes(hashlib.blake2b(stripe, digest_size=8).digest(), signed=True)
        for stripe in stripes(signed)
    ]


def similarity(one: bytes, other: bytes) -> float:
    """From 0 to 1: the share of words and pairs of words in common, within about .04."""
    if one[0] != other[0]:
        return 0.0
    agreeing: float = sum(map(eq, one[1:], other[1:])) / _PLACES
    return max((agreeing - _CHANCE) / (1 - _CHANCE), 0.0)
