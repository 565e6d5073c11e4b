"""An upstream on the real SDK with everything a server can have, under names the conformance suite uses.

Usage: everything_server.py [--port PORT] [--era both|handshake]

With a port, 0 for a free one, it serves streamable HTTP and prints the port once it listens. Its tool
`consult` asks the client for one thing, in the way of the client's era; `count` counts the calls of its
session; `touch` tells that a resource has changed; `sign_in` wants a URL visited first, the first time.
"""

import argparse
import asyncio
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    URL_ELICITATION_REQUIRED,
    EmptyResult,
    SetLevelRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Context = ServerRequestContext[Any, Any]
Result = Any
"""Raw, as handlers may give it."""

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAESsAABErAAABAAgAZGF0YQAAAAA="
TEXT = "test://static-text"
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "elicitation": ("elicitation/create", {"message": "What is your name?", "requestedSchema": NAMED}),
    "sampling": (
        "sampling/createMessage",
        {
            "messages": [
                {"role": "user", "content": {"type": "text", "text": "What is the capital of France?"}}
            ],
            "maxTokens": 100,
        },
    ),
    "roots": ("roots/list", {}),
    "visit": ("elicitation/create", {"mode": "url", "message": "Sign in.", "url": "https://example.com/in"}),
}
MODERN_QUESTIONS = {
    "test_input_required_result_elicitation": ("user_name", "elicitation"),
    "test_input_required_result_sampling": ("capital_question", "sampling"),
    "test_input_required_result_list_roots": ("client_roots", "roots"),
    "test_input_required_result_request_state": ("confirm", "elicitation"),
    "test_input_required_result_tampered_state": ("confirm", "elicitation"),
    "test_streaming_elicitation": ("user_name", "elicitation"),
}
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
TITLED = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
PLAIN = ["option1", "option2", "option3"]
ENUMS = {
    "untitledSingle": {"type": "string", "enum": PLAIN},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": PLAIN}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {"$anchor": "addressDef", "type": "object", "properties": {"city": {"type": "string"}}}
    },
    "properties": {
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
TOOLS = [
    "consult",
    "count",
    "sign_in",
    "test_audio_content",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_embedded_resource",
    "test_error_handling",
    "test_image_content",
    "test_input_required_result_capabilities",
    "test_input_required_result_multi_round",
    "test_input_required_result_multiple_inputs",
    *MODERN_QUESTIONS,
    "test_logging_tool",
    "test_missing_capability",
    "test_multiple_content_types",
    "test_sampling",
    "test_simple_text",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_trigger_prompt_change",
    "test_trigger_tool_change",
    "touch",
]
PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}

bus = InMemorySubscriptionBus()
counts: dict[int, int] = {}
signed_in = [0]
subscribed: set[str] = set()


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image() -> dict[str, Any]:
    return {"type": "image", "data": PIXEL, "mimeType": "image/png"}


def said(*content: dict[str, Any]) -> Result:
    return {"content": list(content)}


def asked(questions: Mapping[str, tuple[str, dict[str, Any]]], state: str | None = None) -> Result:
    requests = {key: {"method": method, "params": params} for key, (method, params) in questions.items()}
    more = {} if state is None else {"requestState": state}
    return {"resultType": "input_required", "inputRequests": requests, **more}


def is_modern(ctx: Context) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def given(ctx: Context) -> Mapping[str, Any]:
    return (ctx.params or {}).get("inputResponses") or {}


def declared(ctx: Context) -> set[str]:
    capabilities = ctx.session.client_capabilities
    return set(capabilities.model_dump(exclude_none=True)) if capabilities else set()


