"""Compact: keeps every project's pyramid up with its captures, a small step at a time."""

from collections.abc import Sequence

import anyio.to_thread
import structlog

from komorebi_mcp.domain.captures import Capture
from komorebi_mcp.domain.nodes import NodeContent, NodeCreate, Waiting, Work
from komorebi_mcp.domain.pyramid import FAN_OUT, Place, group
from komorebi_mcp.errors import StorageError
from komorebi_mcp.services.events import Announce, Change
from komorebi_mcp.services.material import passage
from komorebi_mcp.storage.store import Store
from komorebi_mcp.summarizers.condense import (
    METHOD,
    NODE_TOKENS,
    UPPER_NODE_TOKENS,
    VERSION,
    condense_nodes,
    condense_passages,
    fingerprint,
    input_hash,
)

_LEAVES_MAX = 200
"""Due leaves seen to in one step, so that enrichment does not wait for long."""
_PROJECTS_MAX = 100

_log = structlog.get_logger(__name__)


class Compact:
    """Makes the nodes of pyramids. Rows say what is due, so nothing is lost with the process."""

    def __init__(self, store: Store, *, announce: Announce) -> None:
        self._store = store
        self._announce = announce
        # Where a step failed, until this process ends: one project must not hold up the others.
        self._failed: set[Waiting] = set()

    async def step(self) -> bool:
        """Brings a part of one pyramid up to date; False when there was nothing to do."""
        async with self._store.look() as queue:
            lagging = await queue.lagging(limit=_PROJECTS_MAX + len(self._failed))
        waiting = next((each for each in lagging if each not in self._failed), None)
        if waiting is None:
            return False
        try:
            await self._advance(waiting)
        except StorageError:
            # The database's trouble, not this project's: the worker tries again.
            raise
        except Exception:  # noqa: BLE001 - other projects are told of whatever one of them holds.
            _log.exception("compact.failed", project_id=waiting.project_id)
            self._failed.add(waiting)
        return True

    async def _advance(self, waiting: Waiting) -> None:
        async with self._store.write(waiting.owner) as transaction:
            work = await transaction.pyramid.take(waiting.project_id, leaves_max=_LEAVES_MAX)
        if work is None:
            return
        made, gone = await anyio.to_thread.run_sync(make_nodes, work)
        async with self._store.write(waiting.owner) as transaction:
            covered = await transaction.pyramid.keep(work, made, gone=gone)
        if covered is None:
            _log.debug("compact.outrun", project_id=waiting.project_id)
        elif covered or made or gone:
            self._announce(Change(waiting.owner, tuple(covered), (work.project,)))


def make_nodes(work: Work) -> tuple[list[NodeCreate], list[Place]]:
    """The nodes that are to be different, lower levels first, and the places that are to be empty.

    A node whose inputs are the ones it was made from is not made again.
    """
    now: dict[Place, NodeCreate] = dict(work.nodes)
    made: list[NodeCreate] = []
    gone: list[Place] = []
    groups: dict[Place, list[Capture]] = {}
    for leaf in work.leaves:
        held = groups.setdefault(Place(1, leaf.position // FAN_OUT), [])
        held += [] if leaf.capture is None else [leaf.capture]
    due = set(groups)
    while due:
        for place in sorted(due):
            before = now.get(place)
            if place.level == 1:
                node = _of_captures(place, groups[place], before)
            else:
                node = _of_nodes(place, [now[each] for each in _below(place) if each in now], before)
            if node is None:
                gone += [] if now.pop(place, None) is None else [place]
            elif node is not before:
                now[place] = node
                made.append(node)
        due = {Place(level + 1, position // FAN_OUT) for level, position in due}.intersection(work.places)
    return made, gone


def _below(place: Place) -> list[Place]:
    return [Place(place.level - 1, position) for position in group(place)]


def _of_captures(place: Place, captures: Sequence[Capture], before: NodeCreate | None) -> NodeCreate | None:
    passages = [passage(capture) for capture in captures]
    made_from = input_hash(place.level, [fingerprint(each) for each in passages])
    if not passages or (before is not None and before.input_hash == made_from):
        return before if passages else None
    return _node(place, condense_passages(passages), made_from, max_tokens=NODE_TOKENS)


def _of_nodes(place: Place, below: Sequence[NodeCreate], before: NodeCreate | None) -> NodeCreate | None:
    made_from = input_hash(place.level, [each.input_hash for each in below])
    if not below or (before is not None and before.input_hash == made_from):
        return before if below else None
    children = tuple(each.place for each in below)
    return _node(place, condense_nodes(below), made_from, max_tokens=UPPER_NODE_TOKENS, children=children)


def _node(
    place: Place, content: NodeContent, made_from: str, *, max_tokens: int, children: tuple[Place, ...] = ()
) -> NodeCreate:
    return NodeCreate(
        **dict(content),
        place=place,
        input_hash=made_from,
        method=METHOD,
        version=VERSION,
        max_tokens=max_tokens,
        children=children,
    )
