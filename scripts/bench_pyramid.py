"""What a pyramid costs, all of it and one more capture, computed alone and stored; and a summary of it.

The captures are made up, and go in by way of the storage. Figures are milliseconds that this process itself
computed, and of summaries wall-clock time as well; they are of this machine only.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

import anyio
from synthetic import texts

from komorebi_mcp.background.worker import Worker
from komorebi_mcp.domain.captures import CaptureCreate, CaptureText, Kind
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.domain.nodes import Leaf, Node, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, beside
from komorebi_mcp.domain.summaries import Scope
from komorebi_mcp.services.compact import LEAVES_MAX, Compact
from komorebi_mcp.services.enrich import enrich
from komorebi_mcp.services.nodes import make_nodes
from komorebi_mcp.services.summarize import Summarize
from komorebi_mcp.storage.store import Store, open_store
from komorebi_mcp.text.language import detect_language

_OWNER = "local"
_PROJECT = "p"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CHARS_MAX = 2_000
"""Long texts cost in proportion to their length, whatever is done with them."""
_MORE = 20
"""Captures that come one at a time."""
_BATCH = 500


def made_up(size: int) -> Iterator[CaptureCreate]:
    plain = (text for text in texts(2 * size, seed=1, projects=1) if len(text.content) <= _CHARS_MAX)
    for number, text in enumerate(islice(plain, size)):
        yield CaptureCreate(
            content=text.content,
            kind=Kind(text.kind),
            project=_PROJECT,
            created_at=_START + timedelta(minutes=number),
        )


def captures(size: int) -> list[CaptureText]:
    """The same as they are read to be summarized, once they are enriched."""
    return [
        CaptureText(
            id=f"{number}",
            title="",
            content=made.content,
            source=None,
            kind=made.kind,
            language=detect_language(made.content),
            created_at=made.created_at or _START,
        )
        for number, made in enumerate(made_up(size))
    ]


def work_on(leaves: range, held: Sequence[CaptureText], nodes: Mapping[Place, Node]) -> Work:
    """What there is to do where these leaves of all that is `held` are due, and those to their right."""
    positions = range(leaves.start // FAN_OUT * FAN_OUT, leaves.stop)
    due_next = leaves.stop if leaves.stop < len(held) else None
    places = beside(leaves, len(held), due_next=due_next)
    return Work(
        project_id=1,
        project=_PROJECT,
        size=len(held),
        due_next=due_next,
        leaves=tuple(Leaf(position=at, edited=1, capture=held[at]) for at in positions),
        places=tuple(places),
        nodes={place: nodes[place] for place in places if place in nodes},
    )


def compute(held: Sequence[CaptureText], size: int) -> None:
    """Tells what nodes cost without a database: all over `size` captures, then those above one more."""
    nodes: dict[Place, Node] = {}
    took_s = sum(
        _computed_s(work_on(range(start, min(start + LEAVES_MAX, size)), held[:size], nodes), nodes)
        for start in range(0, size, LEAVES_MAX)
    )
    print(f"computed over {size:,}: {len(nodes):,} nodes, {took_s:.2f} s")
    took_ms = [
        1e3 * _computed_s(work_on(range(one, one + 1), held[: one + 1], nodes), nodes)
        for one in range(size, size + _MORE)
    ]
    print(f"  one more: {median(took_ms):.1f} ms, at most {max(took_ms):.1f}")


def _computed_s(work: Work, nodes: dict[Place, Node]) -> float:
    """How long the work takes; what it makes is added to `nodes`."""
    began = time.process_time()
    made, _ = make_nodes(work)
    took_s = time.process_time() - began
    nodes |= {node.place: Node(**dict(node), id="") for node in made}
    return took_s


async def keep(store: Store, size: int) -> None:
    """Tells what enrichment, nodes and summaries of `size` captures cost with a database."""
    worker = Worker(store, enrich, clock=utc_now)
    compact = Compact(store)
    summarize = Summarize(store)
    items = made_up(size + _MORE)
    first = islice(items, size)
    while batch := list(islice(first, _BATCH)):
        await store.take_in(_OWNER, batch)
    began = time.process_time()
    while await worker.work_once():
        pass
    took_s = time.process_time() - began
    print(f"enriched: {1e3 * took_s / size:.2f} ms a capture")
    began, steps = time.process_time(), 0
    while await compact.step():
        steps += 1
    took_s = time.process_time() - began
    print(f"compacted: {took_s:.2f} s in {steps} steps")
    took_ms: list[float] = []
    for one in items:
        await store.take_in(_OWNER, [one])
        await worker.work_once()
        began = time.process_time()
        while await compact.step():
            pass
        took_ms.append(1e3 * (time.process_time() - began))
    print(f"  one more: {median(took_ms):.1f} ms, at most {max(took_ms):.1f}")
    for what, refresh in (("a summary made", True), ("given again", False)):
        computed_ms: list[float] = []
        waited_ms: list[float] = []
        for _ in range(_MORE):
            began, began_cpu = time.perf_counter(), time.process_time()
            await summarize.summarize(_OWNER, Scope(project=_PROJECT), refresh=refresh)
            waited_ms.append(1e3 * (time.perf_counter() - began))
            computed_ms.append(1e3 * (time.process_time() - began_cpu))
        print(f"{what}: {median(computed_ms):.1f} ms, waited {median(waited_ms):.1f}")


async def _in_a_file(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(f"sqlite+aiosqlite:///{Path(folder)}/bench.db") as store:
            await keep(store, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=10_000)
    parser.add_argument("--stored", action="store_true", help="store them, too: a minute for 10,000")
    arguments = parser.parse_args()
    size: int = arguments.captures
    held = captures(size + _MORE)
    # As `serve` does once it is open.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    compute(held, size)
    # Where each level is half full, as it is on average.
    compute(held, size * 5 // 9)
    if arguments.stored:
        anyio.run(_in_a_file, size)


if __name__ == "__main__":
    main()
