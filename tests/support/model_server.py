"""A chat completions endpoint on loopback that answers as a test says, over real HTTP."""

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = dict[str, Any]
"""The body of a request."""


@dataclass
class Answer:
    """What goes back."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ModelServer:
    """The endpoint while it serves."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    """The authorization header of each request."""
    connections: list[socket.socket] = field(default_factory=list)
    """Of each request."""
    hanging: threading.Event = field(default_factory=threading.Event)
    """Set when an answer that waits for `hanging` may go; the server sets it at its end."""


def hung_up(connection: socket.socket) -> bool:
    """Whether whoever asked ends the connection within five seconds, though it was not answered."""
    return bool(select.select([connection], [], [], 5)[0]) and connection.recv(1, socket.MSG_PEEK) == b""


def says(content: str, **choice: Any) -> Answer:
    """A completion with this text."""
    message = {"role": "assistant", "content": content, **choice.pop("message", {})}
    return Answer(json.dumps({"choices": [{"message": message, "finish_reason": "stop", **choice}]}).encode())


def content(answer: Answer) -> str:
    """The text of a completion."""
    return str(json.loads(answer.body)["choices"][0]["message"]["content"])


def tells(*sentences: tuple[str, list[str]]) -> Answer:
    """A completion of the form asked for: sentences with what they cite."""
    return says(json.dumps({"sentences": [{"text": text, "sources": ids} for text, ids in sentences]}))


def shown(asked: Asked) -> list[dict[str, str]]:
    """The captures in a prompt: `id`, `text` and what else is told of them."""
    lines = asked["messages"][1]["content"].splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"id"')]


def honest(asked: Asked) -> Answer:
    """A model that retells the beginning of each capture."""
    told = [
        (f"It was noted: {each['text'].split('. ')[0].rstrip('.')}.", [each["id"]]) for each in shown(asked)
    ]
    return tells(*told)


@contextmanager
def serve_model(answer: Callable[[Asked], Answer]) -> Iterator[ModelServer]:
    """An endpoint at `url`, which ends in /v1, that answers each request as `answer` says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.connections.append(self.connection)
            server.asked.append(asked)
            server.keys.append(self.headers["authorization"])
            if self.path != "/v1/chat/completions":
                self._send(Answer(b"", status=404))
                return
            self._send(answer(asked))

        def _send(self, given: Answer) -> None:
            try:
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)
            except OSError:
                # Whoever asked did not wait for the answer.
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name.
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = ModelServer(f"http://127.0.0.1:{http.server_port}/v1")
        serving = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        serving.start()
        try:
            yield server
        finally:
            server.hanging.set()
            http.shutdown()
            serving.join()
