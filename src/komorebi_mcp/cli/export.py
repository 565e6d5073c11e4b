"""`komorebi-mcp export` and `backup`: what was kept, somewhere else."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import anyio.to_thread
import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.progress import INTERRUPTED, bytes_bar, captures_bar
from komorebi_mcp.cli.session import run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.services.export import count, json_lines, vault
from komorebi_mcp.surface.principal import LOCAL_OWNER

Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


class Format(StrEnum):
    """What captures are written as."""

    JSONL = "jsonl"
    VAULT = "vault"


class ExportReport(Model):
    """What was written."""

    file: str
    format: Format
    captures: int
    files: int


class BackupReport(Model):
    """What was written."""

    file: str
    bytes: int


def export(
    file: Annotated[Path, typer.Argument(help="The file to write, or - for stdout; with vault, the folder.")],
    *,
    format: Annotated[  # noqa: A002 - the option's name.
        Format, typer.Option(help="JSON lines for import, or a folder of Markdown files.")
    ] = Format.JSONL,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Write all captures to a file or folder, to read elsewhere or import again."""
    to_stdout = str(file) == "-" and format is Format.JSONL
    if not to_stdout:
        _refuse_what_is_there(file, force=force, empty_folder=format is Format.VAULT)

    async def work(app: App) -> ExportReport:
        with captures_bar("exporting", total=await count(app.store, LOCAL_OWNER)) as done:
            if format is Format.VAULT:
                _make_folder(file)
                captures, files = await _write_vault(app, file, done)
            else:
                with _written(file, to_stdout=to_stdout) as out:
                    captures = await _write_lines(app, out, done)
                files = 1
        return ExportReport(file=str(file), format=format, captures=captures, files=files)

    try:
        report = run(work, enriches=False)
    except KeyboardInterrupt:
        typer.echo("komorebi-mcp: Interrupted; the export is not complete. Run it again.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if to_stdout:
        return
    if json:
        as_json(report)
    else:
        told = f" in {counted(report.files, 'file')}" if format is Format.VAULT else ""
        line(console(), f"{counted(report.captures, 'capture')} exported to {file}{told}")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Copy the SQLite database to a file, while servers keep running."""
    _refuse_what_is_there(file, force=force)

    async def work(app: App) -> None:
        with bytes_bar("backing up", total=None) as done:
            await app.store.back_up(file, copied=lambda copied, _total: done(copied))

    run(work, enriches=False)
    report = BackupReport(file=str(file), bytes=file.stat().st_size)
    if json:
        as_json(report)
    else:
        line(console(), f"{report.bytes:,} bytes backed up to {file}")


def _refuse_what_is_there(path: Path, *, force: bool, empty_folder: bool = False) -> None:
    is_free = not path.exists() or (empty_folder and path.is_dir() and not any(path.iterdir()))
    if not is_free and force and path.is_dir() != empty_folder:
        what = "folder" if path.is_dir() else "file"
        raise InvalidInput(f"{path} is a {what}, which is not overwritten. Name another one.")
    if not is_free and not force:
        raise InvalidInput(f"{path} already exists. Name another one, or add --force to overwrite it.")


async def _write_lines(app: App, out: BinaryIO, done: Callable[[int], None]) -> int:
    captures = 0
    async with aclosing(json_lines(app.store, LOCAL_OWNER)) as parts:
        async for part in parts:
            await anyio.to_thread.run_sync(out.write, part.data)
            captures += part.captures
            done(captures)
    return captures


async def _write_vault(app: App, folder: Path, done: Callable[[int], None]) -> tuple[int, int]:
    captures = files = 0
    async with aclosing(vault(app.store, app.summarize, LOCAL_OWNER)) as parts:
        async for part in parts:
            await anyio.to_thread.run_sync(_write_file, folder.joinpath(*part.path.parts), part.data)
            captures += part.captures
            files += 1
            done(captures)
    return captures, files


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, error) from error


def _write_file(path: Path, data: bytes) -> None:
    _make_folder(path.parent)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _cannot_be_written(path, error) from error


@contextmanager
def _written(path: Path, *, to_stdout: bool) -> Iterator[BinaryIO]:
    """A file that is there once it is complete, readable by its owner alone."""
    if to_stdout:
        yield sys.stdout.buffer
        return
    partial = path.with_name(f".{path.name}.part")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:  # noqa: PTH123 - the rights.
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _cannot_be_written(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"{path} cannot be written: {error.strerror}. Check its folder, rights and space.")
