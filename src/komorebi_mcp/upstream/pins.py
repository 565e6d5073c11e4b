"""Pins: what is remembered of an upstream's definitions, so that a later change of one does not go unseen.

Pinned is what a model reads or a client acts on. Icons, `_meta` and vendor fields may change freely. Two
definitions are the same where their canonical JSON is, so that neither the order of keys nor white space ever
raises an alarm.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from komorebi_mcp.domain.pins import Pin, PinKey
from komorebi_mcp.upstream.config import TrustPolicy, UpstreamConfig
from komorebi_mcp.upstream.offers import NAME_CHARS_MAX, Kind, Offer
from komorebi_mcp.upstream.status import Era

INSTRUCTIONS: Final[PinKey] = ("instructions", "")

_PINNED: Final[Mapping[Kind, Sequence[str]]] = {
    Kind.TOOL: ("name", "title", "description", "inputSchema", "outputSchema", "annotations"),
    Kind.PROMPT: ("name", "title", "description", "arguments"),
}
_UNORDERED: Final = frozenset({"required"})
"""Schema keywords whose list is a set, which some servers write in another order each time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pins say of an offer."""

    seen: Mapping[PinKey, int]
    """`Pin.seen` of everything ever pinned for the upstream, offered now or not."""
    changed: frozenset[PinKey] = frozenset()
    """What is no longer as it was pinned."""
    held: frozenset[PinKey] = frozenset()
    """Those of the changed that are held back."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an upstream offered when it was last reached, by any process."""

    offer: Offer
    era: Era
    verdict: Verdict


class Keeper(Protocol):
    """Where offers and pins outlive the process."""

    async def recall(self, upstreams: Sequence[UpstreamConfig]) -> Mapping[str, Recalled]:
        """What is known of these from before, by their names."""

    async def review(self, upstream: UpstreamConfig, offer: Offer, era: Era) -> Verdict:
        """Keeps the offer, pins what is seen for the first time, and compares the rest."""

    async def waiting(self, upstreams: Sequence[str]) -> Mapping[str, Collection[PinKey]]:
        """What of these has changed and is not trusted yet, by their names."""


def pin_key(kind: Kind, name: str) -> PinKey:
    """Under which a definition is pinned; of kinds that are not pinned there is none."""
    return cast("PinKey", (kind.value, name))


def pinned_forms(offer: Offer) -> Mapping[PinKey, str]:
    """What is pinned of everything in the offer, as canonical JSON. Of two with one name, the first."""
    forms = dict(reversed([*_forms(offer)]))
    if offer.instructions:
        forms[INSTRUCTIONS] = canonical(offer.instructions)
    return forms


def judge(pins: Mapping[PinKey, Pin], forms: Mapping[PinKey, str], policy: TrustPolicy) -> Verdict:
    """What these pins say of definitions in these forms."""
    changed = frozenset(key for key, form in forms.items() if key in pins and pins[key].definition != form)
    return Verdict(
        seen={key: pin.seen for key, pin in pins.items()},
        changed=changed if policy != "allow" else frozenset(),
        held=changed if policy == "quarantine" else frozenset(),
    )


def reached(upstream: UpstreamConfig) -> str:
    """A digest of where the upstream is, its secrets left out."""
    return digest(
        canonical([upstream.transport, upstream.command, upstream.args, upstream.url, upstream.cwd])
    )


def canonical(value: Any) -> str:
    """The same text for values that mean the same."""
    return json.dumps(_normal(value), sort_keys=True, separators=(",", ":"))


def digest(form: str) -> str:
    """A short name for a canonical form."""
    return hashlib.sha256(form.encode()).hexdigest()[:16]


def _forms(offer: Offer) -> Iterator[tuple[PinKey, str]]:
    for kind, fields in _PINNED.items():
        for definition in offer.entries.get(kind, ()):
            name = definition.get(kind.id_key) if isinstance(definition, dict) else None
            if isinstance(name, str) and len(name) <= NAME_CHARS_MAX:
                pinned = {each: definition[each] for each in fields if definition.get(each) is not None}
                yield pin_key(kind, name), canonical(pinned)


def _normal(value: Any) -> Any:
    match value:
        case dict():
            return {key: sorted(item) if _is_set(key, item) else _normal(item) for key, item in value.items()}
        case list() | tuple():
            return [_normal(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _is_set(key: str, value: Any) -> bool:
    return key in _UNORDERED and isinstance(value, list) and all(isinstance(item, str) for item in value)
