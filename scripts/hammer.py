"""Load on the real product, and an account of it: what was acknowledged is there, once, unaltered.

Over stdio, N server processes work on one SQLite file, as several desktop clients would have it; over HTTP,
N client sessions talk to one server. Prints what it measured and ends with status 1 if anything is missing,
doubled, altered, left unenriched, said in a summary without backing, or answered with an error.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

import anyio
from dishonest import lie, serve_liar
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CreateMessageRequestParams, CreateMessageResult, TextContent
from serving import KOMOREBI, CallFailed, Era, Transport, call, connect_http, connect_stdio, serve_http
from synthetic import SyntheticText, texts

from komorebi_mcp.summarizers.grounding import unsupported

IN_FLIGHT = 32
CALL_TIMEOUT_S = 60.0
RETRIED_EVERY = 10
"""Every tenth capture is sent again under its key, while the first call may still be under way."""
READ_TOKENS = 25_000
LIST_LIMIT = 100
QUERIES = (
    "what was decided about billing",
    "errors in the importer",
    "stale rows cache release",
    "予算 会議",
)


@dataclass
class Account:
    """What happened, counted."""

    captured: int = 0
    seconds: float = 0.0
    per_second: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    enriched_after_s: float = 0.0
    searches_p95_ms: float = 0.0
    sentences: int = 0
    rejected: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    lost: int = 0
    altered: int = 0
    doubled: int = 0
    unenriched: int = 0
    unsupported: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not (
            self.errors or self.lost or self.altered or self.doubled or self.unenriched or self.unsupported
        )

    def blame(self, error: BaseException) -> None:
        self.errors += 1
        self.reasons[f"{type(error).__name__}: {error}"[:200]] += 1


async def lent_liar(
    context: ClientRequestContext,  # noqa: ARG001 - the SDK's signature of a callback.
    params: CreateMessageRequestParams,
) -> CreateMessageResult:
    """What a client's model answers that lies."""
    blocks = params.messages[-1].content_as_list
    text = lie("\n".join(block.text for block in blocks if isinstance(block, TextContent)))
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text=text), model="liar")


@asynccontextmanager
async def open_clients(
    transport: Transport, processes: int, *, era: Era, home: Path, settings: Mapping[str, str]
) -> AsyncIterator[list[Client]]:
    model = lent_liar if settings.get("KOMOREBI_SUMMARIZER") == "client" else None
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            sessions = [
                connect_stdio(KOMOREBI, home=home, era=era, settings=settings, model=model)
                for _ in range(processes)
            ]
        else:
            http = serve_http((*KOMOREBI, "--transport", "http"), home=home, settings=settings)
            url = await stack.enter_async_context(http)
            sessions = [connect_http(url, era=era, model=model) for _ in range(processes)]
        yield [await stack.enter_async_context(session) for session in sessions]


async def each(items: Sequence[Any], do: Callable[[Any], Any], account: Account) -> None:
    """Does it for every item, `IN_FLIGHT` at a time; a failing one is counted and the others go on."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            try:
                with anyio.fail_after(CALL_TIMEOUT_S):
                    await do(item)
            except (CallFailed, MCPError, TimeoutError) as error:
                account.blame(error)

    async with anyio.create_task_group() as group:
        for _ in range(min(IN_FLIGHT, len(items))):
            group.start_soon(work)


async def capture_all(
    clients: Sequence[Client], load: Sequence[SyntheticText], account: Account
) -> dict[str, SyntheticText]:
    """Sends everything; which id each acknowledged text got."""
    acknowledged: dict[str, SyntheticText] = {}
    ids_of: dict[str, set[str]] = {}
    took_ms: list[float] = []
    turns = cycle(clients)

    async def capture(text: SyntheticText) -> None:
        began = time.perf_counter()
        receipt = await call(next(turns), "capture", **text._asdict())
        took_ms.append((time.perf_counter() - began) * 1e3)
        acknowledged[receipt["id"]] = text
        ids_of.setdefault(text.key, set()).add(receipt["id"])

    calls = [text for index, text in enumerate(load) for _ in range(2 if index % RETRIED_EVERY == 0 else 1)]
    began = time.perf_counter()
    await each(calls, capture, account)
    account.seconds = time.perf_counter() - began
    account.captured = len(ids_of)
    account.per_second = len(took_ms) / account.seconds
    account.doubled += sum(len(ids) - 1 for ids in ids_of.values())
    if len(took_ms) > 1:
        cuts = quantiles(took_ms, n=100, method="inclusive")
        account.p50_ms, account.p95_ms, account.p99_ms, account.max_ms = (
            cuts[49],
            cuts[94],
            cuts[98],
            max(took_ms),
        )
    return acknowledged


async def await_enrichment(client: Client, account: Account, wait_s: float) -> None:
    began = time.perf_counter()
    with anyio.move_on_after(wait_s):
        while await _inbox(client):  # noqa: ASYNC110  # Another process empties it.
            await anyio.sleep(0.05)
    account.enriched_after_s = time.perf_counter() - began


async def _inbox(client: Client) -> list[Any]:
    waiting: list[Any] = (await call(client, "list_captures", status="inbox", limit=1))["captures"]
    return waiting


async def read_back(
    clients: Sequence[Client], acknowledged: dict[str, SyntheticText], account: Account
) -> None:
    """Counts what is gone, altered or unenriched, and what is there beyond what was acknowledged."""
    turns = cycle(clients)

    async def read(capture_id: str) -> None:
        try:
            content, status = await _read_whole(next(turns), capture_id)
        except CallFailed as error:
            account.lost += 1
            account.reasons[str(error)[:200]] += 1
            return
        account.altered += content != acknowledged[capture_id].content
        account.unenriched += status == "inbox"

    await each(list(acknowledged), read, account)
    stored = sum(
        project["captures"]
        for project in (await call(clients[0], "list_projects", limit=LIST_LIMIT))["projects"]
    )
    # list_projects counts every row, so that a text stored twice shows even where lists fold it.
    account.doubled += max(stored - len(acknowledged), 0)
    account.lost += max(len(acknowledged) - stored, 0) if not account.lost else 0


async def _read_whole(client: Client, capture_id: str) -> tuple[str, str]:
    """A capture's content, page by page, and its status."""
    content, offset = "", 0
    while True:
        page = await call(client, "read_captures", ids=[capture_id], max_tokens=READ_TOKENS, offset=offset)
        content += page["captures"][0]["content"]
        if page.get("next_offset") is None:
            return content, page["captures"][0]["status"]
        offset = page["next_offset"]


