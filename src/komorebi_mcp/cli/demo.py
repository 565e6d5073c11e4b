"""`komorebi-mcp demo`: what Komorebi does, shown on a few texts in a folder that is gone afterwards."""

import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from komorebi_mcp.app import App, open_app
from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.progress import enriched
from komorebi_mcp.cli.show import as_json, console, counted, line, marked
from komorebi_mcp.domain.captures import CaptureCreate, CaptureFilter, Kind
from komorebi_mcp.domain.resume import Resume
from komorebi_mcp.domain.summaries import Scope, Summary
from komorebi_mcp.services.find import SearchResult
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.principal import LOCAL_OWNER
from komorebi_mcp.surface.tools.find import HitRow
from komorebi_mcp.surface.tools.resume import ResumeResult
from komorebi_mcp.surface.tools.summarize import CitedSummary

_PROJECT = "importer"
_QUERY = "why did row 4711 fail"
_SUMMARY_TOKENS = 120
_TEXTS: tuple[tuple[Kind, str], ...] = (
    (
        Kind.NOTE,
        "Kick-off of the importer. It reads the monthly export of every office into one table.",
    ),
    (Kind.DECISION, "We decided to keep the raw files for 90 days, since auditors ask for them."),
    (Kind.NOTE, "The Lisbon office sends 48,000 rows a month, more than all others together."),
    (Kind.ERROR, "ValueError: row 4711 has no time zone (src/importer.py:212)"),
    (
        Kind.LOG,
        """09:14:02 INFO reading lisbon-2026-02.csv
09:14:07 ERROR row 4711: no time zone
09:14:07 ERROR giving up after 4710 rows""",
    ),
    (
        Kind.NOTE,
        "Row 4711 came from the Lisbon office. Their export writes names of zones such as WEST, not offsets.",
    ),
    (Kind.NOTE, "Who tells Lisbon to change their export? Rui is on leave until the 9th."),
    (Kind.DECISION, "We agreed to map the zone names ourselves and to log each one we do not know."),
    (Kind.NOTE, "The mapping works: all 48,000 rows of Lisbon are in, 31 with an unknown zone."),
    (Kind.LINK, "List of zone abbreviations we map: https://www.iana.org/time-zones"),
    (Kind.NOTE, "Still open: what to do with the 31 rows. TODO: ask the auditors whether UTC will do."),
)


def demo(*, json: AsJson = False) -> None:
    """Show captures, a search, a summary and a resume on sample texts; your own data is not touched."""
    with tempfile.TemporaryDirectory(prefix="komorebi-demo-") as folder:
        anyio.run(partial(_show, Path(folder), as_json_wanted=json))


async def _show(home: Path, *, as_json_wanted: bool) -> None:
    settings = Settings(
        home=home,
        database_url=f"sqlite+aiosqlite:///{home}/komorebi.db",
        upstreams=home / "upstreams.json",
    )
    async with open_app(settings) as app:
        ids = await _captured(app)
        await enriched(app)
        found = await app.find.search(LOCAL_OWNER, _QUERY, CaptureFilter(), limit=3)
        summary = await app.summarize.summarize(
            LOCAL_OWNER, Scope(project=_PROJECT), max_tokens=_SUMMARY_TOKENS
        )
        resumed = await app.resume.resume(LOCAL_OWNER, project=_PROJECT)
    if as_json_wanted:
        as_json(_document(ids, found, summary, resumed))
    else:
        _tell(home, ids, found, summary, resumed)


async def _captured(app: App) -> list[str]:
    """The ids of the sample texts, as though they had been captured over the last days."""
    first = app.clock() - timedelta(hours=5 * len(_TEXTS))
    ids = []
    for number, (kind, content) in enumerate(_TEXTS):
        at = first + timedelta(hours=5 * number)
        create = CaptureCreate(content=content, kind=kind, project=_PROJECT, created_at=at)
        ids.append((await app.capture.capture(LOCAL_OWNER, create)).id)
    return ids


def _document(ids: list[str], found: SearchResult, summary: Summary, resumed: Resume) -> dict[str, Any]:
    return {
        "captured": ids,
        "hits": [HitRow.of(hit).model_dump(mode="json") for hit in found.hits],
        "summary": CitedSummary.of(summary).model_dump(mode="json"),
        "resume": ResumeResult.of(resumed).model_dump(mode="json"),
    }


def _tell(home: Path, ids: list[str], found: SearchResult, summary: Summary, resumed: Resume) -> None:
    out = console()
    line(out, ("1  Captured", "bold"), f"  {counted(len(ids), 'text')} of a project, on disk in {home}")
    for _, content in _TEXTS[:3]:
        line(out, "   ", (content.partition("\n")[0], "dim"))
    line(out, "   ", ("…", "dim"))
    line(out)
    line(out, ("2  Found", "bold"), f"  {_QUERY}")
    for hit in found.hits:
        line(out, "   ", *marked(hit.snippet))
    line(out)
    line(
        out,
        ("3  Summarized", "bold"),
        f"  within {_SUMMARY_TOKENS} tokens, each sentence with its source",
    )
    numbers = {capture_id: number for number, capture_id in enumerate(ids, start=1)}
    for sentence in summary.sentences:
        marks = ", ".join(str(numbers[source]) for source in sentence.sources)
        line(out, "   ", " ".join(sentence.text.split()), (f" [{marks}]", "cyan"))
    line(out)
    line(out, ("4  Resumed", "bold"), "  where you left off, what was decided, what is open")
    for section in resumed.sections:
        for item in section.items[:2]:
            line(out, "   ", (f"{section.heading}: ", "green"), item.text)
    line(out)
    line(out, "The folder is gone. Next: ", ("komorebi-mcp install --client claude-desktop", "bold"))
