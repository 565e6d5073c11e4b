"""Organize: change, forget and group captures."""

from collections.abc import Mapping, Sequence

from komorebi_mcp.domain.captures import CaptureOverview, CaptureUpdate
from komorebi_mcp.domain.changes import Change
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pages import LIMIT_DEFAULT, Page
from komorebi_mcp.domain.projects import Project, ProjectUpdate
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.content import SecretsPolicy, admit
from komorebi_mcp.services.find import not_there
from komorebi_mcp.storage.store import Store


class UpdateResult(Model):
    """The captures as they are now."""

    captures: tuple[CaptureOverview, ...]
    changed: int
    missing: tuple[str, ...]


class ForgetResult(Model):
    """What is gone."""

    forgotten: int
    summaries_refreshed: int
    """Summaries that told of a forgotten capture; they are gone too and made anew when next asked for."""
    missing: tuple[str, ...]


class Organize:
    """Changes what is stored."""

    def __init__(self, store: Store, *, secrets: SecretsPolicy) -> None:
        self._store = store
        self._secrets = secrets

    async def update(self, owner: str, ids: Sequence[str], change: CaptureUpdate) -> UpdateResult:
        """Changes all of these captures alike; a new content is enriched again.

        What befalls the first passage of a group befalls all of them, but for a title.

        Raises:
            InvalidInput: Nothing is to change, or a content goes with several captures or may not be stored.
            NotFound: None of the ids is there.
        """
        wanted = list(dict.fromkeys(ids))
        if change == CaptureUpdate():
            raise InvalidInput(
                "Nothing is to change. Name at least one field, such as title, project or add_tags."
            )
        if change.content is not None:
            if len(wanted) > 1:
                raise InvalidInput("content can only go with a single id. Repeat the call for each capture.")
            if not change.content:
                raise InvalidInput(
                    "The new content is empty. Give some text, or delete the capture with forget_captures."
                )
            content, redactions = await admit(change.content, secrets=self._secrets)
            change = change.model_copy(update={"content": content, "redactions": redactions})
        async with self._store.write(owner) as transaction:
            before = await transaction.captures.projects_of(wanted)
            missing = not_there(wanted, before)
            changed = await transaction.captures.update(wanted, change)
            now = {capture.id: capture.project for capture in changed}
            transaction.tell(_change(owner, before, now))
        if change.content is not None:
            self._wipe()
        return UpdateResult(captures=tuple(changed), changed=len(changed), missing=missing)

    async def overviews(self, owner: str, ids: Sequence[str]) -> list[CaptureOverview]:
        """Those of the captures that are there, in the order of `ids`.

        Raises:
            NotFound: None is.
        """
        async with self._store.read(owner) as transaction:
            found = await transaction.captures.overviews(ids)
        not_there(ids, {capture.id for capture in found})
        return found

    async def forget(self, owner: str, ids: Sequence[str]) -> ForgetResult:
        """Deletes captures for good, with their index entries, entities and every summary that tells of them.

        With the first passage of a group all of them go; they count as one.

        Raises:
            NotFound: None of the ids is there.
        """
        wanted = list(dict.fromkeys(ids))
        async with self._store.write(owner) as transaction:
            before = await transaction.captures.projects_of(wanted)
            missing = not_there(wanted, before)
            passages = await transaction.captures.passages(wanted)
            doomed = dict.fromkeys([*wanted, *(passage.id for passage in passages)])
            summaries = await transaction.summaries.forget_citing(list(doomed))
            # What was told of them to somebody who has not fetched it yet is forgotten as well.
            await transaction.tasks.forget_telling(list(doomed))
            forgotten = await transaction.captures.forget(wanted)
            transaction.tell(_change(owner, before))
        self._wipe()
        return ForgetResult(forgotten=len(forgotten), summaries_refreshed=summaries, missing=missing)

    def _wipe(self) -> None:
        """Has the words that were just taken away leave the file as well."""
        if self._store.wiper is not None:
            self._store.wiper.wake()

    async def projects(
        self, owner: str, *, limit: int = LIMIT_DEFAULT, cursor: str | None = None, archived: bool = False
    ) -> Page[Project]:
        """One page of the active projects, or of the archived ones; the most recently changed first."""
        async with self._store.read(owner) as transaction:
            return await transaction.projects.page(limit=limit, cursor=cursor, archived=archived)

    async def project(self, owner: str, name: str) -> Project:
        """The project of that name.

        Raises:
            NotFound: There is none.
        """
        async with self._store.read(owner) as transaction:
            return await transaction.projects.require(name)

    async def update_project(self, owner: str, name: str, change: ProjectUpdate) -> Project:
        """The project as it is now.

        Raises:
            NotFound: No project has that name.
            InvalidInput: Nothing is to change, or the new name is taken.
        """
        if change == ProjectUpdate():
            raise InvalidInput(
                "Nothing is to change. Name at least one of new_name, description, goal and archived."
            )
        async with self._store.write(owner) as transaction:
            project = await transaction.projects.update(name, change)
            transaction.tell(Change(owner, projects=tuple({name, project.name})))
        return project


def _change(owner: str, *projects_of: Mapping[str, str | None]) -> Change:
    captures = dict.fromkeys(capture_id for each in projects_of for capture_id in each)
    projects = dict.fromkeys(project for each in projects_of for project in each.values() if project)
    return Change(owner, captures=tuple(captures), projects=tuple(projects))
