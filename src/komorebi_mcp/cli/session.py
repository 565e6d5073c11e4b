"""A command's way into the application: arguments checked, and everything opened in this process."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import anyio
import typer
from pydantic import ValidationError

from komorebi_mcp.app import App, open_app
from komorebi_mcp.cli.logs import configure_logs
from komorebi_mcp.cli.wording import for_people
from komorebi_mcp.domain.model import Model
from komorebi_mcp.settings import Settings, load_settings
from komorebi_mcp.surface.replies import invalid_arguments
from komorebi_mcp.surface.tools.record import Tool

FAILED: Final = 1
USAGE: Final = 2

T = TypeVar("T")
A = TypeVar("A", bound=Model)


def run(work: Callable[[App], Awaitable[T]], *, enriches: bool) -> T:
    """What `work` gives back; where it `enriches`, the inbox is worked through meanwhile.

    Raises:
        KomorebiError: It could not be done; the task group of the application may have wrapped it.
    """
    return anyio.run(partial(_within, ready_settings(), work, works=enriches))


def ready_settings(*, tells_itself: bool = False) -> Settings:
    """The settings; from here on logs go to stderr.

    A command that `tells_itself` what is wrong need not have it logged beside.

    Raises:
        ConfigError: One of them is wrong.
    """
    settings = load_settings()
    is_told = tells_itself and settings.log_level == "WARNING"
    configure_logs("ERROR" if is_told else settings.log_level, form=settings.log_format)
    return settings


def arguments(tool: Tool[A], **given: Any) -> A:
    """The tool's arguments, checked as a client's are; wrong ones end the command with status 2."""
    present = {name: value for name, value in given.items() if value is not None}
    try:
        return tool.arguments.model_validate(present)
    except ValidationError as error:
        refuse(for_people(str(invalid_arguments(tool.name, error, tool.demands))))


def refuse(message: str) -> NoReturn:
    """Ends the command with status 2, since it was called with something that it does not take."""
    typer.echo(f"komorebi-mcp: {message}", err=True)
    raise typer.Exit(USAGE)


async def _within(settings: Settings, work: Callable[[App], Awaitable[T]], *, works: bool) -> T:
    async with open_app(settings, works=works) as app:
        return await work(app)
