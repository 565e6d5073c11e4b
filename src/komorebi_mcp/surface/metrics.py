"""Figures for Prometheus, in its text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

They are of all owners together, so that only whoever runs the server may see them.
"""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from komorebi_mcp.app import App
from komorebi_mcp.domain.access import LOCAL_OWNER
from komorebi_mcp.errors import StorageError
from komorebi_mcp.surface.principal import principal_in
from komorebi_mcp.upstream.status import UpstreamState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple[Mapping[str, str], float]


async def metrics(request: Request, app: App) -> Response:
    """The figures of this moment, for the owner `local`; where no token is asked for, that is everybody."""
    if principal_in(request.scope).owner != LOCAL_OWNER:
        return PlainTextResponse(
            f"Only a token of the owner {LOCAL_OWNER} may read these figures.", status_code=403
        )
    try:
        text = await _text(app)
    except StorageError as error:
        return PlainTextResponse(str(error), status_code=503)
    return Response(text, media_type=CONTENT_TYPE)


async def _text(app: App) -> str:
    async with app.store.look() as queue:
        backlog = await queue.backlog()
        rejected = await queue.rejected_sentences()
    oldest = backlog.oldest_waiting_at
    age_s = 0.0 if oldest is None else max(0.0, (app.clock() - oldest).total_seconds())
    upstreams = [({"upstream": one.name}, one) for one in app.aggregate.status()]
    parts = [
        _figure("info", "Which version runs.", [({"version": app.version}, 1)]),
        _figure("queue_captures", "Captures that wait for enrichment.", [({}, backlog.waiting)]),
        _figure("queue_oldest_seconds", "Age of the oldest capture that waits.", [({}, age_s)]),
        _figure(
            "set_aside_captures", "Captures whose enrichment failed for good.", [({}, backlog.set_aside)]
        ),
        _figure("rejected_sentences", "Sentences of kept summaries that failed grounding.", [({}, rejected)]),
        _figure(
            "upstream_up",
            "Whether an upstream is connected.",
            [(names, float(one.state is UpstreamState.READY)) for names, one in upstreams],
        ),
        _figure(
            "upstream_latency_seconds",
            "Median time of an upstream's latest calls.",
            [(names, one.p50_ms / 1000) for names, one in upstreams if one.p50_ms is not None],
        ),
    ]
    return "".join(parts)


def _figure(name: str, about: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP komorebi_{name} {about}", f"# TYPE komorebi_{name} gauge"]
    for labels, value in samples:
        named = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"komorebi_{name}{f'{{{named}}}' if named else ''} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
