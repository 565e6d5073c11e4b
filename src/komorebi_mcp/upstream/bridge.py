"""Between the eras: questions that one side pushes and the other takes as a result.

A handshake upstream asks by a request of its own while a call waits; a modern client gets its call back with
the questions and repeats it with the answers. Meanwhile the upstream's call stays parked here. The other way
round, a modern upstream's questions are pushed to a handshake client one by one, and the call is repeated.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, URL_ELICITATION_REQUIRED

from komorebi_mcp.errors import UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.caller import Caller, Start

PARKED_S = 600.0
"""How long a call waits for the answers to its questions."""
PARKED_MAX = 100
"""For one owner; beyond them the oldest is given up."""
ROUNDS_MAX = 20
AGAIN_PAUSE_S = 0.2

_STATE = "komorebi-parked-"

Request = Callable[[Mapping[str, Any], Caller], Awaitable[dict[str, Any]]]
"""Makes the upstream's request with these params, for this caller."""


async def answer_questions(request: Request, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """The final result for a caller who can be asked while the call waits."""
    for _ in range(ROUNDS_MAX):
        result = await request(params, caller)
        if result.get("resultType") != "input_required":
            return result
        questions = questions_in(result)
        if not all(
            caller.declares(question["method"], question.get("params")) for question in questions.values()
        ):
            # The upstream asks for what nobody here can give; the caller is told as much.
            return result
        if not questions:
            # It only wants to be asked again.
            await anyio.sleep(AGAIN_PAUSE_S)
        answers = {key: await ask(caller, question) for key, question in questions.items()}
        params = {**params, "inputResponses": answers}
        params.pop("requestState", None)
        if "requestState" in result:
            params["requestState"] = result["requestState"]
    raise UpstreamUnavailable(
        f"The upstream still asks for input after {ROUNDS_MAX} rounds. Call the tool with all it needs."
    )


def questions_in(result: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What a result or a task asks for, by its keys.

    Raises:
        UpstreamUnavailable: It is not in the form that questions have.
    """
    questions = result.get("inputRequests") or {}
    if not isinstance(questions, Mapping) or not all(map(_is_question, questions.values())):
        raise UpstreamUnavailable(
            "The upstream asked for input in a form that is not valid. Tell whoever maintains that server."
        )
    return questions


def _is_question(given: Any) -> bool:
    match given:
        case {"method": str(), **rest}:
            return isinstance(rest.get("params", {}), Mapping | None)
        case _:
            return False


async def ask(caller: Caller, question: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller who can be asked answers to a question of a modern upstream.

    Raises:
        UpstreamRefused: The caller does not answer, for a reason of its own.
    """
    assert caller.ask is not None  # noqa: S101  # Nobody else gets here.
    params = question.get("params")
    if isinstance(params, Mapping) and params.get("mode") == "url":
        # The handshake era cannot do without it, the modern one does not have it.
        params = {"elicitationId": secrets.token_urlsafe(12), **params}
    try:
        return await caller.ask(question["method"], params)
    except MCPError as error:
        raise UpstreamRefused(error.message, code=error.code, data=error.data) from error


def visiting(request: Request) -> Request:
    """`request`, made once more when the user has agreed to visit the URLs that are to be visited first.

    A handshake upstream refuses with an error that lists them, which the modern era does not have.
    """

    async def visit_and_request(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        try:
            return await request(params, caller)
        except UpstreamRefused as refused:
            visits = _visits_in(refused)
            if not visits or caller.ask is None:
                raise
            for visit in visits:
                if not caller.declares("elicitation/create", visit):
                    raise
                answer = await caller.ask("elicitation/create", visit)
                if answer.get("action") != "accept":
                    raise
        return await request(params, caller)

    return visit_and_request


def _visits_in(refused: UpstreamRefused) -> list[dict[str, Any]]:
    data = refused.data if isinstance(refused.data, Mapping) else {}
    listed = data.get("elicitations")
    if refused.code != URL_ELICITATION_REQUIRED or not isinstance(listed, list):
        return []
    return [visit for visit in listed if isinstance(visit, dict) and visit.get("mode") == "url"]


class Parked:
    """Calls of handshake upstreams for modern clients, some of them waiting for answers."""

    def __init__(self, start: Start) -> None:
        """`start` runs a task for as long as the upstreams are open."""
        self._start = start
        self._calls: dict[str, _Call] = {}

    def has(self, state: str) -> bool:
        """Whether the state is of the kind that is given out here, for a call that may be gone."""
        return state.startswith(_STATE)

    async def begin(self, request: Request, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The result, or the first questions."""
        call = _Call(request, params, caller)
        self._start(call.run)
        return await self._outcome(call)

    async def resume(self, state: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The result of the call parked under this state, or its next questions.

        Raises:
            UpstreamRefused: There is no such call, or it is another owner's.
        """
        self._forget_late_ones()
        call = self._calls.get(state)
        if call is None or call.caller.owner != caller.owner or _subject(call.params) != _subject(params):
            raise UpstreamRefused(
                "The request state is not known or no longer valid. Make the request again without it.",
                code=INVALID_PARAMS,
                data=None,
            )
        del self._calls[state]
        answers = params.get("inputResponses")
        call.go_on(caller, answers if isinstance(answers, Mapping) else {})
        return await self._outcome(call)

    async def _outcome(self, call: "_Call") -> dict[str, Any]:
        try:
            await call.progressed()
        except BaseException:
            # Whoever waited has gone, so that nobody will come for the answer.
            call.cancel()
            raise
        if call.questions and not call.is_over:
            return self._park(call)
        return call.result()

    def _park(self, call: "_Call") -> dict[str, Any]:
        self._make_room(call.caller.owner)
        state = _STATE + secrets.token_urlsafe(24)
        self._calls[state] = call
        call.wait(PARKED_S)
        asked = {key: question.asked for key, question in call.questions.items()}
        return {"resultType": "input_required", "inputRequests": asked, "requestState": state}

    def _forget_late_ones(self) -> None:
        for state, call in tuple(self._calls.items()):
            if call.until <= anyio.current_time():
                del self._calls[state]

    def _make_room(self, owner: str) -> None:
        self._forget_late_ones()
        ours = [state for state, call in self._calls.items() if call.caller.owner == owner]
        for state in ours[: max(0, len(ours) - PARKED_MAX + 1)]:
            self._calls.pop(state).cancel()


def _subject(params: Mapping[str, Any]) -> tuple[Any, Any]:
    return params.get("name"), params.get("uri")


class _Question:
    def __init__(self, method: str, params: Mapping[str, Any] | None) -> None:
        self.asked: dict[str, Any] = {"method": method}
        if params is not None:
            self.asked["params"] = {key: value for key, value in params.items() if key != "elicitationId"}
        self.answer: dict[str, Any] | None = None
        self.answered = anyio.Event()


class _Call:
    """One call in a task of its own, so that it outlives the requests that are made about it."""

    def __init__(self, request: Request, params: Mapping[str, Any], caller: Caller) -> None:
        self.params = params
        self.caller = caller
        self.questions: dict[str, _Question] = {}
        self.is_over = False
        self.until = float("inf")
        """Until when it waits for answers, on the event loop's clock."""
        self._request = request
        self._result: dict[str, Any] | None = None
        self._failure: Exception | None = None
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        self._keys = count(1)

    async def run(self) -> None:
        standing = replace(self.caller, ask=self._ask, tell=self._tell)
        try:
            with self._scope:
                self._result = await self._request(self.params, standing)
        except Exception as error:  # noqa: BLE001  # It is for whoever waits.
            self._failure = error
        self.is_over = True
        self._news.set()

    async def progressed(self) -> None:
        """Returns once there is a result or something to ask."""
        while not self.is_over and not self.questions:
            self._news = anyio.Event()
            await self._news.wait()

    def wait(self, seconds: float) -> None:
        """Ends the call after so long without an answer."""
        self.until = self._scope.deadline = anyio.current_time() + seconds

    def go_on(self, caller: Caller, answers: Mapping[str, Any]) -> None:
        """Hands over the answers; what the upstream says from now on is for this caller."""
        self.caller = caller
        self.until = self._scope.deadline = float("inf")
        for key, answer in answers.items():
            question = self.questions.get(key)
            if question is not None and isinstance(answer, Mapping):
                question.answer = dict(answer)
                question.answered.set()
                del self.questions[key]

    def cancel(self) -> None:
        self._scope.cancel()

    def result(self) -> dict[str, Any]:
        if self._failure is not None:
            raise self._failure
        if self._result is None:
            raise UpstreamUnavailable("The call was given up.")
        return self._result

    async def _ask(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        question = _Question(method, params)
        key = f"{method.partition('/')[0]}-{next(self._keys)}"
        self.questions[key] = question
        self._news.set()
        try:
            await question.answered.wait()
        finally:
            self.questions.pop(key, None)
        return question.answer or {}

    async def _tell(self, method: str, params: dict[str, Any]) -> None:
        if method == "notifications/progress":
            if self.caller.progress_token is None:
                return
            # The request that is under way now has another token than the one that began the call.
            params = {**params, "progressToken": self.caller.progress_token}
        if self.caller.tell is not None:
            await self.caller.tell(method, params)
