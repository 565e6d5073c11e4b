"""Completions: what the arguments of prompts and the placeholders of resource templates may be.

An argument is completed by its name, which means the same wherever it stands. What an argument does not
offer is an empty list; a prompt or template that is not there is an error.
"""

from collections.abc import Iterable
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from komorebi_mcp.app import App
from komorebi_mcp.domain.captures import Kind, Status
from komorebi_mcp.services.complete import matching
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.prompts import prompt_names
from komorebi_mcp.surface.replies import unknown_name
from komorebi_mcp.surface.resources import template_uris

VALUES_MAX = 100
"""The protocol's own limit."""

_FIXED: Final[dict[str, Iterable[str]]] = {"kind": Kind, "status": Status}


async def complete(ctx: ServerRequestContext[App, Any], params: CompleteRequestParams) -> CompleteResult:
    app, owner = ctx.lifespan_context, owner_of(ctx)
    argument, typed = params.argument.name, params.argument.value
    if isinstance(params.ref, PromptReference):
        if params.ref.name not in prompt_names():
            raise unknown_name("prompt", params.ref.name, prompt_names(), listing="prompts/list")
        found = await _argument(app, owner, argument, typed)
    else:
        if params.ref.uri not in template_uris():
            raise unknown_name(
                "resource template", params.ref.uri, template_uris(), listing="resources/templates/list"
            )
        found = await _placeholder(app, owner, params.ref.uri, argument, typed)
    values = found[:VALUES_MAX]
    has_more = len(found) > len(values)
    # Of more than were looked for, nobody knows how many there are.
    total = None if has_more else len(values)
    return CompleteResult(completion=Completion(values=values, total=total, has_more=has_more))


async def _argument(app: App, owner: str, name: str, typed: str) -> list[str]:
    match name:
        case "project":
            return await app.complete.projects(owner, typed)
        case "tag" | "tags":
            return await app.complete.tags(owner, typed)
        case "upstream":
            return matching(sorted(each.name for each in app.aggregate.status()), typed)
        case "id" | "ids":
            return await app.complete.captures(owner, typed, limit=VALUES_MAX + 1)
        case _:
            return matching(_FIXED.get(name, ()), typed)


async def _placeholder(app: App, owner: str, template: str, name: str, typed: str) -> list[str]:
    match template.split("/")[2], name:
        case "captures", "id":
            return await app.complete.captures(owner, typed, limit=VALUES_MAX + 1)
        case "summaries", "id":
            return await app.complete.summaries(owner, typed, limit=VALUES_MAX + 1)
        case "projects", "name":
            return await app.complete.projects(owner, typed)
        case _:
            return []