async def push(ctx: Context, method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method.partition("/")[0] not in declared(ctx):
        raise MCPError(code=INVALID_PARAMS, message=f"The client has no {method}.")
    return await ctx.session._request_outbound.send_raw_request(method, params)


async def notify(ctx: Context, method: str, params: dict[str, Any]) -> None:
    await ctx.session._request_outbound.notify(method, params)


async def log(ctx: Context, words: str) -> None:
    wanted = ((ctx.params or {}).get("_meta") or {}).get("io.modelcontextprotocol/logLevel")
    if not is_modern(ctx) or wanted:
        await notify(ctx, "notifications/message", {"level": "info", "data": words, "x-from": None})


async def list_tools(_ctx: Context, _params: Any) -> Result:
    tools = [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in TOOLS]
    schema = {"name": "json_schema_2020_12_tool", "description": "Keywords.", "inputSchema": SCHEMA}
    return {"tools": [*tools, schema], "ttlMs": 1000, "cacheScope": "private"}


async def call_tool(ctx: Context, params: Any) -> Result:  # noqa: C901, PLR0911, PLR0912, PLR0915 - cases.
    name, arguments = params.name, params.arguments or {}
    match name:
        case "consult":
            method, question = QUESTIONS[arguments.get("of", "elicitation")]
            if not is_modern(ctx):
                # Only this era has ids of visits.
                more = {"elicitationId": "v1"} if "url" in question else {}
                return said(text(json.dumps(await push(ctx, method, question | more))))
            if "it" in given(ctx):
                return said(text(json.dumps(given(ctx)["it"])))
            return asked({"it": (method, question)}, "consulting")
        case "sign_in":
            signed_in[0] += 1
            if signed_in[0] == 1:
                visit = {**QUESTIONS["visit"][1], "elicitationId": "v2"}
                data = {"elicitations": [visit], "x-why": None}
                raise MCPError(code=URL_ELICITATION_REQUIRED, message="Sign in first.", data=data)
            return said(text("signed in"))
        case "count":
            key = id(ctx.session._connection)
            counts[key] = counts.get(key, 0) + 1
            return said(text(str(counts[key])))
        case "touch":
            await bus.publish(ResourceUpdated(arguments["uri"]))
            if not is_modern(ctx) and arguments["uri"] in subscribed:
                await ctx.session.send_resource_updated(arguments["uri"])
            return said(text("touched"))
        case "test_simple_text":
            return said(text("This is a simple text response for testing."))
        case "test_image_content":
            return said(image())
        case "test_audio_content":
            return said({"type": "audio", "data": SILENCE, "mimeType": "audio/wav"})
        case "test_embedded_resource":
            resource = {"uri": "test://embedded-resource", "mimeType": "text/plain", "text": "Embedded."}
            return said({"type": "resource", "resource": resource})
        case "test_multiple_content_types":
            resource = {
                "uri": "test://mixed-content-resource",
                "mimeType": "application/json",
                "text": '{"test":"data","value":123}',
            }
            return said(
                text("Multiple content types test:"), image(), {"type": "resource", "resource": resource}
            )
        case "test_error_handling":
            return {**said(text("This tool intentionally returns an error for testing")), "isError": True}
        case "test_tool_with_logging" | "test_logging_tool":
            for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
                await log(ctx, words)
                await anyio.sleep(0.05)
            return said(text("Logged three times."))
        case "test_tool_with_progress":
            token = ((ctx.params or {}).get("_meta") or {}).get("progressToken")
            for progress in (0, 50, 100):
                if token is not None:
                    step = {"progressToken": token, "progress": progress, "total": 100}
                    await notify(ctx, "notifications/progress", step)
                await anyio.sleep(0.05)
            return said(text("All steps done."))
        case "test_sampling":
            message = {"role": "user", "content": text(arguments["prompt"])}
            answer = await push(ctx, "sampling/createMessage", {"messages": [message], "maxTokens": 100})
            return said(text(f"LLM response: {answer['content']['text']}"))
        case "test_elicitation":
            properties = {key: {"type": "string", "description": key} for key in ("username", "email")}
            form = {"type": "object", "properties": properties, "required": ["username", "email"]}
            return await elicited(ctx, "User response", arguments["message"], form)
        case "test_elicitation_sep1034_defaults":
            form = {"type": "object", "properties": DEFAULTS, "required": []}
            return await elicited(ctx, "Elicitation completed", "Defaults", form)
        case "test_elicitation_sep1330_enums":
            form = {"type": "object", "properties": ENUMS, "required": []}
            return await elicited(ctx, "Elicitation completed", "Choices", form)
        case "test_missing_capability":
            if "sampling" not in declared(ctx):
                raise MCPError(
                    code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                    message="Sampling is needed.",
                    data={"requiredCapabilities": {"sampling": {}}},
                )
            return said(text("It is there."))
        case "test_trigger_tool_change":
            await bus.publish(ToolsListChanged())
            return said(text("Tools changed."))
        case "test_trigger_prompt_change":
            await bus.publish(PromptsListChanged())
            return said(text("Prompts changed."))
        case "test_input_required_result_capabilities":
            able = {str(key): QUESTIONS[key] for key in ("elicitation", "sampling") if key in declared(ctx)}
            return said(text(str(sorted(given(ctx))))) if given(ctx) else asked(able)
        case "test_input_required_result_multiple_inputs":
            kinds = {"user_name": "elicitation", "greeting": "sampling", "client_roots": "roots"}
            if kinds.keys() <= given(ctx).keys():
                return said(text("All three."))
            return asked({each: QUESTIONS[kinds[each]] for each in kinds}, "multiple")
        case "test_input_required_result_multi_round":
            if "step2" in given(ctx):
                return said(text("Both steps."))
            following = "step2" if "step1" in given(ctx) else "step1"
            return asked({following: QUESTIONS["elicitation"]}, f"{following}-{secrets.token_hex(4)}")
        case _ if name in MODERN_QUESTIONS:
            wanted, kind = MODERN_QUESTIONS[name]
            found = given(ctx).get(wanted)
            if not is_answer(found):
                return asked({wanted: QUESTIONS[kind]}, name if name.endswith("_state") else None)
            return said(text(f"Hello, state-ok: {json.dumps(found)}"))
    raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool: {name}")


def is_answer(answer: Any) -> bool:
    return isinstance(answer, Mapping) and bool({"action", "content", "roots"} & answer.keys())


async def elicited(ctx: Context, label: str, message: str, form: dict[str, Any]) -> Result:
    answer = await push(ctx, "elicitation/create", {"message": message, "requestedSchema": form})
    return said(text(f"{label}: action={answer['action']}, content={json.dumps(answer.get('content'))}"))


async def list_prompts(_ctx: Context, _params: Any) -> Result:
    prompts = [
        {"name": name, "description": name, "arguments": [{"name": one, "required": True} for one in needed]}
        for name, needed in PROMPTS.items()
    ]
    return {"prompts": prompts, "ttlMs": 1000, "cacheScope": "private"}


async def get_prompt(ctx: Context, params: Any) -> Result:
    arguments = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            content = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            content = [text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            resource = {"uri": arguments["resourceUri"], "mimeType": "text/plain", "text": "Embedded."}
            content = [{"type": "resource", "resource": resource}, text("Please process it.")]
        case "test_prompt_with_image":
            content = [image(), text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            if "user_context" not in given(ctx):
                return asked({"user_context": QUESTIONS["elicitation"]})
            content = [text(json.dumps(given(ctx)["user_context"]))]
        case _:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown prompt: {params.name}")
    return {"messages": [{"role": "user", "content": block} for block in content]}


async def list_resources(_ctx: Context, _params: Any) -> Result:
    names = ["static-text", "static-binary", "watched-resource"]
    listed = [{"uri": f"test://{name}", "name": name, "description": name} for name in names]
    return {"resources": listed, "ttlMs": 1000, "cacheScope": "private"}


async def list_templates(_ctx: Context, _params: Any) -> Result:
    template = {
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "Data of an id.",
    }
    return {"resourceTemplates": [template], "ttlMs": 1000, "cacheScope": "private"}


async def read_resource(_ctx: Context, params: Any) -> Result:
    uri = str(params.uri)
    match uri.removeprefix("test://").split("/"):
        case ["static-text"]:
            body = {"mimeType": "text/plain", "text": "This is the content of the static text resource."}
        case ["static-binary"]:
            body = {"mimeType": "image/png", "blob": PIXEL}
        case ["watched-resource" | "unlisted"]:
            body = {"mimeType": "text/plain", "text": "Watched."}
        case ["template", number, "data"]:
            data = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
            body = {"mimeType": "application/json", "text": json.dumps(data)}
        case _:
            raise MCPError(code=INVALID_PARAMS, message="Resource not found", data={"uri": uri})
    return {"contents": [{"uri": uri, **body}], "ttlMs": 1000, "cacheScope": "private"}


async def complete(_ctx: Context, params: Any) -> Result:
    values = [value for value in ("paris", "park", "party") if value.startswith(params.argument.value)]
    return {"completion": {"values": values, "total": len(values), "hasMore": False}}


async def subscribe(_ctx: Context, params: Any) -> EmptyResult:
    subscribed.add(str(params.uri))
    return EmptyResult()


async def unsubscribe(_ctx: Context, params: Any) -> EmptyResult:
    subscribed.discard(str(params.uri))
    return EmptyResult()


async def set_level(_ctx: Context, _params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


def whole(
    handler: Callable[[Context, Any], Awaitable[Result]],
) -> Callable[[Context, Any], Awaitable[Result]]:
    """The handler with results as a modern client wants them."""

    async def handle(ctx: Context, params: Any) -> Result:
        result = await handler(ctx, params)
        return {"resultType": "complete", **result} if is_modern(ctx) else result

    return handle


def make_server() -> Server[Any]:
    server: Server[Any] = Server(
        "everything",
        version="1",
        instructions="Has everything.",
        on_list_tools=whole(list_tools),
        on_call_tool=whole(call_tool),
        on_list_prompts=whole(list_prompts),
        on_get_prompt=whole(get_prompt),
        on_list_resources=whole(list_resources),
        on_list_resource_templates=whole(list_templates),
        on_read_resource=whole(read_resource),
        on_completion=whole(complete),
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(bus),
    )
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    server.middleware.append(
        RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="everything")
    )
    return server


class HandshakeOnly:
    """Answers modern requests as a server that has never heard of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if dict(scope.get("headers", [])).get(b"mcp-protocol-version") == b"2026-07-28":
            await PlainTextResponse("Unsupported protocol version", 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def serve_stdio(server: Server[Any], *, handshake_only: bool) -> None:
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if handshake_only:
            await serve_loop(server, read, write, lifespan_state=None, init_options=options)
        else:
            await server.run(read, write, options)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", "--http", dest="http", type=int)
    parser.add_argument("--era", default="both")
    options = parser.parse_args()
    server, handshake_only = make_server(), options.era == "handshake"
    if options.http is None:
        asyncio.run(serve_stdio(server, handshake_only=handshake_only))
        return
    # asyncio turns Nagle's delay off only on sockets that name their protocol.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.http))
    listener.listen()
    print(listener.getsockname()[1], flush=True)  # noqa: T201  # Whoever started us reads it.
    app: ASGIApp = server.streamable_http_app()
    config = uvicorn.Config(HandshakeOnly(app) if handshake_only else app, log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
