"""`komorebi-mcp capture`: keep a text."""

import sys
from typing import Annotated

import anyio
import typer

from komorebi_mcp.app import App
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.session import arguments, run
from komorebi_mcp.cli.show import as_json, console, counted, line
from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX, CaptureCreate, Kind, Receipt, Status
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.errors import InvalidInput, TooLarge
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.capture import CAPTURE, CaptureReceipt

_ENRICHMENT_WAIT_S = 2.0
"""The receipt is out by then; a process that ends at once would leave the enrichment to the next one."""


def capture(
    text: Annotated[str, typer.Argument(help="The text to keep, or - to read it from stdin.")],
    *,
    title: Annotated[str | None, typer.Option(help="Made from the text where not given.")] = None,
    project: Annotated[str | None, typer.Option(help="Where it belongs; created on first use.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Repeat it for several.")] = None,
    kind: Annotated[Kind, typer.Option(help="What sort of text it is.")] = Kind.NOTE,
    source: Annotated[str | None, typer.Option(help="Where it comes from: a URL, a file, a tool.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Sent again under the same key, it is not kept twice.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Keep a text. It is on disk once its id is printed."""
    content = _read_stdin() if text == "-" else text
    checked = arguments(
        CAPTURE, content=content, title=title, project=project, tags=tag, kind=kind, source=source, key=key
    )

    async def work(app: App) -> None:
        receipt = await app.capture.capture(LOCAL_OWNER, CaptureCreate(**dict(checked)))
        _tell(receipt, as_json_wanted=json)
        await _see_enriched(app, receipt)

    run(work)


def _read_stdin() -> str:
    raw = sys.stdin.buffer.read(CONTENT_BYTES_MAX + 1)
    if len(raw) > CONTENT_BYTES_MAX:
        raise TooLarge(
            f"stdin holds more than {CONTENT_BYTES_MAX:,} bytes, the most that one capture takes. "
            "Nothing was kept; split the text and capture its parts."
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"stdin is not UTF-8 at byte {error.start}. Nothing was kept; convert it, as with iconv."
        ) from None


def _tell(receipt: Receipt, *, as_json_wanted: bool) -> None:
    if as_json_wanted:
        as_json(CaptureReceipt(**dict(receipt), uri=capture_uri(receipt.id)))
    else:
        said = "captured" if receipt.created else "known under this key since"
        parts = (
            [said, f" {receipt.created_at.astimezone():%Y-%m-%d %H:%M}"] if not receipt.created else [said]
        )
        notes = [f"same text as {receipt.duplicate_of}"] if receipt.duplicate_of else []
        notes += [f"{counted(receipt.redactions, 'secret')} found"] if receipt.redactions else []
        line(console(), "".join(parts), "  ", (receipt.id, "bold"), *(f"  ({note})" for note in notes))
    sys.stdout.flush()


async def _see_enriched(app: App, receipt: Receipt) -> None:
    status = receipt.status
    with anyio.move_on_after(_ENRICHMENT_WAIT_S):
        while status is Status.INBOX:
            await anyio.sleep(0.02)
            status = (await app.find.read(LOCAL_OWNER, [receipt.id], max_tokens=1)).captures[0].status