async def search_and_summarize(
    clients: Sequence[Client], acknowledged: dict[str, SyntheticText], account: Account
) -> None:
    took_ms: list[float] = []
    turns = cycle(clients)

    async def search(query: str) -> None:
        began = time.perf_counter()
        await call(next(turns), "search_captures", query=query)
        took_ms.append((time.perf_counter() - began) * 1e3)

    async def summarize(scope: dict[str, Any]) -> None:
        summary = await call(next(turns), "summarize", **scope)
        account.methods[summary["method"]] += 1
        account.rejected += summary["rejected"]
        for sentence in summary["sentences"]:
            account.sentences += 1
            cited = [acknowledged[source] for source in sentence["sources"] if source in acknowledged]
            if len(cited) < len(sentence["sources"]):
                account.blame(CallFailed("summarize: it cites a capture that was never acknowledged"))
            backing = [part for text in cited for part in _known(text)]
            for atom in unsupported(sentence["text"], backing):
                account.unsupported += 1
                account.reasons[f"unsupported {atom!r}"] += 1

    await each([*QUERIES] * 8, search, account)
    projects = sorted({text.project for text in acknowledged.values()})
    await each([{"project": p} for p in projects] + [{"query": q} for q in QUERIES], summarize, account)
    if len(took_ms) > 1:
        account.searches_p95_ms = quantiles(took_ms, n=100, method="inclusive")[94]


def _known(text: SyntheticText) -> tuple[str, str]:
    """All that is known of a capture, which a sentence that cites it may tell."""
    return text.content, text.project


async def hammer(options: argparse.Namespace) -> Account:
    account = Account()
    load = list(texts(options.size, seed=options.seed))
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="komorebi-hammer-"))
        settings = {"KOMOREBI_DATABASE_URL": options.database_url} if options.database_url else {}
        settings["KOMOREBI_SUMMARIZER"] = options.summarizer
        if options.summarizer == "openai":
            settings["KOMOREBI_OPENAI_BASE_URL"] = stack.enter_context(serve_liar())
            settings["KOMOREBI_MODEL"] = "liar"
        async with open_clients(
            options.transport, options.processes, era=options.era, home=Path(home), settings=settings
        ) as clients:
            acknowledged = await capture_all(clients, load, account)
            await await_enrichment(clients[0], account, options.wait)
            await read_back(clients, acknowledged, account)
            await search_and_summarize(clients, acknowledged, account)
    return account


def report(account: Account, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps({**vars(account), "clean": account.clean}))
        return
    who = "stdio processes on one file" if options.transport == "stdio" else "sessions of one HTTP server"
    print(f"{options.size} texts, {options.era} era, {options.processes} {who}, {IN_FLIGHT} in flight")
    print(f"  captured     {account.captured} in {account.seconds:.2f} s, {account.per_second:.0f} calls/s")
    print(
        f"  latency      p50 {account.p50_ms:.1f}  p95 {account.p95_ms:.1f}  "
        f"p99 {account.p99_ms:.1f}  max {account.max_ms:.1f} ms"
    )
    print(f"  enriched     {account.enriched_after_s:.2f} s after the last acknowledgement")
    print(f"  search       p95 {account.searches_p95_ms:.1f} ms, {IN_FLIGHT} in flight")
    who = ", ".join(f"{times} by {method}" for method, times in sorted(account.methods.items()))
    print(f"  summaries    {who}: {account.sentences} sentences, {account.rejected} rejected")
    for name in ("errors", "lost", "altered", "doubled", "unenriched", "unsupported"):
        print(f"  {name:12} {getattr(account, name)}")
    for reason, times in account.reasons.most_common(10):
        print(f"    {times} times: {reason}")
    print("clean" if account.clean else "NOT CLEAN")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=500, help="how many texts (default 500)")
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    parser.add_argument(
        "--processes",
        type=int,
        default=2,
        help="servers on one file, or sessions of one HTTP server (default 2)",
    )
    parser.add_argument("--era", choices=("handshake", "modern"), default="modern")
    parser.add_argument("--database-url", help="an empty database instead of SQLite in a temporary home")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--wait", type=float, default=60.0, help="seconds that enrichment may take (default 60)"
    )
    parser.add_argument(
        "--summarizer",
        choices=("extractive", "openai", "client"),
        default="extractive",
        help="with openai and client, the model is one that lies",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    account = anyio.run(partial(hammer, options))
    report(account, options)
    return 0 if account.clean else 1


if __name__ == "__main__":
    sys.exit(main())
