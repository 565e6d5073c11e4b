"""The dashboard's page, which needs nothing beside it.

https://modelcontextprotocol.io/specification/draft/extensions/apps
"""

from functools import cache
from importlib.resources import files
from typing import Final

APP_MIME_TYPE: Final = "text/html;profile=mcp-app"


@cache
def html() -> str:
    """The page as hosts of MCP Apps and `komorebi-mcp ui` show it."""
    return files("komorebi_mcp.surface").joinpath("dashboard.html").read_text(encoding="utf-8")
