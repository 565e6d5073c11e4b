"""What a tool of our own is made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    InputRequiredResult,
    ResourceLink,
    ToolAnnotations,
    ToolExecution,
)
from mcp_types import (
    Tool as ToolDefinition,
)
from pydantic import SerializerFunctionWrapHandler, model_serializer

from komorebi_mcp.app import App
from komorebi_mcp.domain.model import Model
from komorebi_mcp.surface.schemas import Schema, full_schema, input_schema, output_schema

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(destructive_hint=False, open_world_hint=False)
OVERWRITES = ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class Result(Model):
    """What a tool gives back. A field with a default is left out while None; the others are always there."""

    @model_serializer(mode="wrap")
    def _without_absent(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in inner(self).items()
            if value is not None or fields[name].is_required()
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, and whose it is."""

    app: App
    owner: str
    ctx: ServerRequestContext[App, Any]
    params: CallToolRequestParams


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's answer: for programs, for readers, and where to read on."""

    structured: Result
    text: str
    links: tuple[ResourceLink, ...] = ()


A = TypeVar("A", bound=Model)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool of our own, declared in one place."""

    name: str
    title: str
    description: str
    arguments: type[A]
    result: type[Result] | None
    """None where the result is another server's and may be anything."""
    annotations: ToolAnnotations
    run: Callable[[Call, A], Awaitable[Reply | InputRequiredResult]]
    may_be_task: bool = False
    page_uri: str | None = None
    """The page that hosts of MCP Apps show its result in."""
    with_upstreams: bool = False
    """Listed only where upstreams are configured."""
    definition: ToolDefinition = field(init=False)
    demands: Schema = field(init=False)
    """The full schema of the arguments, limits included, in whose terms errors are told."""

    def __post_init__(self) -> None:
        definition = ToolDefinition(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=input_schema(self.arguments),
            output_schema=None if self.result is None else output_schema(self.result),
            annotations=self.annotations,
            _meta={"ui": {"resourceUri": self.page_uri}} if self.page_uri else None,
            execution=ToolExecution(task_support="optional") if self.may_be_task else None,
        )
        object.__setattr__(self, "definition", definition)
        object.__setattr__(self, "demands", full_schema(self.arguments))
