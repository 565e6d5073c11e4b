"""Pins: each definition of an upstream as it was first seen or last trusted."""

from datetime import datetime
from typing import Literal

from komorebi_mcp.domain.model import Model

PinKind = Literal["tool", "prompt", "instructions"]
PinKey = tuple[PinKind, str]
"""Of what kind it is, and its name with the upstream; instructions have no name."""


class Pin(Model):
    """What is remembered of one definition. Both forms are canonical JSON."""

    upstream: str
    """As the upstreams file has it."""
    kind: PinKind
    name: str
    definition: str
    """What is trusted."""
    offered: str | None = None
    """What the upstream offers instead since it changed; None where it did not."""
    seen: int
    """Greater for what was first seen later, across all upstreams."""
    pinned_at: datetime
    """When it was first seen or last trusted."""
    offered_at: datetime | None = None

    @property
    def key(self) -> PinKey:
        return self.kind, self.name


class KeptOffer(Model):
    """What an upstream offered when it was last reached, by any process."""

    upstream: str
    reached: str
    """A digest of how it was reached: an offer made elsewhere under the same name is not its own."""
    era: str
    offer: str
    """JSON."""
    listed_at: datetime
