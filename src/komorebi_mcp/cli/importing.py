"""`komorebi-mcp import`: captures from a file."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.progress import INTERRUPTED, bytes_bar, enriched
from komorebi_mcp.cli.reading import opened, size_of
from komorebi_mcp.cli.session import FAILED, run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import KomorebiError
from komorebi_mcp.services.importing import Imported, Refusal
from komorebi_mcp.surface.principal import LOCAL_OWNER


class RefusedRow(Model):
    """A row that was not stored."""

    line: int
    reason: str


class ImportReport(Model):
    """What has become of the rows."""

    created: int
    known: int
    """Stored by an earlier row or run."""
    redactions: int
    refused: tuple[RefusedRow, ...]


def import_file(
    file: Annotated[
        Path,
        typer.Argument(help="A file of JSON lines, one capture each, or - for stdin.", allow_dash=True),
    ],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return only once all are enriched.")] = False,
    json: AsJson = False,
) -> None:
    """Store captures from JSON lines; those already there are skipped.

    A row has content, and may have title, project, tags, kind, source, key, created_at, status and id.
    If a row is refused the others are stored, and the exit status is 1.
    """
    imported = Imported(refuse=_tell_refused, stored=lambda _: None)

    async def work(app: App) -> None:
        with ExitStack() as stack:
            read = sys.stdin.buffer if str(file) == "-" else stack.enter_context(opened(file))
            imported.stored = stack.enter_context(bytes_bar("importing", total=size_of(read)))
            await app.importer.import_rows(LOCAL_OWNER, read, imported)
        if wait:
            app.start_enriching()
            await enriched(app)

    try:
        run(work, enriches=False)
    except KeyboardInterrupt:
        typer.echo(
            f"komorebi-mcp: Interrupted; {counted(imported.created, 'row')} stored. Run it again to go on.",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    except (KomorebiError, BaseExceptionGroup):
        if imported.created:
            typer.echo(
                f"komorebi-mcp: {counted(imported.created, 'row')} stored before it failed. "
                "Run it again to go on.",
                err=True,
            )
        raise
    _tell(imported, as_json_wanted=json)
    if imported.refused:
        raise typer.Exit(FAILED)


def _tell_refused(refusal: Refusal) -> None:
    typer.echo(f"komorebi-mcp: line {refusal.line}: {refusal.reason}", err=True)


def _tell(imported: Imported, *, as_json_wanted: bool) -> None:
    if as_json_wanted:
        refused = tuple(RefusedRow(line=each.line, reason=each.reason) for each in imported.refused)
        as_json(
            ImportReport(
                created=imported.created,
                known=imported.known,
                redactions=imported.redactions,
                refused=refused,
            )
        )
        return
    notes = [f"{imported.known:,} known"] if imported.known else []
    notes += [f"{len(imported.refused):,} refused"] if imported.refused else []
    notes += [f"{counted(imported.redactions, 'secret')} found"] if imported.redactions else []
    line(console(), f"{counted(imported.created, 'capture')} imported", *(f", {note}" for note in notes))
