"""The main job on real input, narrated step by step; `scripts/demo` runs it.

It is a client like any other: it talks to a real server process over stdio, and it checks every claim it
prints. A step that does not hold ends it with status 1.
"""

import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import anyio
from mcp import Client
from mcp.shared.exceptions import MCPError
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.rule import Rule
from serving import KOMOREBI, CallFailed, call, connect_stdio, text_of

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM = ROOT / "examples" / "workspace_server.py"
UPSTREAM_NAME = "workspace"
DOCS_PROJECT = "standard library"
LOG_PROJECT = "komorebi"
MODULES = (
    "argparse", "asyncio.locks", "asyncio.queues", "bdb", "collections", "concurrent.futures",
    "configparser", "contextlib", "csv", "decimal", "difflib", "email.message", "enum", "fractions",
    "functools", "heapq", "http.client", "inspect", "json.decoder", "json", "logging", "mailbox",
    "multiprocessing.pool", "pickle", "pprint", "queue", "random", "re", "sched", "secrets", "shelve",
    "signal", "sqlite3", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap",
    "threading", "timeit", "traceback", "typing", "unittest", "urllib.request", "uuid", "weakref",
    "zipfile",
)  # fmt: skip
DOCUMENTED_CHARS_MIN = 120
TEXTS_MAX = 36
COMMITS_MAX = 12
IN_FLIGHT = 8
PATIENCE_S = 50.0

out = Console(highlight=False, width=min(Console().width, 110))


class StepFailed(Exception):
    """Something this walk promises does not hold."""


class Text(NamedTuple):
    """A text to capture, and what is known of it."""

    content: str
    title: str
    project: str
    source: str


def require(holds: object, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)


def step(heading: str, explanation: str) -> None:
    out.print()
    out.print(Rule(f"[bold]{heading}[/]", align="left", style="dim"))
    out.print(explanation, style="dim")


def module_docs() -> Iterator[Text]:
    """What the standard library says about itself."""
    for name in MODULES:
        documentation = inspect.getdoc(importlib.import_module(name)) or ""
        if len(documentation) >= DOCUMENTED_CHARS_MIN:
            yield Text(documentation, f"The module {name}", DOCS_PROJECT, f"python:{name}")


def commits() -> Iterator[Text]:
    """This repository's log, where it is a repository and git is there."""
    git = shutil.which("git")
    if git is None:
        return
    log = subprocess.run(
        [git, "-C", str(ROOT), "log", f"-{COMMITS_MAX}", "--format=%h%x1f%s%x1f%b%x1e"],
        capture_output=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    for record in log.stdout.split("\x1e") if log.returncode == 0 else ():
        sha, _, rest = record.strip().partition("\x1f")
        subject, _, body = rest.partition("\x1f")
        if subject:
            yield Text(f"{subject}\n\n{body}".strip(), subject[:300], LOG_PROJECT, f"git:{sha}")


async def capture_all(client: Client, texts: list[Text]) -> dict[str, Text]:
    """Captures every text, a few at a time; which id each one got."""
    kept: dict[str, Text] = {}
    took_ms: list[float] = []
    limiter = anyio.CapacityLimiter(IN_FLIGHT)

    async def one(text: Text) -> None:
        async with limiter:
            began = time.perf_counter()
            receipt = await call(client, "capture", **text._asdict(), tags=["demo"], key=text.source)
            took_ms.append((time.perf_counter() - began) * 1e3)
        require(receipt["created"], f"{text.source} was answered as known already, in an empty store.")
        kept[receipt["id"]] = text

    async with anyio.create_task_group() as group:
        for text in texts:
            group.start_soon(one, text)
    out.print(
        f"  [green]{len(kept)}[/] texts acknowledged, {sum(len(t.content) for t in texts):,} characters; "
        f"median [green]{median(took_ms):.1f} ms[/] with {IN_FLIGHT} in flight"
    )
    again = await call(client, "capture", **texts[0]._asdict(), key=texts[0].source)
    require(not again["created"] and again["id"] in kept, "The same key made a second capture.")
    out.print(
        "  the first one, sent again under its key: [green]the earlier receipt came back[/], nothing doubled"
    )
    return kept


async def watch_the_inbox(client: Client, captured: int) -> None:
    with (
        anyio.fail_after(PATIENCE_S),
        Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.completed} of {task.total}"),
            console=out,
        ) as bar,
    ):
        task = bar.add_task("enriched", total=captured)
        while waiting := len((await call(client, "list_captures", status="inbox", limit=100))["captures"]):
            bar.update(task, completed=captured - min(waiting, captured))
            await anyio.sleep(0.05)
        bar.update(task, completed=captured)


