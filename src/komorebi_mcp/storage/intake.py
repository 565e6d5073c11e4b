"""Taking captures in: few statements, however many there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from komorebi_mcp.domain.captures import CaptureCreate, Receipt, Status
from komorebi_mcp.domain.ids import new_id
from komorebi_mcp.storage.duplicates import fingerprint, first_copies
from komorebi_mcp.storage.owned import Rows, batches, canonical, of_owner
from komorebi_mcp.storage.prepared import Prepared, in_list
from komorebi_mcp.storage.project_rows import ensure_projects, touch_projects
from komorebi_mcp.storage.tables import capture_tags, captures
from komorebi_mcp.text.snippets import head

# Made once: building a statement costs more than running it.
_KNOWN = select(
    captures.c.key,
    captures.c.id,
    captures.c.status,
    captures.c.created_at,
    captures.c.duplicate_of,
    captures.c.redactions,
).where(of_owner(captures))
_KNOWN_KEYS = Prepared(_KNOWN.where(in_list(captures.c.key, "names")))
_KNOWN_IDS = Prepared(_KNOWN.where(in_list(captures.c.id, "names")))
_NUMBERS = Prepared(
    select(captures.c.id, captures.c.seq, captures.c.created_at).where(
        of_owner(captures), in_list(captures.c.id, "ids")
    )
)

TITLE_CHARS = 80
"""How much of the snippet stands for a title until there is a better one."""


def provisional_title(snippet: str) -> str:
    return snippet[:TITLE_CHARS].strip() or "Untitled"


def add_all(rows: Rows, items: Sequence[CaptureCreate]) -> list[Receipt]:
    """Stores those whose key is new; a receipt for each, in the given order.

    A write transaction has the owner to itself, so what is looked up here stays true until it commits.
    """
    known = _known(rows, items)
    fresh = _first_of_each_name(items, known)
    project_ids = ensure_projects(rows, (item.project for item in fresh if item.project is not None))
    prints = [_print(item) for item in fresh]
    firsts = first_copies(rows, prints)
    now = rows.clock()
    created: list[Receipt] = []
    stored: list[dict[str, Any]] = []
    for item, print_ in zip(fresh, prints, strict=True):
        capture_id = item.id or new_id()
        project_id = None if item.project is None else project_ids[item.project]
        first = firsts.setdefault((project_id, print_), capture_id)
        receipt = Receipt(
            id=capture_id,
            status=item.status,
            created=True,
            created_at=item.created_at or now,
            duplicate_of=None if first == capture_id else first,
            redactions=item.redactions,
        )
        created.append(receipt)
        snippet = head(item.content)
        stored.append(
            {
                "id": capture_id,
                "project_id": project_id,
                "title": item.title or provisional_title(snippet),
                "title_given": item.title is not None,
                "snippet": snippet,
                "kind": item.kind.value,
                "source": item.source,
                "key": item.key,
                "fingerprint": print_,
                "status": receipt.status.value,
                "keywords": [],
                "redactions": item.redactions,
                "duplicate_of": receipt.duplicate_of,
                "group_id": None if item.passage is None else item.passage.group,
                "group_position": None if item.passage is None else item.passage.position,
                "created_at": receipt.created_at,
                "updated_at": now,
                "attempts": 0,
                "due_at": now,
                "chars": len(item.content),
                "content": item.content,
            }
        )
    rows.insert(captures, stored)
    _insert_tags(
        rows, {receipt.id: item.tags for receipt, item in zip(created, fresh, strict=True) if item.tags}
    )
    touch_projects(rows, project_ids.values())
    return _answers(items, known, created)


def _print(item: CaptureCreate) -> str:
    if item.passage is None:
        return fingerprint(item.content)
    # A part of a text is nobody's copy: folded under another one, it would be missing from the text.
    return fingerprint(f"{item.passage.group}/{item.passage.position}")


_Name = tuple[str, str]
"""What a caller calls a capture by, its key or its id, and which of the two it is."""


def _names(item: CaptureCreate) -> list[_Name]:
    given = (("key", item.key), ("id", item.id))
    return [(kind, name) for kind, name in given if name is not None]


def _first_of_each_name(items: Sequence[CaptureCreate], known: dict[_Name, Receipt]) -> list[CaptureCreate]:
    fresh: list[CaptureCreate] = []
    taken = set(known)
    for item in items:
        names = _names(item)
        if taken.isdisjoint(names):
            taken.update(names)
            fresh.append(item)
    return fresh


def _answers(
    items: Sequence[CaptureCreate], known: dict[_Name, Receipt], created: list[Receipt]
) -> list[Receipt]:
    answers: list[Receipt] = []
    coming = iter(created)
    for item in items:
        names = _names(item)
        earlier = next((known[name] for name in names if name in known), None)
        if earlier is not None:
            answers.append(earlier)
            continue
        receipt = next(coming)
        answers.append(receipt)
        known |= dict.fromkeys(names, receipt.model_copy(update={"created": False}))
    return answers


def _known(rows: Rows, items: Sequence[CaptureCreate]) -> dict[_Name, Receipt]:
    """The receipts of captures that are stored already, by each of their names."""
    keys = dict.fromkeys(item.key for item in items if item.key is not None)
    ids = canonical(item.id for item in items if item.id is not None)
    known: dict[_Name, Receipt] = {}
    for statement, names in ((_KNOWN_KEYS, keys), (_KNOWN_IDS, ids)):
        for some in batches(names):
            for found in rows.fetch(statement, names=some):
                receipt = Receipt(
                    id=found.id,
                    status=Status(found.status),
                    created=False,
                    created_at=found.created_at,
                    duplicate_of=found.duplicate_of,
                    redactions=found.redactions,
                )
                known["id", found.id] = receipt
                if found.key is not None:
                    known["key", found.key] = receipt
    return known


def _insert_tags(rows: Rows, tags: dict[str, Sequence[str]]) -> None:
    for some in batches(tags):
        found = rows.fetch(_NUMBERS, ids=some)
        rows.insert(
            capture_tags,
            [
                {"seq": seq, "tag": tag, "position": position, "created_at": created_at}
                for capture_id, seq, created_at in found
                for position, tag in enumerate(tags[capture_id])
            ],
        )
