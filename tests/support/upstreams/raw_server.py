"""An MCP server over stdio on bare JSON lines, so that it can misbehave in ways the SDK would not allow.

Usage: raw_server.py [--era handshake|modern] [--kind KIND] [--tools N] [--state FILE]
"""

# ruff: noqa: T201  # A server on stdio speaks by printing.
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VENDOR_TOOL = {
    "name": "vendor",
    "title": None,
    "description": "Has what no typed client knows.",
    "inputSchema": {
        "type": "object",
        "$anchor": "top",
        "x-order": ["b", "a"],
        "properties": {"a": {"const": None}},
    },
    "outputSchema": {"type": "object", "required": ["never"]},
    "icons": [{"src": "data:,", "x-density": 2}],
    "annotations": {"readOnlyHint": True, "x-cost": 0.0},
    "_meta": {"vendor.example/rank": [1, None]},
    "x-vendor": {"kept": True},
}
VENDOR_RESULT = {
    "content": [{"type": "text", "text": "plain"}, {"type": "hologram", "depth": None}],
    "structuredContent": {"unlike": "its schema", "count": 3, "ratio": 1.0, "nothing": None},
    "isError": False,
    "x-vendor": [None, {"deep": None}],
    "_meta": {"vendor.example/trace": "t-1"},
}
TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
PLAIN_NAMES = [
    "plain",
    "refuse",
    "die",
    "wait",
    "climb",
    "look",
    "leak",
    "garble",
    "ask",
    "events",
    "flood",
    "grow",
    "heap",
    "stray",
    "exec/uté all",
]


