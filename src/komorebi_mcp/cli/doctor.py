"""`komorebi-mcp doctor` and `migrate`: whether everything is as it should be, and the database's schema."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from importlib.metadata import version
from shutil import disk_usage
from typing import Any

import anyio
import typer

from komorebi_mcp.app import App, open_app
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.session import FAILED, ready_settings
from komorebi_mcp.cli.show import as_json, console, counted, line, moment
from komorebi_mcp.domain.jobs import Backlog
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.vectors import Coverage
from komorebi_mcp.errors import KomorebiError
from komorebi_mcp.settings import Settings, environment, unused_settings
from komorebi_mcp.storage.migrate import HEAD
from komorebi_mcp.storage.store import open_store
from komorebi_mcp.upstream.config import load_upstreams
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus

_UPSTREAMS_WAIT_S = 5.0
_ROOM_BYTES_MIN = 50_000_000
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@/]*@")


class Database(Model):
    """What became of opening it."""

    url: str
    """Without its password."""
    dialect: str | None
    schema_version: str | None
    """None when it could not be opened."""


class Semantic(Model):
    """How search by meaning is doing."""

    model: str | None
    """None where it could not be loaded."""
    failure: str | None
    coverage: Coverage | None


class Diagnosis(Model):
    """Everything doctor knows."""

    ok: bool
    version: str
    settings: Mapping[str, Any]
    database: Database
    backlog: Backlog | None
    semantic: Semantic | None
    """None where no model is wanted, or the database could not be opened."""
    upstreams: tuple[UpstreamStatus, ...]
    problems: tuple[str, ...]
    """In sentences; empty when all is well."""


def doctor(*, json: AsJson = False) -> None:
    """Check settings, database, backlog and upstreams; exit status 1 if something is wrong."""
    diagnosis = anyio.run(partial(_diagnose, ready_settings()))
    if json:
        as_json(diagnosis)
    else:
        _tell(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(FAILED)


def migrate(*, json: AsJson = False) -> None:
    """Upgrade the database's schema, as every other command does when it starts."""
    settings = ready_settings()
    dialect = anyio.run(partial(_migrate, settings))
    database = Database(url=_without_password(settings.database_url), dialect=dialect, schema_version=HEAD)
    if json:
        as_json(database)
    else:
        line(console(), f"{database.url} is at schema {HEAD}")


async def _migrate(settings: Settings) -> str:
    async with open_store(settings.database_url) as store:
        return store.dialect


async def _diagnose(settings: Settings) -> Diagnosis:
    problems: list[str] = []
    dialect: str | None = None
    backlog: Backlog | None = None
    semantic: Semantic | None = None
    upstreams: tuple[UpstreamStatus, ...] = ()
    try:
        async with open_app(settings, works=False) as app:
            dialect = app.store.dialect
            async with app.store.look() as queue:
                backlog = await queue.backlog()
            semantic = await _semantic(app)
            upstreams = await _upstreams(app)
            await app.store.check(writing=True)
            problems += _room(app)
    except* KomorebiError as group:
        problems += [str(error) for error in _leaves(group)]
    if semantic is not None and semantic.failure:
        problems.append(f"KOMOREBI_SEMANTIC_MODEL: {semantic.failure} Search works without it.")
    problems += _problems(settings, backlog, upstreams)
    return Diagnosis(
        ok=not problems,
        version=version("komorebi-mcp"),
        settings={
            **settings.model_dump(mode="json"),
            "database_url": _without_password(settings.database_url),
        },
        database=Database(
            url=_without_password(settings.database_url),
            dialect=dialect,
            schema_version=HEAD if dialect else None,
        ),
        backlog=backlog,
        semantic=semantic,
        upstreams=upstreams,
        problems=tuple(problems),
    )


async def _semantic(app: App) -> Semantic | None:
    if app.meaning is None:
        return None
    await app.meaning.load()
    model, coverage = app.meaning.model, None
    if model is not None:
        async with app.store.look() as queue:
            coverage = await queue.coverage(model)
    return Semantic(model=model, failure=app.meaning.failure, coverage=coverage)


async def _upstreams(app: App) -> tuple[UpstreamStatus, ...]:
    """The state of every upstream, once each has answered or failed, or after a few seconds."""
    if not app.aggregate.enabled:
        return ()
    with anyio.move_on_after(_UPSTREAMS_WAIT_S):
        await app.aggregate.tools()
        while any(map(_undecided, app.aggregate.status())):  # noqa: ASYNC110 - the pool announces no states.
            await anyio.sleep(0.05)
    return tuple(app.aggregate.status())


