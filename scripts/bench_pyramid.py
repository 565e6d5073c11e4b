"""What a pyramid costs to compute: all of it, and one more capture. Milliseconds are of this machine only."""

import argparse
import time
from datetime import UTC, datetime, timedelta

from synthetic import texts

from komorebi_mcp.domain.captures import Capture, Kind, Status
from komorebi_mcp.domain.nodes import Leaf, Node, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, beside, width
from komorebi_mcp.services.nodes import make_nodes

_START = datetime(2026, 1, 1, tzinfo=UTC)
_CHARS_MAX = 2_000
"""Long texts cost in proportion to their length, whatever is done with them."""


def captures(size: int) -> list[Capture]:
    plain = (text for text in texts(2 * size, seed=1, projects=1) if len(text.content) <= _CHARS_MAX)
    return [
        Capture(
            id=f"{number}", title="", snippet="", project="p", kind=Kind(text.kind), tags=(),
            status=Status.PROCESSED, created_at=_START + timedelta(minutes=number), content=text.content,
            source=None, updated_at=_START,
        )
        for number, text in zip(range(size), plain, strict=False)
    ]  # fmt: skip


def work_on(leaves: list[int], held: list[Capture], nodes: dict[Place, Node]) -> Work:
    groups = sorted({leaf // FAN_OUT for leaf in leaves})
    positions = [at for group in groups for at in range(group * FAN_OUT, (group + 1) * FAN_OUT)]
    places = beside(leaves, len(held))
    return Work(
        project_id=1,
        project="p",
        size=len(held),
        leaves=tuple(Leaf(position=at, edited=1, capture=held[at]) for at in positions if at < len(held)),
        places=tuple(places),
        nodes={place: nodes[place] for place in places if place in nodes},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=10_000)
    size = parser.parse_args().captures
    held = captures(size + 1)
    work = work_on(list(range(size)), held[:size], {})
    began, began_cpu = time.perf_counter(), time.process_time()
    made, _ = make_nodes(work)
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(
        f"{size:,} captures, {width(size, 1):,} groups, {len(made):,} nodes: {took:.2f} s, of it CPU"
        f" {took_cpu:.2f} s"
    )
    nodes = {node.place: Node(**dict(node), id="") for node in made}
    one_more = work_on([size], held, nodes)
    began, began_cpu = time.perf_counter(), time.process_time()
    made, _ = make_nodes(one_more)
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"one more: {len(made)} nodes, {1e3 * took:.1f} ms, CPU {1e3 * took_cpu:.1f} ms")


if __name__ == "__main__":
    main()
