"""`komorebi-mcp capture`: keep a text of any size."""

import sys
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Annotated

import anyio
import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.progress import INTERRUPTED, bytes_bar
from komorebi_mcp.cli.reading import chunks, opened, size_of
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.domain.captures import (
    SOURCE_CHARS_MAX,
    TITLE_CHARS_MAX,
    CaptureCreate,
    Kind,
    Receipt,
    Status,
)
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.services.passages import Progress
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.capture import CAPTURE, CaptureReceipt

_ENRICHMENT_WAIT_S = 2.0
"""The receipt is out by then; a process that ends at once would leave the enrichment to the next one."""


def capture(
    text: Annotated[str | None, typer.Argument(help="The text to store, or - to read it from stdin.")] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="Store the content of this file instead.")] = None,
    title: Annotated[str | None, typer.Option(help="A title; made from the text if left out.")] = None,
    project: Annotated[
        str | None, typer.Option(help="The project it belongs to; created on first use.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for several.")] = None,
    kind: Annotated[Kind, typer.Option(help="What kind of text it is.")] = Kind.NOTE,
    source: Annotated[
        str | None,
        typer.Option(help="Where it comes from: a URL, a file, a tool. With --file, that file by default."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Your own name for it; nothing is stored twice under it, an interrupted capture continues."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Store a text. It is on disk once its id is printed.

    Text from a pipe or a file may be of any size; over 1 MiB it is stored as a group of passages.
    """
    if (text is None) == (file is None):
        raise typer.BadParameter("Give a text, - to read stdin, or --file.")
    if file is not None:
        source = source or _printable(str(file))[:SOURCE_CHARS_MAX]
        title = title or _printable(file.name)[:TITLE_CHARS_MAX] or None
    checked = arguments(
        CAPTURE,
        content="-" if text is None else text,
        title=title,
        project=project,
        tags=tag,
        kind=kind,
        source=source,
        key=key,
    )
    about = CaptureCreate(**dict(checked))
    progress = Progress(stored=lambda _: None)

    async def keep(app: App) -> None:
        progress.receipt = await app.capture.capture(LOCAL_OWNER, about)
        progress.passages = 1

    async def take_in(app: App) -> None:
        with ExitStack() as stack:
            read = stack.enter_context(opened(file)) if file is not None else sys.stdin.buffer
            progress.stored = stack.enter_context(bytes_bar("capturing", total=size_of(read)))
            async with aclosing(chunks(read)) as arriving:
                await app.passages.take_in(LOCAL_OWNER, about, arriving, progress)

    async def work(app: App) -> None:
        await (take_in(app) if file is not None or text == "-" else keep(app))
        _tell(progress, as_json_wanted=json)
        if progress.receipt is not None and progress.passages == 1:
            app.start_enriching()
            await _see_enriched(app, progress.receipt)

    try:
        run(work, enriches=False)
    except KeyboardInterrupt:
        _tell_interrupted(progress, key)
        raise typer.Exit(INTERRUPTED) from None


def _printable(name: str) -> str:
    """A file's name, which may hold line breaks and bytes that are not UTF-8, as a text for people."""
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


def _tell(progress: Progress, *, as_json_wanted: bool) -> None:
    receipt = progress.receipt
    if receipt is None:
        return
    in_passages = progress.passages > 1
    if in_passages:
        told = {"created": progress.created > 0, "redactions": progress.redactions}
        receipt = receipt.model_copy(update=told)
    if as_json_wanted:
        shown = CaptureReceipt(**dict(receipt), uri=capture_uri(receipt.id)).model_dump(mode="json")
        as_json({**shown, "passages": progress.passages} if in_passages else shown)
    else:
        said = "captured"
        if not receipt.created:
            said = f"known under this key since {receipt.created_at.astimezone():%Y-%m-%d %H:%M}"
        notes = [f"same text as {receipt.duplicate_of}"] if receipt.duplicate_of else []
        notes += [counted(progress.passages, "passage")] if in_passages else []
        notes += [f"{counted(receipt.redactions, 'secret')} found"] if receipt.redactions else []
        line(console(), said, "  ", (receipt.id, "bold"), *(f"  ({note})" for note in notes))
    sys.stdout.flush()


def _tell_interrupted(progress: Progress, key: str | None) -> None:
    if progress.receipt is None:
        typer.echo("komorebi-mcp: Interrupted; nothing was kept.", err=True)
        return
    again = "Run it again with the same key to go on." if key else "With a --key it could go on."
    typer.echo(
        f"komorebi-mcp: Interrupted; the first {progress.bytes:,} bytes are kept as {progress.receipt.id}, "
        f"in {counted(progress.passages, 'passage')}. {again}",
        err=True,
    )


async def _see_enriched(app: App, receipt: Receipt) -> None:
    status = receipt.status
    with anyio.move_on_after(_ENRICHMENT_WAIT_S):
        while status is Status.INBOX:
            await anyio.sleep(0.02)
            status = (await app.find.read(LOCAL_OWNER, [receipt.id], max_tokens=1)).captures[0].status
