"""Options that several commands have in common."""

from typing import Annotated

import typer

from komorebi_mcp.domain.captures import Kind, Status

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in the shape the MCP tool returns.")]
Project = Annotated[str | None, typer.Option(help="Only this project.")]
OfStatus = Annotated[
    Status | None, typer.Option(help="Only this status; archived captures show only when asked for.")
]
OfKind = Annotated[Kind | None, typer.Option(help="Only this kind.")]
WithTags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only with this tag; repeat it for several, or write 'a | b' for either."),
]
Since = Annotated[
    str | None,
    typer.Option(
        help="From this time on: an ISO 8601 date or time, or words such as yesterday or last week."
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Before this time; words that name a day, week or month mean its end.")
]
Limit = Annotated[int | None, typer.Option(help="At most this many (default 20, up to 100).")]
Cursor = Annotated[str | None, typer.Option(help="Continue from the cursor that the previous page printed.")]
