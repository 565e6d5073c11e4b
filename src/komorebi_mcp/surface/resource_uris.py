"""URIs of the resources that are not one capture or one summary."""

from typing import Final
from urllib.parse import unquote

from komorebi_mcp.domain.ids import brief_uri, capture_uri, project_uri
from komorebi_mcp.upstream.names import OWN_URIS

ROOT: Final = "komorebi://"
INBOX_URI: Final = f"{ROOT}inbox"
PROJECTS_URI: Final = f"{ROOT}projects"
UPSTREAMS_URI: Final = f"{ROOT}upstreams"
DASHBOARD_URI: Final = "ui://komorebi/dashboard.html"


def project_uris(name: str | None) -> tuple[str, ...]:
    """What is different once something in the project is; nothing without one."""
    return (PROJECTS_URI, project_uri(name), brief_uri(name)) if name else ()


def canonical(uri: str) -> str:
    """The URI as changes are told by it. Clients may write it otherwise, and can read it so all the same."""
    match uri.removeprefix(ROOT).split("/") if uri.startswith(ROOT) else []:
        case ["captures", capture_id]:
            return capture_uri(capture_id.lower())
        case ["projects", name]:
            return project_uri(unquote(name))
        case ["projects", name, "brief"]:
            return brief_uri(unquote(name))
    return uri


def is_own(uri: str) -> bool:
    """Whether no upstream may answer for it."""
    return uri.startswith(OWN_URIS)