class RawServer:
    """Answers one message at a time; a message it does not answer holds up nothing."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.modern = options.era == "modern"
        names = PLAIN_NAMES + [f"tool-{number:03}" for number in range(options.tools)]
        self.events: list[str] = []
        self.held = ""
        self.tools: list[Any] = [{"name": name, "inputSchema": {"type": "object"}} for name in names] + [
            VENDOR_TOOL
        ]
        if options.state is not None:
            hints = {"readOnlyHint": True}
            self.tools.append(
                {"name": "die-reading", "inputSchema": {"type": "object"}, "annotations": hints}
            )
        if options.kind == "tasks":
            execution = {"taskSupport": "required"}
            self.tools.append({"name": "brew", "inputSchema": {"type": "object"}, "execution": execution})
        if options.kind == "lying":
            self.tools += [
                {"name": "schemaless"},
                {"name": "plain", "inputSchema": {"type": "object"}},
                "no tool",
            ]

    def serve(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if self.options.kind == "silent":
                continue
            self.take(message.get("id"), message["method"], message.get("params") or {})

    def take(self, request_id: Any, method: str, params: dict[str, Any]) -> None:  # noqa: C901, PLR0912  # Cases.
        match method:
            case "server/discover" if self.options.kind == "hangup":
                sys.exit("not what I expected")
            case "server/discover" if self.options.kind == "late":
                # As one that is still loading: its answer would come when nobody waits for it any more.
                self.options.kind = "plain"
            case "initialize" if self.modern:
                self.refuse(request_id, -32022, "Too late for that", {"supported": ["2026-07-28"]})
            case "server/discover" if self.options.kind == "dated":
                self.refuse(request_id, -32022, "Not that one", {"supported": ["2025-11-25"]})
            case "server/discover" if self.modern:
                self.answer(request_id, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})
            case "initialize":
                about = {"name": "raw", "version": "1"}
                agreed = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
                self.answer(request_id, agreed)
            case "tools/list" if self.options.kind == "mute":
                pass
            case "tools/list" if self.options.kind == "endless":
                self.events.append("listed")
                self.answer(request_id, {"tools": self.tools, "nextCursor": "again"})
            case "tools/list" if self.options.kind == "toolless":
                self.refuse(request_id, -32601, "Method not found")
            case "tools/list":
                self.list(request_id, params)
                if self.options.kind == "deaf":
                    time.sleep(60)
            case "tools/call" if params["name"] == "brew":
                self.brew(request_id, params)
            case "tools/call":
                self.call(request_id, params)
            case "tasks/get" | "tasks/update" if not self.follows_tasks(params):
                self.refuse(request_id, -32021, "Declare it", {"requiredCapabilities": TASKS})
            case "tasks/get":
                self.tell_task(request_id)
            case "tasks/update":
                self.held = f"for {params['inputResponses']['who']['content']['name']}"
                self.answer(request_id, {})
            case "tasks/result" if self.held != "forever":
                self.answer(request_id, {"content": [{"type": "text", "text": f"brewed {self.held}"}]})
            case "tasks/result":
                self.events.append("asked")
            case "tasks/cancel":
                self.events.append(f"cancelled task {params['taskId']}")
                self.answer(request_id, {"taskId": params["taskId"], "status": "cancelled"})
            case "notifications/cancelled":
                self.events.append(f"cancelled {params['requestId']}")
            case _ if request_id is not None:
                self.refuse(request_id, -32601, "Method not found")

    def list(self, request_id: Any, params: dict[str, Any]) -> None:
        first = int(params.get("cursor", "0"))
        page: dict[str, Any] = {"tools": self.tools[first : first + 50]}
        if first + 50 < len(self.tools):
            page["nextCursor"] = str(first + 50)
        self.answer(request_id, page)

    def call(self, request_id: Any, params: dict[str, Any]) -> None:  # noqa: C901, PLR0912, PLR0915  # Cases.
        token = params.get("_meta", {}).get("progressToken")
        match params["name"]:
            case "vendor":
                self.answer(request_id, VENDOR_RESULT)
            case "refuse":
                self.refuse(request_id, -32077, "Not today", {"until": None, "why": ["rain"]})
            case "leak":
                secret = os.environ["RAW_TOKEN"]
                print(f"stderr has {secret}", file=sys.stderr, flush=True)
                self.refuse(request_id, -32001, f"the token {secret} is old", {"header": f"Bearer {secret}"})
            case "garble" if how := (params.get("arguments") or {}).get("how"):
                odd = {"deep": "[" * 100_000 + "]" * 100_000, "nan": "NaN", "half": '"cut \\ud83d"'}[how]
                print(f'{{"jsonrpc": "2.0", "id": {request_id}, "result": {{"odd": {odd}}}}}', flush=True)
            case "garble":
                self.send({"id": request_id, "result": ["not", "an", "object"]})
            case "flood":
                note = {"method": "notifications/message", "params": {"level": "info", "data": "again"}}
                line = json.dumps({"jsonrpc": "2.0", **note}) + "\n"
                for _ in range(200):
                    sys.stdout.write(line * 1000)
                sys.stdout.flush()
                self.answer(request_id, {"content": []})
            case "heap":
                self.answer(request_id, {"content": [{"type": "text", "text": "x" * 50_000_000}]})
            case "stray":
                for stray in (999_999, "nobody", None, request_id - 1, str(request_id + 1)):
                    self.answer(stray, {"content": [{"type": "text", "text": "not yours"}]})
                    self.refuse(stray, -32000, "not yours either")
                self.answer(request_id, {"content": [{"type": "text", "text": "yours"}]})
            case "die" | "die-reading":
                self.die(request_id)
            case "wait":
                self.events.append(f"waiting {request_id}")
                self.send(
                    {"method": "notifications/progress", "params": {"progressToken": token, "progress": 0}}
                )
            case "events":
                self.answer(request_id, {"content": [], "structuredContent": {"events": self.events}})
            case "grow":
                self.tools.append({"name": "grown", "inputSchema": {"type": "object"}})
                self.send({"method": "notifications/tools/list_changed"})
                self.answer(request_id, {"content": []})
            case "climb":
                for step in range(5):
                    progress = {"progressToken": token, "progress": step, "total": 5, "x-mood": None}
                    self.send({"method": "notifications/progress", "params": progress})
                self.answer(request_id, {"content": []})
            case "ask" if not params.get("inputResponses"):
                asked = {"name": {"method": "elicitation/create", "params": {"message": "Who?"}}}
                asked = params.get("arguments", {}).get("questions", asked)
                self.answer(
                    request_id,
                    {"resultType": "input_required", "inputRequests": asked, "requestState": "s-1"},
                )
            case "look" | "ask":
                seen = {
                    "params": params,
                    "environment": sorted(os.environ),
                    "cwd": str(Path.cwd()),
                    "pid": os.getpid(),
                }
                given = (params.get("arguments") or {}).get("result", {})
                self.answer(request_id, {"content": [], "structuredContent": seen, **given})
            case name:
                self.answer(request_id, {"content": [{"type": "text", "text": f"{name} ran"}]})

    def brew(self, request_id: Any, params: dict[str, Any]) -> None:
        """Begins a task; `tasks/result` tells what came of it, which never comes of what is forever."""
        if self.modern:
            if not self.follows_tasks(params):
                self.events.append("insisted")
                self.refuse(request_id, -32021, "Declare it", {"requiredCapabilities": TASKS})
                return
            self.held = params["arguments"]["what"]
            self.answer(request_id, {"resultType": "task", **self.task("working")})
            return
        if "task" not in params:
            self.refuse(request_id, -32601, "This tool is run as a task")
            return
        self.held = params["arguments"]["what"]
        self.answer(request_id, {"task": {"taskId": "t-1", "status": "working", "ttl": None}})

    def follows_tasks(self, params: dict[str, Any]) -> bool:
        declared = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        return "io.modelcontextprotocol/tasks" in declared.get("extensions", {})

    def task(self, status: str, **more: Any) -> dict[str, Any]:
        return {"taskId": "t-1", "status": status, "ttlMs": None, "pollIntervalMs": 1, **more}

    def tell_task(self, request_id: Any) -> None:
        """What a modern task has come to, by what is brewed."""
        match self.held:
            case "forever":
                self.events.append("asked")
                told = self.task("working")
            case "something":
                question = {"method": "elicitation/create", "params": {"message": "For whom?"}}
                told = self.task("input_required", inputRequests={"who": question})
            case "riddle":
                told = self.task("input_required", inputRequests=["who?"])
            case "spilt":
                told = self.task("failed", error={"code": -32077, "message": "spilt", "data": {"l": 1}})
            case "nonsense":
                told = self.task("brewing")
            case held:
                content = [{"type": "text", "text": f"brewed {held}"}]
                told = self.task("completed", result={"content": content})
        self.answer(request_id, told)

    def die(self, request_id: Any) -> None:
        """Ends the process in the first call, and answers the second; without a state file, never answers."""
        state = self.options.state
        if state is None:
            os._exit(3)
        before = state.read_text() if state.exists() else ""
        state.write_text(before + "x")
        if not before:
            os._exit(3)
        self.answer(request_id, {"content": []})

    def answer(self, request_id: Any, result: dict[str, Any]) -> None:
        complete = {"resultType": "complete"} if self.modern else {}
        self.send({"id": request_id, "result": {**complete, **result}})

    def refuse(self, request_id: Any, code: int, message: str, data: Any = None) -> None:
        self.send({"id": request_id, "error": {"code": code, "message": message, "data": data}})

    def send(self, message: dict[str, Any]) -> None:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", default="handshake")
    parser.add_argument("--kind", default="plain")
    parser.add_argument("--tools", type=int, default=0)
    parser.add_argument("--state", type=Path, default=None)
    options = parser.parse_args()
    if options.kind == "crash":
        sys.exit("no such database")
    server = RawServer(options)
    if options.kind == "parent":
        # A grandchild that outlives its parent's stdin.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        server.events.append(str(child.pid))
    if options.kind == "chatty":
        print("Welcome to the raw server!", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
