"""Lists of ours and the upstreams' as one, page by page."""

import base64
import binascii
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult

from komorebi_mcp.services.aggregate import Aggregate
from komorebi_mcp.surface.gateway_callers import Context, era_of
from komorebi_mcp.upstream.offers import Kind

PAGE_ENTRIES_MAX = 250
"""Large, since some clients read only the first page."""

_CURSOR = "upstreams:"


async def list_merged(
    ctx: Context, call_next: CallNext, kind: Kind, aggregate: Aggregate, own: Collection[str]
) -> HandlerResult:
    """Our own first, page by page, then the upstreams' but for the names that are in `own`."""
    params = dict(ctx.params or {})
    after = _name_in(params.get("cursor"))
    if after is not None:
        # Asked for our first page, whose envelope then carries theirs.
        del params["cursor"]
    page = await call_next(replace(ctx, params=params))
    if not isinstance(page, dict) or (after is None and page.get("nextCursor") is not None):
        return page
    theirs = [
        definition
        for definition in await aggregate.definitions(kind, era=era_of(ctx))
        if definition[kind.id_key] not in own and definition[kind.id_key] > (after or "")
    ]
    shown = theirs[:PAGE_ENTRIES_MAX]
    merged: dict[str, Any] = {**page, kind.key: [*(page[kind.key] if after is None else ()), *shown]}
    merged.pop("nextCursor", None)
    if len(theirs) > len(shown):
        merged["nextCursor"] = _cursor_after(shown[-1][kind.id_key])
    if "ttlMs" in merged and not aggregate.is_complete:
        merged["ttlMs"] = 0
    return merged


def _cursor_after(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{name}".encode()).decode()


def _name_in(cursor: object) -> str | None:
    """The name after which a list goes on, or None when the cursor is not one of ours."""
    if not isinstance(cursor, str):
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        return None
    return text.removeprefix(_CURSOR) if text.startswith(_CURSOR) else None
