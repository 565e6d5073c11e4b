"""Small pictures that clients may show beside names. They are drawn in the answer: nobody fetches them."""

from typing import Final
from urllib.parse import quote

from mcp_types import Icon

_DRAWN: Final = "fill='none' stroke='#274' stroke-width='1.5' stroke-linejoin='round' stroke-linecap='round'"


def _icon(shapes: str) -> Icon:
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>{shapes}</svg>"
    return Icon(src=f"data:image/svg+xml,{quote(svg)}", mime_type="image/svg+xml", sizes=["any"])


def _drawn(path: str) -> Icon:
    return _icon(f"<path {_DRAWN} d='{path}'/>")


LIGHT: Final = _icon(
    "<circle cx='8' cy='8' r='8' fill='#274'/>"
    "<path d='M5 1l2 14M9 1l1 14M12 3l1 9' stroke='#fd7' stroke-width='1.5'/>"
)
"""Light that falls through leaves, which is what komorebi means."""
INBOX: Final = _drawn("M2 9h3l1 2h4l1-2h3v5H2zM2 9l2-6h8l2 6M8 1v6m-2-2l2 2 2-2")
FOLDER: Final = _drawn("M2 13V3h4l2 2h6v8z")
TEXT: Final = _drawn("M3 1h7l3 3v11H3zM6 6h4M6 9h4M6 12h2")
BRIEF: Final = _drawn("M2 3h12M2 7h12M2 11h7")
CHART: Final = _drawn("M2 14h12M4 11V8M8 11V3M12 11V6")
PLUG: Final = _drawn("M5 1v4m6-4v4M3 5h10v2a5 5 0 0 1-10 0zM8 12v3")
