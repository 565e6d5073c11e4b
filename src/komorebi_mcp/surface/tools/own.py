"""All tools of our own, in the order clients see them."""

from typing import Any, Final

from komorebi_mcp.surface.tools.capture import CAPTURE
from komorebi_mcp.surface.tools.find import LIST_CAPTURES, SEARCH_CAPTURES
from komorebi_mcp.surface.tools.organize import FORGET_CAPTURES, UPDATE_CAPTURES
from komorebi_mcp.surface.tools.projects import LIST_PROJECTS, UPDATE_PROJECT
from komorebi_mcp.surface.tools.read import READ_CAPTURES
from komorebi_mcp.surface.tools.record import Tool
from komorebi_mcp.surface.tools.resume import RESUME
from komorebi_mcp.surface.tools.summarize import SUMMARIZE
from komorebi_mcp.surface.tools.timeline import TIMELINE
from komorebi_mcp.surface.tools.upstreams import CALL_TOOL, FIND_TOOLS, LIST_UPSTREAMS

OWN_TOOLS: Final[dict[str, Tool[Any]]] = {
    tool.name: tool
    for tool in (
        CAPTURE,
        LIST_CAPTURES,
        SEARCH_CAPTURES,
        READ_CAPTURES,
        UPDATE_CAPTURES,
        FORGET_CAPTURES,
        SUMMARIZE,
        RESUME,
        LIST_PROJECTS,
        UPDATE_PROJECT,
        TIMELINE,
        LIST_UPSTREAMS,
        FIND_TOOLS,
        CALL_TOOL,
    )
}
