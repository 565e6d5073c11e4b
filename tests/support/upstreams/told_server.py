"""An MCP server over stdio that offers what a JSON file says each time it is asked.

Usage: told_server.py FILE

The file holds `tools`, `prompts` and `instructions`. A tool answers with its arguments as text; with `again`
among them it says that its lists have changed. The tool `long` answers with as many findings as it is asked.
"""

# ruff: noqa: T201  # A server on stdio speaks by printing.
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    offer = Path(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer(
                message["id"], message["method"], message.get("params") or {}, json.loads(offer.read_text())
            )


def answer(request_id: Any, method: str, params: dict[str, Any], offer: dict[str, Any]) -> None:
    match method:
        case "initialize":
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}, "prompts": {"listChanged": True}},
                "serverInfo": {"name": "told", "version": "1"},
                "instructions": offer.get("instructions", ""),
            }
        case "tools/list":
            result = {"tools": offer.get("tools", [])}
        case "prompts/list":
            result = {"prompts": offer.get("prompts", [])}
        case "tools/call":
            arguments = params.get("arguments") or {}
            if arguments.get("again"):
                send({"method": "notifications/tools/list_changed"})
            result = call(params["name"], arguments)
        case _:
            send({"id": request_id, "error": {"code": -32601, "message": "Method not found"}})
            return
    send({"id": request_id, "result": result})


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    match name:
        case "long":
            text = " ".join(f"Finding {number} of many." for number in range(arguments["findings"]))
            return {"content": [{"type": "text", "text": text}]}
        case "fail":
            return {"content": [{"type": "text", "text": "It failed."}], "isError": True}
        case "structured":
            return {"content": [{"type": "text", "text": "{}"}], "structuredContent": arguments}
        case _:
            return {"content": [{"type": "text", "text": json.dumps(arguments)}]}


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


if __name__ == "__main__":
    main()
