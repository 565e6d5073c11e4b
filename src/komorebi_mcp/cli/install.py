"""`komorebi-mcp install`: this server in a client's configuration."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.session import ready_settings
from komorebi_mcp.cli.show import as_json, console, line
from komorebi_mcp.domain.model import Model
from komorebi_mcp.services.clients import Client, document, entry_for, merged, place_of, write
from komorebi_mcp.settings import variables_elsewhere


class InstallReport(Model):
    """What became of the client's file."""

    client: Client
    file: str
    changed: bool
    """False where it said so already."""
    backup: str | None
    """Where the file that was there is kept."""


def install(
    *,
    client: Annotated[Client, typer.Option(help="The client to configure.")],
    name: Annotated[str, typer.Option(help="The server's name in the client.")] = "komorebi",
    file: Annotated[
        Path | None, typer.Option(help="The client's configuration file, if it is not in the usual place.")
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print what would be written, and write nothing.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Add this server to a client's configuration; a copy of the old file is kept."""
    ready_settings()
    entry = entry_for(client, _command(), variables_elsewhere())
    if print_only:
        as_json(document(client, name, entry))
        return
    path = file or place_of(client)
    change = merged(path, client, name, entry)
    kept = write(path, change) if change.is_needed else None
    report = InstallReport(
        client=client, file=str(path), changed=change.is_needed, backup=None if kept is None else str(kept)
    )
    if json:
        as_json(report)
        return
    out = console()
    if not report.changed:
        line(out, f"{name} is already in {path}")
        return
    line(out, f"Added {name} to {path}", f"; the old file is kept as {kept}" if kept else "")
    line(out, (f"Restart {client.value} to see its tools.", "dim"))


def _command() -> list[str]:
    """How to start this program from anywhere: a client's PATH is often shorter than a terminal's."""
    for candidate in (sys.argv[0], "komorebi-mcp"):
        if found := shutil.which(candidate):
            return [str(Path(found).absolute()), "serve"]
    return [sys.executable, "-m", "komorebi_mcp.cli.main", "serve"]
