"""Rewriting: a model writes the nodes of pyramids, each once.

Only full nodes are given to it. One at the right edge changes with every capture, and would cost a call each
time; full ones cost a call for every nine captures in all, and others only when a capture below them changes.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from functools import partial

import anyio
import anyio.to_thread
import structlog

from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.domain.nodes import NodeContent, NodeCreate, Work
from komorebi_mcp.domain.pyramid import Place
from komorebi_mcp.errors import ModelFailed
from komorebi_mcp.services.material import passage
from komorebi_mcp.services.nodes import Making
from komorebi_mcp.services.writing import method_of, of_captures, of_nodes, write
from komorebi_mcp.storage.store import Store
from komorebi_mcp.summarizers.draft import Draft, Passage
from komorebi_mcp.summarizers.prompts import PROMPT_VERSION
from komorebi_mcp.summarizers.writer import Wish, Writer
from komorebi_mcp.summarizers.written import Material, Written

_HOUR_S = 3_600.0
_REMEMBERED_MAX = 200
"""Answers kept for work that is refused since something changed meanwhile, and done again."""

_log = structlog.get_logger(__name__)


class Allowance:
    """How many calls may be made in an hour; counted in this process alone."""

    def __init__(self, calls_per_hour: int, clock: Clock) -> None:
        self._calls_max = calls_per_hour
        self._clock = clock
        self._times: deque[float] = deque()

    def take(self) -> bool:
        """Whether one more call may be made now; if so, it is counted."""
        now = self._clock().timestamp()
        while self._times and self._times[0] <= now - _HOUR_S:
            self._times.popleft()
        if len(self._times) >= self._calls_max:
            return False
        self._times.append(now)
        return True


class Rewriting:
    """Has a model write what it can of a part of a pyramid."""

    def __init__(self, store: Store, writer: Writer, allowance: Allowance) -> None:
        self._store = store
        self._writer = writer
        self._allowance = allowance
        self._answers: OrderedDict[str, Written] = OrderedDict()

    async def make_nodes(self, owner: str, work: Work) -> tuple[list[NodeCreate], list[Place]]:
        """As `nodes.make_nodes`, full nodes in the model's words; verbatim where it gives none."""
        making = Making(work, writer=(self._writer.method, PROMPT_VERSION))
        while not making.done:
            asked = await anyio.to_thread.run_sync(making.level)
            async with anyio.create_task_group() as tasks:
                for node in asked:
                    tasks.start_soon(self._rewrite, owner, work, making, node)
        return making.made, making.gone

    async def _rewrite(self, owner: str, work: Work, making: Making, node: NodeCreate) -> None:
        made_from = making.hash_of(node.place, (self._writer.method, PROMPT_VERSION))
        written = self._answers.get(made_from)
        if written is None:
            try:
                written = await self._ask(owner, work, making, node)
            except ModelFailed as error:
                # It keeps the hash of what was made without the model, so that it is asked when next due.
                _log.info("node.without_model", level=node.place.level, reason=str(error))
                return
            self._answers[made_from] = written
            while len(self._answers) > _REMEMBERED_MAX:
                self._answers.popitem(last=False)
        told = {"sentences": written.sentences, "kinds": written.kinds, "ranks": ()} if written.own else {}
        marks = {
            "input_hash": made_from,
            "method": method_of(self._writer, written),
            "version": PROMPT_VERSION,
            "rejected": written.rejected,
        }
        making.put(node.model_copy(update=told | marks))

    async def _ask(self, owner: str, work: Work, making: Making, node: NodeCreate) -> Written:
        if not self._allowance.take():
            raise ModelFailed("No more calls are allowed within this hour.")
        wish = Wish(max_tokens=node.max_tokens, goal=work.goal)
        without = Draft(sentences=node.sentences, kinds=node.kinds, truncated=node.truncated)
        material = partial(self._material, owner, making.inputs(node.place), wish)
        return await write(self._writer, material, wish, without=without)

    async def _material(
        self, owner: str, inputs: Sequence[Passage | NodeContent], wish: Wish, tokens: int
    ) -> Material:
        async def read(ids: Sequence[str]) -> list[Passage]:
            async with self._store.read(owner) as transaction:
                return [passage(capture) for capture in await transaction.captures.get(ids)]

        nodes = [each for each in inputs if isinstance(each, NodeContent)]
        if nodes:
            return await of_nodes(nodes, read, wish, tokens)
        return await of_captures([each for each in inputs if isinstance(each, Passage)], wish, tokens)
