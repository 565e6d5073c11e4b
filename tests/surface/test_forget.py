"""Nothing is forgotten without a yes, and nobody is asked who did not say they can be."""

from pathlib import Path

import pytest
from mcp.client.session import ClientRequestContext
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from support.connections import MODES, call, open_client, refused

pytestmark = pytest.mark.parametrize("mode", MODES)


class Person:
    """Answers what it is asked, and remembers it."""

    def __init__(self, answer: ElicitResult) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature of a callback.
        params: ElicitRequestParams,
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        return self.answer


async def test_a_person_who_says_yes_is_asked_once_by_title(tmp_path: Path, mode: str) -> None:
    person = Person(ElicitResult(action="accept", content={"confirm": True}))
    async with open_client(tmp_path, mode=mode, elicitation=person) as client:
        ids = [(await call(client, "capture", content=f"N{n}", title=f"Title {n}"))["id"] for n in range(2)]
        done = await call(client, "forget_captures", ids=ids)
        assert done["forgotten"] == 2
        assert person.asked == ["Forget 2 captures for good? “Title 0”, “Title 1”"]
        assert (await call(client, "list_captures"))["captures"] == []


@pytest.mark.parametrize(
    "answer",
    [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept", content={"confirm": False}),
        ElicitResult(action="accept", content={}),
    ],
    ids=["decline", "cancel", "no", "silence"],
)
async def test_anything_but_a_yes_keeps_the_captures(tmp_path: Path, mode: str, answer: ElicitResult) -> None:
    async with open_client(tmp_path, mode=mode, elicitation=Person(answer)) as client:
        receipt = await call(client, "capture", content="Keep me.")
        assert "did not say yes" in await refused(client, "forget_captures", ids=receipt["id"])
        assert len((await call(client, "list_captures"))["captures"]) == 1


async def test_a_client_that_cannot_ask_is_told_to_confirm(tmp_path: Path, mode: str) -> None:
    async with open_client(tmp_path, mode=mode) as client:
        receipt = await call(client, "capture", content="Keep me.")
        assert "confirm: true" in await refused(client, "forget_captures", ids=receipt["id"])
        assert len((await call(client, "list_captures"))["captures"]) == 1
        await call(client, "forget_captures", ids=receipt["id"], confirm=True)
        assert (await call(client, "list_captures"))["captures"] == []


async def test_a_confirmed_call_asks_nobody(tmp_path: Path, mode: str) -> None:
    person = Person(ElicitResult(action="decline"))
    async with open_client(tmp_path, mode=mode, elicitation=person) as client:
        receipt = await call(client, "capture", content="Away.")
        await call(client, "forget_captures", ids=receipt["id"], confirm=True)
        assert person.asked == []


async def test_nobody_is_asked_about_captures_that_are_not_there(tmp_path: Path, mode: str) -> None:
    person = Person(ElicitResult(action="accept", content={"confirm": True}))
    async with open_client(tmp_path, mode=mode, elicitation=person) as client:
        text = await refused(client, "forget_captures", ids="0192d4e8-0000-7000-8000-000000000000")
        assert "No capture has the id" in text
        assert person.asked == []