def _undecided(status: UpstreamStatus) -> bool:
    return status.state in (UpstreamState.CONFIGURED, UpstreamState.CONNECTING)


def _room(app: App) -> Iterator[str]:
    """What to say where the disk of a database file is all but full."""
    if app.store.leader_lock is not None:
        left = disk_usage(app.store.leader_lock.parent).free
        if left < _ROOM_BYTES_MIN:
            yield (
                f"The disk of the database has {left // 1_000_000:,} MB left. Free some space: "
                "once it is full, nothing can be captured."
            )


def _problems(
    settings: Settings, backlog: Backlog | None, upstreams: tuple[UpstreamStatus, ...]
) -> list[str]:
    found = [*unused_settings()]
    if backlog is not None and backlog.set_aside:
        found.append(
            f"{counted(backlog.set_aside, 'capture')} could not be enriched and was set aside; "
            "it can still be listed and read."
        )
    for problem in load_upstreams(settings.upstreams, environment=environment()).problems:
        where = f"{settings.upstreams}, line {problem.line}" if problem.line else str(settings.upstreams)
        found.append(
            f"{where}: {problem.upstream}: {problem.message}" if problem.upstream else problem.message
        )
    told = " ".join(found)
    for status in upstreams:
        if status.state is UpstreamState.FAILED and f" {status.name}: " not in told:
            found.append(
                f"The upstream {status.name} does not work: {status.last_error or 'no reason is known'}"
            )
        elif status.quarantined:
            found.append(
                f"The upstream {status.name} changed {', '.join(status.quarantined)}, which "
                f"{'is' if len(status.quarantined) == 1 else 'are'} held back. "
                f"Run `komorebi-mcp upstream diff {status.name}` to see the change."
            )
        elif _undecided(status):
            found.append(
                f"The upstream {status.name} has not answered within {_UPSTREAMS_WAIT_S:.0f} seconds."
            )
    return found


def _tell(diagnosis: Diagnosis) -> None:
    out = console()
    names = [*diagnosis.settings, *(status.name for status in diagnosis.upstreams)]
    width = max(map(len, names), default=0) + 2

    def entry(name: str, value: object) -> None:
        line(out, (f"  {name:{width}}", "dim"), str(value) or "(not set)")

    line(out, (f"komorebi-mcp {diagnosis.version}", "bold"))
    line(out, ("settings", "bold"), ("  (set by variables such as KOMOREBI_HOME)", "dim"))
    for name, value in diagnosis.settings.items():
        entry(name, value)
    line(out, ("database", "bold"))
    database = diagnosis.database
    opened = (
        f"{database.dialect}, schema {database.schema_version}" if database.dialect else "cannot be opened"
    )
    entry("state", opened)
    if diagnosis.backlog is not None:
        waiting = f"{diagnosis.backlog.waiting:,} waiting{_since(diagnosis.backlog.oldest_waiting_at)}"
        entry("inbox", f"{waiting}, {diagnosis.backlog.set_aside:,} set aside")
    entry("search by meaning", _by_meaning(diagnosis.semantic))
    if diagnosis.upstreams:
        line(out, ("upstreams", "bold"))
    for status in diagnosis.upstreams:
        era = f", {status.era}" if status.era else ""
        entry(status.name, f"{status.state}{era}, {counted(status.tools, 'tool')}")
    line(out)
    for problem in diagnosis.problems:
        line(out, ("problem  ", "bold red"), problem)
    if diagnosis.ok:
        line(out, ("All is well.", "green"))


def _by_meaning(semantic: Semantic | None) -> str:
    if semantic is None:
        return "off"
    if semantic.coverage is None:
        return "on, but the model cannot be loaded"
    read, indexed = semantic.coverage.read, semantic.coverage.indexed
    return f"on, {semantic.model}, has read {read:,} of {counted(indexed, 'capture')}"


def _leaves(group: BaseExceptionGroup[KomorebiError]) -> Iterator[KomorebiError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _since(oldest: datetime | None) -> str:
    return f" since {moment(oldest)}" if oldest else ""


def _without_password(url: str) -> str:
    return _PASSWORD.sub(r"\1:***@", url)
