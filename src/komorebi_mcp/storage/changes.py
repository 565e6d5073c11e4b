"""Changing and forgetting captures that are there."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, case, literal

from komorebi_mcp.domain.captures import TAGS_MAX, CaptureUpdate, Status
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.storage import enrichments, leaves, scopes, wiping
from komorebi_mcp.storage.duplicates import fingerprint, settle
from komorebi_mcp.storage.intake import provisional_title
from komorebi_mcp.storage.owned import AnyRow, Rows, among, batches, canonical
from komorebi_mcp.storage.project_rows import ensure_projects, touch_projects
from komorebi_mcp.storage.tables import capture_tags, captures
from komorebi_mcp.text.snippets import head

_REQUEUED: dict[str, Any] = {"attempts": 0, "lease": None, "failure": None}


def update(rows: Rows, ids: Sequence[str], change: CaptureUpdate) -> None:
    """Applies the change to those captures that exist; all but a title also to the passages behind them."""
    found = _rows_of(rows, ids)
    if change.content is not None and any(row.group_id is not None for row in found):
        raise InvalidInput(
            "This capture is a passage of a longer text, whose content stays as it is. "
            "Call capture with the new text, and forget_captures for the old one."
        )
    _apply(rows, found, change)
    _apply(rows, _following(rows, found), change.model_copy(update={"title": None}))


def _apply(rows: Rows, found: Sequence[AnyRow], change: CaptureUpdate) -> None:
    if not found or change == CaptureUpdate():
        return
    seqs = [row.seq for row in found]
    touched = {row.project_id for row in found}
    groups = {(row.project_id, row.fingerprint) for row in found}
    _change_tags(rows, found, add=change.add_tags, remove=change.remove_tags)
    values = _values(rows, change)
    leaves.mark(rows, seqs)
    if change.project is not None:
        values["project_id"] = ensure_projects(rows, [change.project])[change.project]
        touched.add(values["project_id"])
    if change.content is not None:
        enrichments.drop(rows, seqs)
        wiping.mark(rows.connection)
    for some in batches(seqs):
        rows.run(rows.update(captures).where(among(captures.c.seq, some)).values(values))
    if change.content is None and (change.project or change.kind or change.add_tags or change.remove_tags):
        scopes.rescope(rows, seqs)
    if change.status is Status.COMPACTED:
        # Said by hand; the summary that covers it is still to be made.
        for project_id, held in _by_project(found, values).items():
            leaves.place(rows, project_id, held)
    if change.content is not None or change.project is not None:
        now = {
            (values.get("project_id", row.project_id), values.get("fingerprint", row.fingerprint))
            for row in found
        }
        settle(rows, groups | now)
    touch_projects(rows, touched)


def _by_project(found: Sequence[AnyRow], values: dict[str, Any]) -> dict[int, list[int]]:
    """The captures of each project they are in now, unfiled ones left out."""
    grouped: dict[int, list[int]] = {}
    for row in found:
        project_id = values.get("project_id", row.project_id)
        if project_id is not None:
            grouped.setdefault(project_id, []).append(row.seq)
    return grouped


def _values(rows: Rows, change: CaptureUpdate) -> dict[str, Any]:
    now = rows.clock()
    values: dict[str, Any] = {"updated_at": now}
    if change.kind is not None:
        values["kind"] = change.kind.value
    if change.title is not None:
        values |= {"title": change.title, "title_given": True}
    if change.content is not None:
        snippet = head(change.content)
        values |= {
            "content": change.content,
            "chars": len(change.content),
            "fingerprint": fingerprint(change.content),
            "snippet": snippet,
            "status": Status.INBOX.value,
            "tokens": None,
            "language": None,
            "keywords": [],
            "redactions": change.redactions or 0,
        }
        if change.title is None:
            values["title"] = case(
                (captures.c.title_given, captures.c.title), else_=literal(provisional_title(snippet))
            )
    if change.project is not None and change.content is None:
        # No summary of the other project covers it yet.
        covered = captures.c.status == Status.COMPACTED.value
        values["status"] = case((covered, Status.PROCESSED.value), else_=captures.c.status)
    if change.status is not None:
        values["status"] = change.status.value
    # Whatever is indexed beside the content makes a finding under way stale, and the index row too.
    indexed = (change.title, change.content, change.project)
    if (
        any(part is not None for part in indexed)
        or change.add_tags
        or change.remove_tags
        or change.status is Status.INBOX
    ):
        values |= {**_REQUEUED, "due_at": now}
    return values


def _change_tags(rows: Rows, found: Sequence[AnyRow], *, add: Sequence[str], remove: Sequence[str]) -> None:
    if not add and not remove:
        return
    tag = capture_tags.c
    created_at = {row.seq: row.created_at for row in found}
    seqs = list(created_at)
    present: dict[int, dict[str, int]] = {seq: {} for seq in seqs}
    for some in batches(seqs):
        for seq, name, position in rows.run(
            rows.select(tag.seq, tag.tag, tag.position, of=capture_tags).where(among(tag.seq, some))
        ):
            present[seq][name] = position
    added: list[dict[str, Any]] = []
    for seq, names in present.items():
        kept = {name: position for name, position in names.items() if name not in remove}
        fresh = [name for name in add if name not in kept and name not in remove]
        if len(kept) + len(fresh) > TAGS_MAX:
            raise InvalidInput(
                f"A capture carries at most {TAGS_MAX} tags. Take some away with remove_tags first."
            )
        start = max(kept.values(), default=-1) + 1
        added += [
            {"seq": seq, "tag": name, "position": start + place, "created_at": created_at[seq]}
            for place, name in enumerate(fresh)
        ]
    if remove:
        for some in batches(seqs):
            rows.run(rows.delete(capture_tags).where(among(tag.seq, some), tag.tag.in_(remove)))
    rows.insert(capture_tags, added)


def forget(rows: Rows, ids: Sequence[str]) -> list[str]:
    """Purges the captures and the passages of their groups; the ids given that were there, in their order."""
    found = _rows_of(rows, ids)
    found += _following(rows, found)
    seqs = [row.seq for row in found]
    enrichments.drop(rows, seqs)
    wiping.mark(rows.connection)
    leaves.release(rows, seqs)
    for table in (capture_tags, captures):
        for some in batches(seqs):
            rows.run(rows.delete(table).where(among(table.c.seq, some)))
    settle(rows, {(row.project_id, row.fingerprint) for row in found})
    touch_projects(rows, (row.project_id for row in found))
    gone = {row.id for row in found}
    return [capture_id for capture_id in dict.fromkeys(ids) if capture_id in gone]


def _rows_of(rows: Rows, ids: Sequence[str]) -> list[AnyRow]:
    return _locked(rows, captures.c.id, canonical(ids))


def _following(rows: Rows, found: Sequence[AnyRow]) -> list[AnyRow]:
    """The passages that follow first ones among those found, and are not found themselves."""
    seqs = {row.seq for row in found}
    heads = [row.id for row in found if row.group_id == row.id]
    return [row for row in _locked(rows, captures.c.group_id, heads) if row.seq not in seqs]


def _locked(rows: Rows, column: Column[str], values: Sequence[str]) -> list[AnyRow]:
    row = captures.c
    found: list[AnyRow] = []
    for some in batches(values):
        columns = (row.seq, row.id, row.project_id, row.fingerprint, row.group_id, row.created_at)
        statement = rows.select(*columns, of=captures).where(among(column, some))
        # In one order always: PostgreSQL locks these rows, and the workers' claims lock the same ones.
        found += rows.run(statement.order_by(row.seq).with_for_update())
    return found
