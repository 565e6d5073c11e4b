"""Finds out which era an upstream speaks, and stamps requests as that era wants them.

The upstream is asked `server/discover` first (2026-07-28). Whatever does not show that it speaks the modern
era leads to `initialize` (up to 2025-11-25), as the specification's compatibility section has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    CONNECTION_CLOSED,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream.caller import Caller
from komorebi_mcp.upstream.status import Era
from komorebi_mcp.upstream.wire import Refused, Wire

PROBE_TIMEOUT_S = 5.0

_CLIENT_INFO = {"name": "komorebi-mcp", "title": "Komorebi", "version": version("komorebi-mcp")}
_NAMED_BY = {
    **NAME_BEARING_METHODS,
    # Of the extension io.modelcontextprotocol/tasks, which the SDK does not know.
    **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId"),
}
"""The param that is repeated in a header, by which proxies find the way."""
_ENVELOPE_KEYS = (PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with an upstream."""

    era: Era
    version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """What the upstream declares that it has."""
    instructions: str | None = None
    """What it tells models about itself."""

    @property
    def headers(self) -> dict[str, str]:
        """What every message over HTTP carries."""
        return {MCP_PROTOCOL_VERSION_HEADER: self.version}

    def stamp(
        self, method: str, params: Mapping[str, Any] | None, headers: Mapping[str, str], caller: Caller
    ) -> tuple[dict[str, Any], CallOptions]:
        """The params and options under which a request goes out.

        The caller's capabilities go along to a modern upstream, so that it may ask for input; everything else
        of the caller's own envelope ends here.
        """
        stamped = dict(params or {})
        given = stamped.get("_meta")
        meta: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
        for key in _ENVELOPE_KEYS:
            meta.pop(key, None)
        sent = {**self.headers, **headers}
        if self.era is Era.MODERN:
            meta |= _envelope(self.version)
            meta[CLIENT_CAPABILITIES_META_KEY] = dict(caller.capabilities)
            if caller.log_level is not None:
                meta[LOG_LEVEL_META_KEY] = caller.log_level
            sent[MCP_METHOD_HEADER] = method
            name = stamped.get(_NAMED_BY.get(method, ""))
            if isinstance(name, str):
                sent[MCP_NAME_HEADER] = encode_header_value(name)
        else:
            meta.pop(LOG_LEVEL_META_KEY, None)
        if meta:
            stamped["_meta"] = meta
        else:
            stamped.pop("_meta", None)
        return stamped, {"headers": sent}


def param_headers(
    terms: Terms, mirrored: Mapping[tuple[str, ...], str], params: Mapping[str, Any]
) -> dict[str, str]:
    """The `Mcp-Param-*` headers by which a modern upstream has a tool's arguments mirrored."""
    arguments = params.get("arguments")
    if not mirrored or terms.era is not Era.MODERN or not isinstance(arguments, Mapping):
        return {}
    return mcp_param_headers(mirrored, arguments)


class ProbeEndedConnection(UpstreamUnavailable):
    """The upstream hung up on `server/discover`, as some of the handshake era do on what they do not know."""


async def agree(wire: Wire, *, probe: bool, capabilities: Mapping[str, Any]) -> Terms:
    """The terms this upstream speaks under; without `probe` only `initialize` is tried.

    The capabilities are those that `initialize` declares.

    Raises:
        ProbeEndedConnection: Connect again and come without `probe`.
        UpstreamUnavailable: It speaks no version that we do.
        MCPError: It refused the handshake.
    """
    if not probe:
        return await _initialize(wire, capabilities)
    offered = await _discover(wire, LATEST_MODERN_VERSION)
    if offered is not None:
        return offered
    try:
        return await _initialize(wire, capabilities)
    except MCPError as error:
        if error.code != UNSUPPORTED_PROTOCOL_VERSION:
            raise
        # It answered the probe after all, too late for us, and has been modern on this connection since.
        offered = await _discover(wire, LATEST_MODERN_VERSION)
        if offered is None:
            raise
        return offered


async def _discover(wire: Wire, proposed: str) -> Terms | None:
    """Modern terms that the upstream agrees to, or None."""
    opts: CallOptions = {
        "timeout": PROBE_TIMEOUT_S,
        "cancel_on_abandon": False,
        "headers": {MCP_PROTOCOL_VERSION_HEADER: proposed, MCP_METHOD_HEADER: "server/discover"},
    }
    try:
        result = await wire.send_raw_request("server/discover", {"_meta": _envelope(proposed)}, opts)
    except Refused:
        return None
    except MCPError as error:
        if is_closed(error):
            raise ProbeEndedConnection("It ended the connection when asked for its version.") from error
        if error.code != UNSUPPORTED_PROTOCOL_VERSION:
            return None
        supported = error.data.get("supported") if isinstance(error.data, dict) else None
        mutual = _newest(supported)
        return await _discover(wire, mutual) if mutual and mutual != proposed else None
    offered = _newest(result.get("supportedVersions"))
    return _terms(Era.MODERN, offered, result) if offered else None


async def _initialize(wire: Wire, capabilities: Mapping[str, Any]) -> Terms:
    params = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": dict(capabilities),
        "clientInfo": _CLIENT_INFO,
    }
    result = await wire.send_raw_request("initialize", params, {"cancel_on_abandon": False})
    spoken = result.get("protocolVersion")
    if spoken not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise UpstreamUnavailable(f"It speaks protocol version {str(spoken)[:20]!r}, which is not supported.")
    terms = _terms(Era.HANDSHAKE, spoken, result)
    await wire.notify("notifications/initialized", None, {"headers": terms.headers})
    return terms


def _terms(era: Era, spoken: str, result: Mapping[str, Any]) -> Terms:
    """What was agreed, without whatever an upstream may declare in a wrong shape."""
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Terms(
        era,
        spoken,
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
    )


def is_closed(error: MCPError) -> bool:
    """Whether the connection ended under a request, which the SDK reports as an answer of its own."""
    return error.code == CONNECTION_CLOSED and error.message.startswith(("Connection closed", "SSE stream"))


def _newest(offered: Any) -> str | None:
    mutual = [known for known in MODERN_PROTOCOL_VERSIONS if isinstance(offered, list) and known in offered]
    return mutual[-1] if mutual else None


def _envelope(spoken: str) -> dict[str, Any]:
    return {
        PROTOCOL_VERSION_META_KEY: spoken,
        CLIENT_INFO_META_KEY: _CLIENT_INFO,
        CLIENT_CAPABILITIES_META_KEY: {},
    }
