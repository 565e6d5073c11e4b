"""What one owner may be about to type: names, tags and ids that exist."""

import re

from sqlalchemy import Table, func, select

from komorebi_mcp.storage.owned import OwnedSession, Rows
from komorebi_mcp.storage.tables import capture_tags, captures, projects, summaries

NAMES_MAX = 1_000
"""As many are looked through; a person with more of them types on."""

_ID_DIGITS = 32
_ID_START = re.compile(r"[0-9a-f]{0,32}")


class CompletionRepository:
    """The values that one owner's data holds, within one transaction."""

    def __init__(self, session: OwnedSession) -> None:
        self._session = session

    async def project_names(self) -> list[str]:
        """The projects that are not archived, the last changed first; at most `NAMES_MAX`."""
        return await self._session.run(_project_names)

    async def tags(self) -> list[str]:
        """The tags in use, in alphabetical order; at most `NAMES_MAX`."""
        return await self._session.run(_tags)

    async def capture_ids(self, start: str, *, limit: int) -> list[str]:
        """Ids of captures that begin so, the newest first."""
        return await self._session.run(_ids, captures, start, limit=limit)

    async def summary_ids(self, start: str, *, limit: int) -> list[str]:
        """Ids of summaries that begin so, the newest first."""
        return await self._session.run(_ids, summaries, start, limit=limit)


def _project_names(rows: Rows) -> list[str]:
    row = projects.c
    found = rows.select(row.name, of=projects).where(row.archived.is_(False))
    return list(rows.run(found.order_by(row.updated_at.desc(), row.id.desc()).limit(NAMES_MAX)).scalars())


def _tags(rows: Rows) -> list[str]:
    # From each tag to the next in the index, since a tag stands there once per capture that carries it.
    tag = capture_tags.c.tag
    mine = rows.mine(capture_tags)
    found = select(func.min(tag).label("tag")).where(mine, tag > "").cte("found", recursive=True)
    following = select(func.min(tag)).where(mine, tag > found.c.tag).scalar_subquery()
    found = found.union_all(select(following).where(found.c.tag.is_not(None)))
    return [each for each in rows.run(select(found.c.tag).limit(NAMES_MAX)).scalars() if each is not None]


def _ids(rows: Rows, table: Table, start: str, *, limit: int) -> list[str]:
    digits = start.strip().lower().replace("-", "")
    if not _ID_START.fullmatch(digits):
        return []
    found = rows.select(table.c.id, of=table)
    if digits or table is not captures:
        least, most = (digits.ljust(_ID_DIGITS, filler) for filler in "0f")
        found = found.where(table.c.id.between(_hyphenated(least), _hyphenated(most)))
        found = found.order_by(table.c.id.desc())
    else:
        # Their order of arrival has an index of its own for each owner.
        found = found.order_by(captures.c.seq.desc())
    return list(rows.run(found.limit(limit)).scalars())


def _hyphenated(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
