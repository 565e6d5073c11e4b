"""Which captures are copies of an earlier one: same owner, same project or unfiled both, same content."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select

from komorebi_mcp.storage.owned import Rows, among, batches, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.tables import captures

Group = tuple[int | None, str]
"""Project and fingerprint."""


# Made once: building a statement costs more than running it.
_FIRST_COPIES = Prepared(
    select(captures.c.project_id, captures.c.fingerprint, captures.c.id).where(
        of_owner(captures), in_list(captures.c.fingerprint, "prints"), captures.c.duplicate_of.is_(None)
    )
)


def fingerprint(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def first_copies(rows: Rows, fingerprints: Iterable[str]) -> dict[Group, str]:
    """The id of the first stored copy of each content, by project."""
    found: dict[Group, str] = {}
    for some in batches(dict.fromkeys(fingerprints)):
        for project_id, print_, capture_id in rows.fetch(_FIRST_COPIES, prints=some):
            found[project_id, print_] = capture_id
    return found


def settle(rows: Rows, groups: Iterable[Group]) -> None:
    """Makes the earliest capture of each group its first copy again, and the others copies of it."""
    wanted = set(groups)
    members: dict[Group, list[Any]] = defaultdict(list)
    for some in batches({print_ for _, print_ in wanted}):
        columns = (
            captures.c.seq,
            captures.c.id,
            captures.c.duplicate_of,
            captures.c.project_id,
            captures.c.fingerprint,
        )
        statement = rows.select(*columns, of=captures).where(among(captures.c.fingerprint, some))
        for row in rows.run(statement.order_by(captures.c.seq)):
            members[row.project_id, row.fingerprint].append(row)
    changes = []
    for group in wanted & members.keys():
        first = members[group][0]
        for row in members[group]:
            right = None if row is first else first.id
            if row.duplicate_of != right:
                changes.append({"of_seq": row.seq, "now": right})
    if changes:
        moved = rows.update(captures).where(captures.c.seq == bindparam("of_seq"))
        rows.run(moved.values(duplicate_of=bindparam("now")), changes)
