"""Whose data a request is about."""

from typing import Any

from mcp.server.context import ServerRequestContext

LOCAL_OWNER = "local"
"""The one principal of stdio and of HTTP on loopback, where whoever can connect may read the file anyway."""


def owner_of(ctx: ServerRequestContext[Any, Any]) -> str:  # noqa: ARG001 - authenticated owners will come from it.
    """The owner whose data the request may see and change."""
    return LOCAL_OWNER
