"""The dashboard in a browser on this machine."""

import json
import secrets
from collections.abc import Callable
from typing import Any, Final

from komorebi_mcp.app import App
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import InvalidInput, KomorebiError
from komorebi_mcp.services.timeline import timeline
from komorebi_mcp.surface.arguments import check_window, checked
from komorebi_mcp.surface.dashboard_page import html
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.find import LIST_CAPTURES, CaptureList, CaptureRow
from komorebi_mcp.surface.tools.projects import LIST_PROJECTS, ProjectList, ProjectRow
from komorebi_mcp.surface.tools.timeline import TIMELINE, TimelineResult

_BODY_BYTES_MAX: Final = 65_536


async def serve_dashboard(app: App, *, port: int, on_listening: Callable[[str], object]) -> None:
    """Serves the page on this machine until cancelled, under an address that nobody else can guess.

    The secret in the address keeps out other users of the machine, and other pages in the browser.
    """
    import uvicorn  # noqa: PLC0415 - only here is there HTTP without MCP.
    from starlette.applications import Starlette  # noqa: PLC0415 - the same.
    from starlette.requests import Request  # noqa: PLC0415 - the same.
    from starlette.responses import HTMLResponse, JSONResponse, Response  # noqa: PLC0415 - the same.
    from starlette.routing import Route  # noqa: PLC0415 - the same.

    async def show(_: Request) -> Response:
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
        }
        return HTMLResponse(html(), headers=headers)

    async def call(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_BYTES_MAX:
                return Response(status_code=413)
        try:
            return JSONResponse(await answer(app, body))
        except KomorebiError as error:
            return JSONResponse({"isError": True, "content": [{"type": "text", "text": str(error)}]})

    path = f"/{secrets.token_urlsafe(24)}/"
    routes = [Route(path, show, methods=["GET"]), Route(f"{path}call", call, methods=["POST"])]
    config = uvicorn.Config(
        Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    with config.bind_socket() as socket:
        on_listening(f"http://127.0.0.1:{socket.getsockname()[1]}{path}")
        await server.serve(sockets=[socket])


async def answer(app: App, body: bytes) -> dict[str, Any]:
    """What one of the tools that the page uses gives, in the shape of a tool's result.

    Raises:
        InvalidInput: The body is no call of one of them.
    """
    try:
        asked = json.loads(body)
        name, given = asked["name"], asked.get("arguments", {})
        result = await _structured(app, str(name), given)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("The dashboard uses no such tool.") from error
    return {"structuredContent": result.model_dump(mode="json")}


async def _structured(app: App, name: str, given: dict[str, Any]) -> Model:
    match name:
        case "timeline":
            asked = await checked(TIMELINE.arguments, given, app)
            check_window(asked.since, asked.until)
            return TimelineResult.of(await timeline(app.store, LOCAL_OWNER, zone=app.zone(), **dict(asked)))
        case "list_captures":
            wanted = await checked(LIST_CAPTURES.arguments, given, app)
            page_ = await app.find.page(LOCAL_OWNER, wanted.where(), limit=wanted.limit)
            return CaptureList(captures=tuple(map(CaptureRow.of, page_.items)), next_cursor=page_.next_cursor)
        case "list_projects":
            limits = await checked(LIST_PROJECTS.arguments, given, app)
            projects = await app.organize.projects(LOCAL_OWNER, limit=limits.limit)
            return ProjectList(projects=tuple(map(ProjectRow.of, projects.items)))
        case _:
            raise ValueError(name)
