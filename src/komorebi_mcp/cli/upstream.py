"""`komorebi-mcp upstream …`: the servers behind this one."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Final, TypeVar

import anyio
import typer

from komorebi_mcp.app import App, open_app
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.progress import upstreams_reached
from komorebi_mcp.cli.session import FAILED, ready_settings, refuse
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.cli.upstream_told import tell_changes, tell_reports, tell_status
from komorebi_mcp.domain.model import Model
from komorebi_mcp.domain.pins import Pin
from komorebi_mcp.services.diagnose import UpstreamReport, diagnose
from komorebi_mcp.services.trust import Trust
from komorebi_mcp.storage.store import open_store
from komorebi_mcp.upstream.config import problem_in
from komorebi_mcp.upstream.edit import add_entry, remove_entry
from komorebi_mcp.upstream.status import UpstreamState, UpstreamStatus

_CONNECT_WAIT_S: Final = 30.0

Name = Annotated[str, typer.Argument(help="Its name in the upstreams file.")]
T = TypeVar("T")


class Upstreams(Model):
    upstreams: tuple[UpstreamStatus, ...]


class Reports(Model):
    upstreams: tuple[UpstreamReport, ...]


class Changes(Model):
    upstream: str
    changes: tuple[Pin, ...]


def add(
    name: Annotated[str, typer.Argument(help="A name for it, with which the names of its tools will begin.")],
    target: Annotated[
        list[str],
        typer.Argument(help="Its URL; or, after --, the command that starts it and its arguments."),
    ],
    *,
    env: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the command; secrets as '${env:NAME}'.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the URL; secrets as '${env:NAME}'.")
    ] = None,
    transport: Annotated[str | None, typer.Option("--type", help="http or sse, for a URL.")] = None,
    cwd: Annotated[str | None, typer.Option(help="The folder to start the command in.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A pattern of tools to let through; repeat it for several.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(help="A pattern of tools to keep out; repeat it for several.")
    ] = None,
    trust: Annotated[
        str | None, typer.Option(help="What happens when a definition changes: quarantine, warn or allow.")
    ] = None,
    no_prefix: Annotated[
        bool, typer.Option("--no-prefix", help="Do not put its name before the names of its tools.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing entry of that name.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Add a server to the upstreams file. A running Komorebi picks it up within seconds."""
    is_url = len(target) == 1 and "://" in target[0].partition(" ")[0]
    entry: dict[str, Any] = {"url": target[0]} if is_url else {"command": target[0], "args": target[1:]}
    given = {
        "type": transport,
        "env": _pairs(env, "--env"),
        "headers": _pairs(header, "--header"),
        "cwd": cwd,
        "allow": allow,
        "deny": deny,
        "trust": trust,
    }
    entry |= {key: value for key, value in given.items() if value}
    if no_prefix:
        entry["prefix"] = ""
    path = ready_settings().upstreams
    if problem := problem_in(name, entry, folder=path.absolute().parent):
        refuse(problem)
    add_entry(path, name, entry, replace=replace)
    if json:
        as_json({"name": name, "file": str(path), "entry": entry})
        return
    out = console()
    line(out, f"Added {name} to {path}.")
    line(out, f"Run `komorebi-mcp upstream test {name}` to see whether it answers.")


def list_upstreams(*, json: AsJson = False) -> None:
    """List the upstreams and what is known about them, without connecting."""

    async def work(app: App) -> list[UpstreamStatus]:
        return app.aggregate.status()

    found = _with_app(work)
    if json:
        as_json(Upstreams(upstreams=tuple(found)))
        return
    for status in found:
        tell_status(status, waited_s=_CONNECT_WAIT_S)
    hint = "" if found else "; add one with `komorebi-mcp upstream add`"
    line(console(), counted(len(found), "upstream"), hint)


