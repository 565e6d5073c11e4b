"""The tool that takes texts in."""

from datetime import datetime
from typing import Annotated

from mcp_types import ResourceLink
from pydantic import Field

from komorebi_mcp.domain.captures import (
    CaptureCreate,
    Key,
    Kind,
    ProjectName,
    Source,
    Status,
    Title,
)
from komorebi_mcp.domain.ids import capture_uri
from komorebi_mcp.domain.model import Model
from komorebi_mcp.surface.arguments import ListedTags
from komorebi_mcp.surface.rendering import counted
from komorebi_mcp.surface.tools.record import ADDS, Call, Reply, Result, Tool


class CaptureArguments(Model):
    content: Annotated[str, Field(description="Up to 1 MiB, kept as it is")]
    title: Title | None = None
    project: Annotated[ProjectName | None, Field(description="Created on first use")] = None
    tags: ListedTags = ()
    kind: Kind = Kind.NOTE
    source: Annotated[Source | None, Field(description="Where it comes from: a URL, file or tool")] = None
    key: Annotated[Key | None, Field(description="Same key again: nothing new, the first receipt")] = None


class CaptureReceipt(Result):
    id: str
    uri: str
    status: Status
    created: bool
    created_at: datetime
    duplicate_of: str | None = None
    redactions: int


async def _run(call: Call, arguments: CaptureArguments) -> Reply:
    # The arguments are of the same types, and have just been checked.
    create = CaptureCreate.model_construct(**dict(arguments))
    receipt = await call.app.capture.capture(call.owner, create)
    structured = CaptureReceipt(**dict(receipt), uri=capture_uri(receipt.id))
    said = [
        f"Captured as {receipt.id}."
        if receipt.created
        else f"Captured earlier under this key, as {receipt.id}."
    ]
    if receipt.duplicate_of:
        said.append(f"The same text is already there as {receipt.duplicate_of}.")
    if receipt.redactions:
        said.append(f"{counted(receipt.redactions, 'secret')} found.")
    link = ResourceLink(
        name=receipt.id,
        title=arguments.title,
        uri=structured.uri,
        mime_type="application/json",
    )
    return Reply(structured, " ".join(said), (link,))


CAPTURE = Tool(
    name="capture",
    title="Capture",
    description=(
        "Keep a text for good. It is on disk once this returns, and is titled and indexed in the background. "
        "Call it whenever something is worth keeping."
    ),
    arguments=CaptureArguments,
    result=CaptureReceipt,
    annotations=ADDS,
    run=_run,
)
