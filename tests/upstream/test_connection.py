"""HTTP to upstreams, byte by byte: what servers and networks do that a well-behaved framework would not."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from komorebi_mcp.errors import UpstreamUnavailable
from komorebi_mcp.upstream import endpoint
from komorebi_mcp.upstream.endpoint import Endpoint, open_endpoint, whole_of
from komorebi_mcp.upstream.wire import Ended, NotSent
from support.certificates import Certificate, certificate_for

pytestmark = pytest.mark.process

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serve(
    handler: Handler, *, host: str = "127.0.0.1", certificate: Certificate | None = None
) -> AsyncIterator[int]:
    """The port of a server that hands each connection to `handler`, and closes it behind that."""
    under_way: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    tls = certificate.for_server() if certificate else None
    server = await asyncio.start_server(run, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


@asynccontextmanager
async def reach(
    handler: Handler, *, headers: dict[str, str] | None = None, read_timeout_s: float = 5
) -> AsyncIterator[Endpoint]:
    """The endpoint of a server with this handler."""
    with anyio.fail_after(5):
        async with (
            serve(handler) as port,
            open_endpoint(
                f"http://127.0.0.1:{port}/mcp", headers=headers or {}, read_timeout_s=read_timeout_s
            ) as reached,
        ):
            yield reached


def saying(*parts: bytes) -> Handler:
    """Answers one request by these parts, each sent by itself, and then closes the connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await anyio.lowlevel.checkpoint()

    return handler


