"""Prompts: what a person picks from a menu."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import (
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    PromptArgument,
    PromptMessage,
    TextContent,
)
from mcp_types import Prompt as PromptDefinition
from pydantic import ValidationError

from komorebi_mcp.app import App
from komorebi_mcp.errors import KomorebiError
from komorebi_mcp.surface.arguments import checked
from komorebi_mcp.surface.icons import LIGHT
from komorebi_mcp.surface.pages import page_of
from komorebi_mcp.surface.principal import owner_of
from komorebi_mcp.surface.prompt_texts import PROMPTS, Prompt
from komorebi_mcp.surface.replies import invalid_arguments, protocol_error, unknown_name
from komorebi_mcp.surface.schemas import full_schema


def prompt_names() -> list[str]:
    return list(PROMPTS)


def _definition(prompt: Prompt) -> PromptDefinition:
    fields = prompt.arguments.model_fields
    return PromptDefinition(
        name=prompt.name,
        title=prompt.title,
        description=prompt.description,
        icons=[LIGHT],
        arguments=[
            PromptArgument(name=name, title=name.capitalize(), description=field.description)
            for name, field in fields.items()
        ],
    )


_DEFINITIONS = [_definition(prompt) for prompt in PROMPTS.values()]


async def list_prompts(
    ctx: ServerRequestContext[App, Any],  # noqa: ARG001 - the SDK's signature of a handler.
    params: PaginatedRequestParams | None,
) -> ListPromptsResult:
    prompts, next_cursor = page_of(_DEFINITIONS, params.cursor if params else None)
    return ListPromptsResult(prompts=prompts, next_cursor=next_cursor)


async def get_prompt(ctx: ServerRequestContext[App, Any], params: GetPromptRequestParams) -> GetPromptResult:
    prompt = PROMPTS.get(params.name)
    if prompt is None:
        raise unknown_name("prompt", params.name, prompt_names(), listing="prompts/list")
    app = ctx.lifespan_context
    try:
        arguments = await checked(prompt.arguments, params.arguments or {}, app)
    except ValidationError as error:
        raise protocol_error(invalid_arguments(params.name, error, full_schema(prompt.arguments))) from None
    try:
        text = await prompt.text(app, owner_of(ctx), arguments)
    except KomorebiError as error:
        raise protocol_error(error) from error
    return GetPromptResult(
        description=prompt.description,
        icons=[LIGHT],
        messages=[PromptMessage(role="user", content=TextContent(type="text", text=text))],
    )