async def search(client: Client, query: str) -> dict[str, Any]:
    """Shows the best hits and gives back the first."""
    found = await call(client, "search_captures", query=query, limit=3)
    require(found["hits"], f"Nothing was found for “{query}”.")
    out.print(f"  [bold]{escape(query)}[/]")
    for hit in found["hits"]:
        snippet = re.sub(r"\*\*(.+?)\*\*", r"[bold yellow]\1[/]", escape(" ".join(hit["snippet"].split())))
        out.print(f"  [cyan]{hit['score']:6.2f}[/]  {escape(hit['title'])}")
        out.print(Padding(f"[dim]{snippet}[/]", (0, 0, 0, 10)))
    best: dict[str, Any] = found["hits"][0]
    return best


async def summarize(client: Client, kept: dict[str, Text], **scope: Any) -> None:
    """Shows a summary with its citations, having checked each against the text it cites."""
    summary = await call(client, "summarize", **scope)
    require(summary["sentences"], "The summary is empty.")
    numbers: dict[str, int] = {}
    body: list[str] = []
    for sentence in summary["sentences"]:
        said = " ".join(sentence["text"].split())
        cited = [kept[source] for source in sentence["sources"] if source in kept]
        require(cited and len(cited) == len(sentence["sources"]), "A sentence cites what was never captured.")
        require(
            any(said in " ".join(text.content.split()) for text in cited),
            f"A sentence is not in the text it cites: {said}",
        )
        marks = "".join(f"[{numbers.setdefault(source, len(numbers) + 1)}]" for source in sentence["sources"])
        body.append(f"{escape(said)} [cyan]{escape(marks)}[/]")
    out.print(Padding(Panel("\n\n".join(body), style="default", border_style="dim"), (0, 0, 0, 2)))
    for source, number in numbers.items():
        out.print(f"  [cyan]{escape(f'[{number}]')}[/] [dim]{source}[/]  {escape(kept[source].title)}")
    out.print(
        f"  method [green]{summary['method']}[/], made from {summary['covers']['captures']} captures; "
        "checked: every sentence stands [green]letter for letter[/] in a text it cites"
    )


async def ask_the_upstream(client: Client) -> str:
    """Calls another server's tool through this one, keeps its result, and gives back the id."""
    tools: list[str] = []
    theirs: list[str] = []
    # The list never waits for a server that is slow to start, as it is on a busy machine.
    with anyio.move_on_after(PATIENCE_S):
        while not theirs:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            theirs = [name for name in tools if name.startswith(f"{UPSTREAM_NAME}__")]
            await anyio.sleep(0.05)
    require(theirs, f"The upstream's tools are not listed; there are only {', '.join(tools)}.")
    own = len(tools) - len(theirs)
    out.print(f"  {own} tools of our own, and of the upstream: [green]{escape(', '.join(theirs))}[/]")
    tool = f"{UPSTREAM_NAME}__word_count"
    result = await client.call_tool(tool, {"text": (ROOT / "LICENSE").read_text()})
    answer = text_of(result)
    require(not result.is_error and answer.strip(), f"{tool} failed: {answer}")
    out.print(f"  [bold]{tool}[/] on this repository's LICENSE answered: {escape(' '.join(answer.split()))}")
    receipt = await call(
        client,
        "capture",
        content=answer,
        kind="tool_result",
        source=f"{UPSTREAM_NAME}/word_count",
        tags=["demo"],
    )
    read = await call(client, "read_captures", ids=[receipt["id"]])
    require(read["captures"][0]["content"] == answer, "The stored result is not what the upstream answered.")
    out.print(f"  kept as [green]{receipt['uri']}[/] (kind tool_result), and read back unchanged")
    return str(receipt["id"])