async def asked(reader: asyncio.StreamReader) -> str:
    """The head of the next request, of which the body has been read as well."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    await reader.readexactly(int(dict(fields(head)).get("content-length", "0")))
    return head


def fields(head: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])]


async def post(reached: Endpoint, *, bytes_max: int = 1_000_000) -> tuple[int, bytes]:
    with await reached.request("POST", headers={}, body=b"{}") as response:
        return response.status, await whole_of(response, bytes_max=bytes_max)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [OK],
        [bytes([byte]) for byte in OK],
        [CHUNKED, b"1\r\n{\r\n1\r\n}\r\n", b"0\r\n\r\n"],
        [CHUNKED + b"1;why=not\r\n{\r\n1  \r\n}\r\n0\r\ntrailer: x\r\n\r\n"],
        [b"HTTP/1.0 200 OK\r\n\r\n{", b"}"],
        [b"HTTP/1.1 200 OK\r\n\r\n{}"],
        [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\ncontent-length: 7\r\n\r\n" + OK],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK],
        [OK.replace(b"\r\n", b"\n")],
        [b"HTTP/1.1 200\r\nContent-Length:2\r\nX: \xff\xfe\r\n\r\n{}"],
        [OK + b"HTTP/1.1 200 OK\r\n\r\nand another one"],
    ],
    ids=[
        "at once",
        "byte by byte",
        "in chunks",
        "in chunks with extensions",
        "until the end, 1.0",
        "until the end, 1.1",
        "behind hints",
        "behind a continue",
        "by bare line feeds",
        "in odd headers",
        "with more behind it",
    ],
)
async def test_a_body_is_read_however_it_comes(parts: list[bytes]) -> None:
    async with reach(saying(*parts)) as reached:
        assert await post(reached) == (200, b"{}")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "connection broke before it answered"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"], "connection broke before it answered"),
        ([CHUNKED + b"2\r\n{}\r\n"], "connection broke before it answered"),
        ([CHUNKED + b"zz\r\n{}\r\n"], "not HTTP"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], "not HTTP"),
        ([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000], "head that does not end"),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000 + b"\r\n"], "head that does not end"),
        ([CHUNKED + b"2\r\n{}\r\n0\r\n", *[b"x: " + b"x" * 7_000] * 11], "head that does not end"),
        ([b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\n{}"], "encoding 'br'"),
        ([b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"], "cannot be unpacked"),
        (
            [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", gzip.compress(b"{}")[:12]],
            "middle of something packed",
        ),
    ],
)
async def test_a_response_that_is_none_is_told_in_a_sentence(parts: list[bytes], said: str) -> None:
    async with reach(saying(*parts)) as reached:
        with pytest.raises(UpstreamUnavailable, match=said):
            await post(reached)


async def test_a_packed_body_is_unpacked_no_further_than_it_may_be_long() -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(32)) + packer.flush()
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    whole = gzip.compress(b"x" * 200_000)
    fits = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(whole)

    async with reach(saying(fits + whole)) as reached:
        assert await post(reached) == (200, b"x" * 200_000)
    async with reach(saying(head, packed)) as reached:
        with pytest.raises(UpstreamUnavailable, match="more than 1000000 bytes"):
            await post(reached)


async def test_no_more_is_read_than_there_is_somebody_to_read_it() -> None:
    sent = 0
    stalled = anyio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stalled.is_set():
            writer.write(bytes(1 << 16))
            sent += 1 << 16
            with anyio.move_on_after(0.2) as patience:
                await writer.drain()
            if patience.cancelled_caught:
                stalled.set()
        writer.transport.abort()

    async with reach(handler) as reached:
        with await reached.request("GET", headers={}) as response:
            await stalled.wait()
            taken = len(await response.read())
    # The rest is in the buffers of the system.
    assert taken < 1 << 20 < sent


async def test_a_connection_is_used_again_only_while_nothing_has_happened_to_it() -> None:
    connections = 0
    done = anyio.Event()
    what_next = ""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await asked(reader)
            if what_next == "said to end":
                writer.write(OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
                continue
            writer.write(OK)
            await writer.drain()
            if what_next == "ended":
                return
            if what_next == "said more":
                writer.write(OK)
                await writer.drain()
                done.set()

    async with reach(handler) as reached:
        for deed, expected in [("kept", 1), ("kept", 1), ("ended", 1), ("kept", 2), ("said to end", 2)]:
            what_next = deed
            await post(reached)
            assert connections == expected
        what_next = "said more"
        await post(reached)
        await done.wait()
        what_next = "kept"
        await post(reached)
        assert connections == 4


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "KEEP_ALIVE_S", 0.02)
    gone = anyio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK)
        assert await reader.read() == b""
        gone.set()

    async with reach(handler) as reached:
        await post(reached)
        await gone.wait()


async def test_a_response_that_is_left_early_ends_its_connection() -> None:
    gone = anyio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(CHUNKED.replace(b"\r\n", b"\r\ncontent-type: text/event-stream\r\n", 1) + b"2\r\n: \r\n")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        gone.set()

    async with reach(handler) as reached:
        with await reached.request("GET", headers={}) as response:
            assert response.content_type == "text/event-stream"
            assert await response.read() == b": "
        await gone.wait()


async def test_what_is_under_way_ends_with_the_endpoint() -> None:
    begun = anyio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        begun.set()
        await reader.read()

    async def ask(reached: Endpoint) -> None:
        with pytest.raises(Ended):
            await post(reached)

    async with anyio.create_task_group() as tasks, reach(handler) as reached:
        tasks.start_soon(ask, reached)
        await begun.wait()


async def test_silence_in_a_response_has_an_end() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pause_s in (0.0, 0.0, 30.0):
            await asked(reader)
            await anyio.sleep(pause_s)
            writer.write(OK)

    async with reach(handler, read_timeout_s=0.1) as reached:
        await post(reached)
        await post(reached)
        with pytest.raises(Ended, match="silent for too long"):
            await post(reached)


async def test_a_cookie_is_sent_along_until_it_is_taken_back() -> None:
    sent: list[str | None] = []
    cookies = [
        b"route=7; Path=/; HttpOnly",
        b"other=1; Path=/elsewhere",
        b"route=; Max-Age=0; Path=/",
        b"=;;;",
    ]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for cookie in cookies:
            sent.append(dict(fields(await asked(reader))).get("cookie"))
            writer.write(OK.replace(b"\r\n", b"\r\nSet-Cookie: " + cookie + b"\r\n", 1))

    async with reach(handler, headers={"Cookie": "ours=1"}) as reached:
        for _ in cookies:
            await post(reached)
    assert sent == ["ours=1", "ours=1; route=7", "ours=1; route=7", "ours=1"]


async def test_headers_of_the_entry_are_sent_and_a_name_and_password_too() -> None:
    heads: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await asked(reader))
        writer.write(OK)

    async with serve(handler) as port:
        url = f"http://someone:s%40fe@127.0.0.1:{port}/a%20b?q=1#part"
        async with open_endpoint(url, headers={"X-Key": "é"}, read_timeout_s=5) as reached:
            await post(reached)
    assert heads[0].startswith("POST /a%20b?q=1 HTTP/1.1\r\n")
    sent = dict(fields(heads[0]))
    assert sent["host"] == f"127.0.0.1:{port}"
    assert sent["authorization"] == "Basic c29tZW9uZTpzQGZl"
    assert sent["x-key"] == "é"


@pytest.mark.parametrize(
    ("url", "headers", "said"),
    [
        ("http://[::1/mcp", {}, '"url" is not one'),
        ("http:///mcp", {}, '"url" is not one'),
        ("http://127.0.0.1/", {"Authorization": "Bearer x\n"}, "'Authorization' has a line break in it"),
    ],
)
async def test_what_cannot_be_sent_is_refused_at_once(url: str, headers: dict[str, str], said: str) -> None:
    with pytest.raises(UpstreamUnavailable, match=said):
        async with open_endpoint(url, headers=headers, read_timeout_s=5):
            raise AssertionError


async def test_a_server_is_reached_by_any_address_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(saying(OK), host="::1") as port:
        dead = ("127.0.0.1", port)
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", dead),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        ]

        async def both(*_: object, **__: object) -> list[object]:
            return list(found)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        async with open_endpoint(f"http://localhost:{port}/", headers={}, read_timeout_s=5) as reached:
            assert await post(reached) == (200, b"{}")
    monkeypatch.undo()
    async with (
        serve(saying(OK), host="::1") as port,
        open_endpoint(f"http://[::1]:{port}/", headers={}, read_timeout_s=5) as reached,
    ):
        assert await post(reached) == (200, b"{}")


async def test_a_certificate_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = certificate_for("127.0.0.1", tmp_path)
    async with serve(saying(OK), certificate=ours) as port:
        url = f"https://127.0.0.1:{port}/"
        async with open_endpoint(url, headers={}, read_timeout_s=5) as reached:
            with pytest.raises(NotSent, match="certificate is not to be trusted"):
                await post(reached)
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
        async with open_endpoint(url, headers={}, read_timeout_s=5) as reached:
            assert await post(reached) == (200, b"{}")
    other = certificate_for("elsewhere.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.path))
    async with (
        serve(saying(OK), certificate=other) as port,
        open_endpoint(f"https://127.0.0.1:{port}/", headers={}, read_timeout_s=5) as reached,
    ):
        with pytest.raises(NotSent, match="certificate is not to be trusted"):
            await post(reached)


async def test_a_server_without_tls_is_told_apart() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        serve(handler) as port,
        open_endpoint(f"https://127.0.0.1:{port}/", headers={}, read_timeout_s=5) as reached,
    ):
        with pytest.raises(NotSent, match="does not speak TLS"):
            await post(reached)


class Proxy:
    """A proxy that passes on what it is asked for, and notes it."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.heads: list[str] = []
        self._refuses = refuses

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        verb, target, _ = head.split(" ", 2)
        if self._refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        place = target if verb == "CONNECT" else target.split("/")[2]
        host, _, port = place.rpartition(":")
        there, to = await asyncio.open_connection(host, int(port))
        if verb == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            to.write(head.encode())
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pass_on(reader, to))
                ways.create_task(_pass_on(there, writer))
        finally:
            to.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@pytest.mark.parametrize("is_secure", [False, True])
