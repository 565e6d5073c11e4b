"""An upstream over HTTP that keeps all it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESULTS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "recorder", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [{"type": "text", "text": "heard"}]},
}


@contextmanager
def recording_upstream() -> Iterator[tuple[str, list[str]]]:
    """Its URL, and every request so far, headers and body, as one text each."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append(f"{self.path}\n{self.headers}\n{body.decode()}")
            message = json.loads(body)
            if "id" not in message:
                self._answer(202, None)
            elif message["method"] in _RESULTS:
                result = _RESULTS[message["method"]]
                self._answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})
            else:
                error = {"code": -32601, "message": "Method not found"}
                self._answer(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})

        def do_GET(self) -> None:
            self._answer(405, None)

        do_DELETE = do_GET  # noqa: N815 - as the base class names them.

        def _answer(self, status: int, document: object) -> None:
            body = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/mcp", heard
        finally:
            http.shutdown()
            thread.join()
