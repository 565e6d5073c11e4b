"""How an upstream is doing, for those who ask why a tool is missing."""

from enum import StrEnum

from komorebi_mcp.domain.model import Model


class UpstreamState(StrEnum):
    CONFIGURED = "configured"
    """Known, and not yet asked for."""
    CONNECTING = "connecting"
    READY = "ready"
    FAILED = "failed"
    """Not reachable, or its entry is wrong; tried again by itself unless the entry is at fault."""


class Era(StrEnum):
    HANDSHAKE = "handshake"
    """Up to 2025-11-25."""
    MODERN = "modern"
    """From 2026-07-28."""


class UpstreamStatus(Model):
    """One upstream at this moment."""

    name: str
    """As the upstreams file has it."""
    state: UpstreamState
    era: Era | None
    """None until it has answered once."""
    tools: int
    stale: bool
    """The tools are those it had when it was last reached."""
    quarantined: tuple[str, ...]
    """Exposed names of tools held back."""
    last_error: str | None
    """Free of secrets; kept after a recovery until something else goes wrong."""
    p50_ms: float | None
    """Median of its latest answered calls; None before the first."""