async def test_the_proxy_of_the_environment_is_used(
    is_secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    certificate = certificate_for("127.0.0.1", tmp_path) if is_secure else None
    scheme = "https" if is_secure else "http"
    if certificate is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with serve(saying(OK), certificate=certificate) as port, serve(proxy) as proxy_port:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:pw@127.0.0.1:{proxy_port}")
        url = f"{scheme}://127.0.0.1:{port}/mcp"
        async with open_endpoint(url, headers={"x-secret": "s"}, read_timeout_s=5) as reached:
            assert await post(reached) == (200, b"{}")
    (head,) = proxy.heads
    asked_for = f"CONNECT 127.0.0.1:{port} " if is_secure else f"POST {url} "
    assert head.startswith(asked_for)
    assert dict(fields(head))["proxy-authorization"] == "Basic bWU6cHc="
    assert ("x-secret" in dict(fields(head))) is not is_secure


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dead", "the proxy does not answer"),
        ("refusing", "proxy refuses the way to it with HTTP status 407"),
        ("socks5", "of the kind 'socks5'"),
    ],
)
async def test_a_proxy_that_is_of_no_use_is_told_from_the_server(
    kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with serve(Proxy(refuses=True)) as port:
        closed = socket.create_server(("127.0.0.1", 0))
        there = {"dead": closed.getsockname()[1]}.get(kind, port)
        closed.close()
        monkeypatch.setenv("https_proxy", f"{'socks5' if kind == 'socks5' else 'http'}://127.0.0.1:{there}")
        async with open_endpoint("https://127.0.0.1:1/", headers={}, read_timeout_s=5) as reached:
            with pytest.raises(UpstreamUnavailable, match=said):
                await post(reached)
