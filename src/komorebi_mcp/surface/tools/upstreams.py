"""The tools that stand for upstreams: how they are, which tools they have, and how to run one."""

from typing import Annotated, Any

from pydantic import Field

from komorebi_mcp.domain.captures import ProjectName
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import NotFound
from komorebi_mcp.surface.arguments import LIMIT_DEFAULT, Limit
from komorebi_mcp.surface.rendering import counted, paragraphs
from komorebi_mcp.surface.tools.record import ADDS, READS, Call, Reply, Result, Tool
from komorebi_mcp.text.tokens import estimate_tokens
from komorebi_mcp.upstream.status import Era, UpstreamState, UpstreamStatus

FOUND_TOKENS_MAX = 20_000
"""Schemas can be long; tools that do not fit are counted instead."""


class ListUpstreamsArguments(Model):
    pass


class FindToolsArguments(Model):
    query: str
    upstream: str | None = None
    limit: Limit = LIMIT_DEFAULT


class CallToolArguments(Model):
    tool: Annotated[str, Field(description="As find_tools names it")]
    arguments: dict[str, Any]
    capture: Annotated[bool | None, Field(description="Keep the result")] = None
    project: ProjectName | None = None


class UpstreamRow(Result):
    name: str
    state: UpstreamState
    era: Era | None
    tools: int
    stale: bool
    quarantined: tuple[str, ...]
    last_error: str | None
    p50_ms: float | None


class UpstreamList(Result):
    upstreams: tuple[UpstreamRow, ...]

    @classmethod
    def of(cls, status: list[UpstreamStatus]) -> "UpstreamList":
        return cls(upstreams=tuple(UpstreamRow(**dict(each)) for each in status))


class FoundTool(Result):
    name: str
    description: str
    input_schema: dict[str, Any]


class FoundTools(Result):
    tools: tuple[FoundTool, ...]
    omitted: int | None = None


async def _list(call: Call, _: ListUpstreamsArguments) -> Reply:
    # Whoever asks may be the first to want them.
    await call.app.aggregate.tools()
    listed = UpstreamList.of(call.app.aggregate.status())
    return Reply(listed, "\n".join(map(_line, listed.upstreams)) or NONE_CONFIGURED)


async def _find(call: Call, arguments: FindToolsArguments) -> Reply:
    found = await call.app.aggregate.find(arguments.query, upstream=arguments.upstream)
    tools: list[FoundTool] = []
    room = FOUND_TOKENS_MAX
    for definition in found[: arguments.limit]:
        tool = FoundTool(
            name=definition["name"],
            description=definition.get("description") or definition.get("title") or "",
            input_schema=definition.get("inputSchema") or {"type": "object"},
        )
        # Given in both forms, of which a client reads one.
        room -= estimate_tokens(tool.model_dump_json())
        if tools and room < 0:
            break
        tools.append(tool)
    omitted = len(found) - len(tools)
    said = [f"{counted(len(tools), 'tool')}, to be run with call_tool:" if tools else _nothing(call)]
    said += [f"- {tool.name}: {tool.description}\n  {tool.model_dump()['input_schema']}" for tool in tools]
    if omitted:
        said.append(f"{omitted:,} more match; say more in the query, or raise limit.")
    return Reply(FoundTools(tools=tuple(tools), omitted=omitted or None), paragraphs(said))


async def _call(_: Call, arguments: CallToolArguments) -> Reply:
    """Answers where `surface.results` found nobody to hand the call to."""
    raise NotFound(f"No upstream has a tool named {arguments.tool[:60]!a}. Call find_tools to find one.")


NONE_CONFIGURED = "No upstream is configured. Add one with `komorebi-mcp upstream add`."


def _nothing(call: Call) -> str:
    if not call.app.aggregate.enabled:
        return NONE_CONFIGURED
    return "No tool matches. Use other words, or call list_upstreams to see whether an upstream is missing."


def _line(row: UpstreamRow) -> str:
    told = [row.state.value, counted(row.tools, "tool")]
    if row.stale:
        told.append("stale")
    if row.quarantined:
        told.append(f"quarantined: {', '.join(row.quarantined)}")
    if row.last_error:
        told.append(row.last_error)
    return f"- **{row.name}**: {'; '.join(told)}"


LIST_UPSTREAMS = Tool(
    name="list_upstreams",
    title="List upstreams",
    description="The servers behind this one: state, tools, and why some are missing or quarantined.",
    arguments=ListUpstreamsArguments,
    result=UpstreamList,
    annotations=READS,
    run=_list,
    with_upstreams=True,
)

FIND_TOOLS = Tool(
    name="find_tools",
    title="Find tools",
    description="Find tools of upstreams by what they do; run them with call_tool.",
    arguments=FindToolsArguments,
    result=FoundTools,
    annotations=READS,
    run=_find,
    with_upstreams=True,
)

CALL_TOOL = Tool(
    name="call_tool",
    title="Call tool",
    description="Run a tool of an upstream, and give back what it gives.",
    arguments=CallToolArguments,
    result=None,
    annotations=ADDS.model_copy(update={"destructive_hint": True, "open_world_hint": True}),
    run=_call,
    with_upstreams=True,
)