async def forget(client: Client, capture_id: str) -> None:
    gone = await call(client, "forget_captures", ids=[capture_id], confirm=True)
    require(gone["forgotten"] == 1, "It was not forgotten.")
    try:
        await call(client, "read_captures", ids=[capture_id])
    except CallFailed as refusal:
        said = escape(str(refusal).partition(": ")[2])
        out.print(f"  forgotten; asked for it again, the server says: [italic]{said}[/]")
    else:
        raise StepFailed("A forgotten capture can still be read.")


async def walk(home: Path) -> None:
    config = {
        "mcpServers": {
            UPSTREAM_NAME: {"command": sys.executable, "args": [str(UPSTREAM), "--root", str(ROOT)]}
        }
    }
    (home / "upstreams.json").write_text(json.dumps(config))
    step("1  Start", f"[bold]komorebi-mcp serve[/] over stdio, its home a temporary folder: {home}")
    began = time.perf_counter()
    async with connect_stdio(KOMOREBI, home=home) as client:
        tools = (await client.list_tools()).tools
        out.print(
            f"  {client.server_info.title or client.server_info.name if client.server_info else 'server'} "
            f"{client.server_info.version if client.server_info else ''} answered after "
            f"[green]{time.perf_counter() - began:.2f} s[/], speaking MCP {client.protocol_version}"
        )
        require(any(tool.name == "capture" for tool in tools), "There is no tool named capture.")

        texts = [*list(module_docs())[:TEXTS_MAX], *commits()]
        step(
            "2  Capture",
            "The standard library's documentation, this repository's log. What is acknowledged is on disk.",
        )
        kept = await capture_all(client, texts)

        step(
            "3  The inbox empties",
            "In the background each text gets its tokens, entities, keywords and its place in the index.",
        )
        await watch_the_inbox(client, len(kept))

        step("4  Search", "Any words will do.")
        await search(client, "start a process and read its output")
        await search(client, "priority queue, smallest item first")

        step("5  Summarize", "Verbatim sentences within 220 tokens, each with the captures it comes from.")
        await summarize(
            client, kept, project=DOCS_PROJECT, query="text parsing and formatting", max_tokens=220
        )

        step(
            "6  Another server, through this one",
            f"{UPSTREAM.relative_to(ROOT)} is configured as an upstream.",
        )
        result_id = await ask_the_upstream(client)

        step("7  Forget", "Text, index entries and the summaries that told of it.")
        await forget(client, result_id)


def walk_through(home: Path) -> list[BaseException]:
    """What did not hold on the way; empty when everything did."""
    failures: list[BaseException] = []
    try:
        anyio.run(walk, home)
    except* (StepFailed, CallFailed, MCPError, TimeoutError, OSError) as group:
        failures.extend(_leaves(group))
    return failures


def main() -> int:
    began = time.perf_counter()
    out.print(
        Panel(
            "[bold]Komorebi[/]: captured at once, found again, told in brief, with sources",
            border_style="green",
            expand=False,
        )
    )
    with tempfile.TemporaryDirectory(prefix="komorebi-demo-") as home:
        failures = walk_through(Path(home))
    for failure in failures:
        out.print(f"\n[bold red]The demo stopped:[/] {escape(str(failure) or type(failure).__name__)}")
    if failures:
        return 1
    out.print()
    out.print(Rule(style="dim"))
    took_s = time.perf_counter() - began
    out.print(f"Done in {took_s:.1f} s; the temporary folder is gone. Next: “Five minutes” in README.md.")
    return 0


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner


if __name__ == "__main__":
    sys.exit(main())
