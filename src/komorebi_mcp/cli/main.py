"""The command `komorebi-mcp`."""

import gc
import io
import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Final, cast

from komorebi_mcp.cli.commands import COMMANDS, GROUPS, Command
from komorebi_mcp.cli.wording import for_people
from komorebi_mcp.errors import KomorebiError

_COMPLETING: Final = "_KOMOREBI_MCP_COMPLETE"
"""The variable with which a shell asks what may come next; its name is typer's."""


def run() -> None:
    """Runs the command that the arguments name; without any, the stdio server if a client has started us."""
    try:
        _dispatch(sys.argv[1:])
    except KeyboardInterrupt:
        # Before the server listens for it, Ctrl-C means the same as after: stop.
        sys.exit(0)
    except (KomorebiError, BaseExceptionGroup) as error:
        sys.exit(f"komorebi-mcp: {for_people(str(_ours(error)))}")


def _dispatch(arguments: list[str]) -> None:
    if not arguments and _COMPLETING in _loaded("komorebi_mcp.settings").environment():
        _run_typer([])
    elif arguments == ["serve"] or (not arguments and not sys.stdin.isatty()):
        # What desktop clients start, and wait for: straight to it, without reading options.
        _load_structlog()
        _loaded("komorebi_mcp.cli.servers").run_stdio()
    else:
        _run_typer(arguments or ["--help"])


def _loaded(module: str) -> ModuleType:
    """The module, imported without garbage collection, which would take a seventh of the start."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _load_structlog() -> None:
    """Imports structlog without rich, which it takes along for a console that `configure_logs` does not use.

    It is a twentieth of the start. An entry of None makes an import fail, for which structlog is prepared.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if "rich" not in modules:
        modules["rich"] = None
        _loaded("structlog")
        del modules["rich"]


def _ours(error: BaseException) -> KomorebiError:
    """The error to tell the person of; the application's task group wraps whatever leaves it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, KomorebiError):
        return error
    raise error


def _run_typer(arguments: list[str]) -> None:
    import typer  # noqa: PLC0415 - the plain server starts without it.

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Captures hold characters that a pipe on Windows or an old locale has no bytes for.
        sys.stdout.reconfigure(errors="replace")
    application = typer.Typer(name="komorebi-mcp", no_args_is_help=True, pretty_exceptions_enable=False)

    def main(
        show_version: bool = typer.Option(False, "--version", help="Show the version and exit."),
    ) -> None:
        """Capture anything at once, find it again, get it back as cited summaries.

        New here? Run `komorebi-mcp demo`, then `komorebi-mcp install --client NAME`.

        Without a command this is the MCP server, for the client that starts it.
        """
        if show_version:
            sys.stdout.write(f"{version('komorebi-mcp')}\n")
            raise typer.Exit

    application.callback(invoke_without_command=True)(main)
    words = {name.split()[0] for name in COMMANDS}
    groups: dict[str, typer.Typer] = {}
    for name, command in COMMANDS.items():
        first, *rest = name.split()
        if arguments and arguments[0] in words and arguments[0] != first:
            continue
        if rest and first not in groups:
            groups[first] = typer.Typer(no_args_is_help=True, help=GROUPS[first].about)
            application.add_typer(groups[first], name=first, rich_help_panel=GROUPS[first].panel)
        module, function = command.place.split(":")
        group = groups[first] if rest else application
        group.command(
            rest[0] if rest else first, epilog=_epilog(command), rich_help_panel=command.panel or None
        )(getattr(_loaded(module), function))
    try:
        status = application(args=arguments, prog_name="komorebi-mcp", standalone_mode=False)
    except typer.Abort:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - raised again unless it tells of a wrong word.
        sys.stderr.write(f"komorebi-mcp: {_usage(error)}\n")
        sys.exit(2)
    if status:
        sys.exit(status)


def _epilog(command: Command) -> str | None:
    """The examples below a command's options, one a line: the mark keeps typer from joining them."""
    examples = [f"  komorebi-mcp {example}" for example in command.examples]
    return "\n".join(["\b", "Examples:", *examples]) if examples else None


def _usage(error: Exception) -> str:
    """What is wrong with the command's words; any other error is raised again.

    typer has a copy of click whose errors it does not name. They are known by what they can say.
    """
    told = getattr(error, "format_message", None)
    if told is None:
        raise error
    context = getattr(error, "ctx", None)
    command = "komorebi-mcp" if context is None else context.command_path
    # typer checks some values by pydantic, whose own words stand before the reason.
    reason = for_people(told()).replace("Value error, ", "")
    return f"{reason}{'' if reason.endswith(('.', '?')) else '.'} See `{command} --help`."


if __name__ == "__main__":
    run()