def try_out(name: Name, *, json: AsJson = False) -> None:
    """Connect to one upstream and show what it offers; exit status 1 if it does not answer."""

    async def work(app: App) -> UpstreamStatus:
        return await app.aggregate.reach(name, wait_s=_CONNECT_WAIT_S)

    status = _with_app(work)
    if json:
        as_json(status)
    else:
        tell_status(status, waited_s=_CONNECT_WAIT_S)
    if status.state is not UpstreamState.READY:
        raise typer.Exit(FAILED)


def diff(name: Name, *, json: AsJson = False) -> None:
    """Show what an upstream has changed since its definitions were pinned."""

    async def work(app: App) -> tuple[UpstreamStatus, list[Pin]]:
        # It is asked again, since it may have changed while no server was running.
        status = await app.aggregate.reach(name, wait_s=_CONNECT_WAIT_S)
        return status, await app.trust.changes(name)

    status, changes = _with_app(work)
    if status.state is not UpstreamState.READY:
        typer.echo(f"komorebi-mcp: {name} does not answer now; this is what was last seen.", err=True)
    if json:
        as_json(Changes(upstream=name, changes=tuple(changes)))
        return
    tell_changes(name, changes)


def trust(
    name: Name,
    tool: Annotated[
        list[str] | None,
        typer.Argument(help="Only these tools, by the upstream's own names; all if left out."),
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Accept what an upstream has changed; a running Komorebi lists it again within seconds."""

    async def work(kept: Trust) -> list[Pin]:
        return await kept.trust(name, tool or ())

    accepted = _with_trust(work)
    if json:
        as_json(Changes(upstream=name, changes=tuple(accepted)))
        return
    out = console()
    for pin in accepted:
        line(out, f"Trusted: {pin.kind} {pin.name}".rstrip())
    if not accepted:
        line(out, f"Nothing of {name} has changed.")


def remove(
    name: Name,
    *,
    json: AsJson = False,
) -> None:
    """Remove a server from the upstreams file, and forget what was trusted of it."""
    path = ready_settings().upstreams
    remove_entry(path, name)
    _with_trust(lambda kept: kept.forget(name))
    if json:
        as_json({"name": name, "file": str(path)})
    else:
        line(console(), f"Removed {name} from {path}.")


def doctor(
    tool: Annotated[
        str | None, typer.Argument(help="Only what concerns this tool or upstream, under any of its names.")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Connect to every upstream and explain missing or changed tools; exit status 1 if there is a problem."""

    async def work(app: App) -> list[UpstreamReport]:
        await upstreams_reached(app, wait_s=_CONNECT_WAIT_S)
        return await diagnose(app.aggregate, app.trust)

    reports = _with_app(work)
    if tool is not None:
        reports = [*_about(tool, reports)]
    if json:
        as_json(Reports(upstreams=tuple(reports)))
    else:
        tell_reports(tool, reports, waited_s=_CONNECT_WAIT_S)
    if not all(report.is_well for report in reports):
        raise typer.Exit(FAILED)


def _about(tool: str, reports: list[UpstreamReport]) -> Iterator[UpstreamReport]:
    prefix, _, bare = tool.partition("__")
    for report in reports:
        if report.name == tool:
            yield report
            continue
        found = tuple(
            each
            for each in report.findings
            if tool in (each.tool, each.name) or (report.name == prefix and each.tool == bare)
        )
        if found or report.name == prefix or report.state is not UpstreamState.READY:
            yield report.model_copy(update={"findings": found})


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        name, separator, value = text.partition("=")
        if not separator and option == "--header":
            name, separator, value = text.partition(":")
        if not separator or not name.strip():
            refuse(f"{option} must be NAME=VALUE, such as {option} TOKEN='${{env:TOKEN}}'.")
        pairs[name.strip()] = value.strip()
    return pairs


def _with_app(work: Callable[[App], Awaitable[T]]) -> T:
    settings = ready_settings(tells_itself=True)

    async def within() -> T:
        async with open_app(settings, works=False) as app:
            return await work(app)

    return anyio.run(within)


def _with_trust(work: Callable[[Trust], Awaitable[T]]) -> T:
    settings = ready_settings()

    async def within() -> T:
        async with open_store(settings.database_url) as store:
            return await work(Trust(store))

    return anyio.run(within)
