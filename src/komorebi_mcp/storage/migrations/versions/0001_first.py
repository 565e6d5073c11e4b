"""The first schema."""

import secrets

import sqlalchemy as sa
from alembic import op

from komorebi_mcp.storage.columns import ExactText, Instant, RowNumber, TermVector
from komorebi_mcp.storage.migrations.first_full_text import FULL_TEXT, TRIGGERS, VOCABULARY
from komorebi_mcp.storage.migrations.first_statistics import STATISTICS

revision = "0001"
down_revision = None


def _captures_seq(*, primary_key: bool = True) -> sa.Column[int]:
    return sa.Column(
        "seq", RowNumber, sa.ForeignKey("captures.seq", ondelete="CASCADE"), primary_key=primary_key
    )


def _summaries_seq() -> sa.Column[int]:
    return sa.Column("seq", RowNumber, sa.ForeignKey("summaries.seq", ondelete="CASCADE"), primary_key=True)


def _owner() -> sa.Column[str]:
    return sa.Column("owner", sa.Text, nullable=False)


def _index(table: str, *columns: str, name: str | None = None, where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    name = name or f"ix_{table}_{'_'.join(columns)}"
    op.create_index(name, table, list(columns), sqlite_where=condition, postgresql_where=condition)


def _create_captures() -> None:
    op.create_table(
        "projects",
        sa.Column("id", RowNumber, primary_key=True),
        _owner(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", ExactText, nullable=False),
        sa.Column("goal", ExactText, nullable=False),
        sa.Column("archived", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.UniqueConstraint("owner", "name", name="uq_projects_owner_name"),
        sqlite_autoincrement=True,
    )
    _index("projects", "owner", "archived", "updated_at", "id")
    op.create_table(
        "captures",
        sa.Column("seq", RowNumber, primary_key=True),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        _owner(),
        sa.Column("project_id", RowNumber, sa.ForeignKey("projects.id")),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("title_given", sa.Boolean, nullable=False),
        sa.Column("snippet", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("tokens", sa.Integer),
        sa.Column("language", sa.Text),
        sa.Column("keywords", sa.JSON, nullable=False),
        sa.Column("redactions", sa.Integer, nullable=False),
        sa.Column("duplicate_of", sa.Uuid(as_uuid=False)),
        sa.Column("group_id", sa.Uuid(as_uuid=False)),
        sa.Column("group_position", sa.Integer),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("due_at", Instant),
        sa.Column("failure", ExactText),
        sa.Column("chars", sa.Integer, nullable=False),
        sa.Column("content", ExactText, nullable=False),
        sa.UniqueConstraint("id", name="uq_captures_id"),
        sa.UniqueConstraint("owner", "key", name="uq_captures_owner_key"),
        sqlite_autoincrement=True,
    )
    counted = ("kind", "status", "chars")
    _index("captures", "owner", "created_at", "seq", *counted, name="ix_captures_in_time")
    _index("captures", "owner", "status", "created_at", "seq")
    _index("captures", "owner", "project_id", "created_at", "seq", *counted, name="ix_captures_of_project")
    _index("captures", "owner", "fingerprint", "project_id")
    _index("captures", "owner", "seq")
    _index("captures", "owner", "seq", name="ix_captures_unindexed", where="tokens IS NULL")
    _index("captures", "due_at", "seq", name="ix_captures_due", where="due_at IS NOT NULL")
    _index("captures", "seq", name="ix_captures_set_aside", where="failure IS NOT NULL")
    _index(
        "captures", "group_id", "group_position", name="ix_captures_passages", where="group_id IS NOT NULL"
    )
    uncovered = "status = 'processed' AND project_id IS NOT NULL"
    _index("captures", "owner", "project_id", "seq", name="ix_captures_uncovered", where=uncovered)
    _index(
        "captures", "owner", "kind", "created_at", "seq", name="ix_captures_of_kind", where="kind <> 'note'"
    )
    _index(
        "captures",
        "owner",
        "source",
        "created_at",
        "seq",
        name="ix_captures_of_source",
        where="source IS NOT NULL",
    )


def _create_parts() -> None:
    op.create_table(
        "capture_tags",
        _owner(),
        _captures_seq(),
        sa.Column("tag", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    _index("capture_tags", "tag", "owner", "created_at", "seq")
    op.create_table(
        "entities",
        _owner(),
        _captures_seq(),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", ExactText, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
    )
    op.create_table(
        "capture_index",
        _captures_seq(),
        _owner(),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("asks", sa.Boolean, nullable=False),
        sa.Column("tells_when", sa.Boolean, nullable=False),
        sa.Column("vector", TermVector),
    )


def _create_resumes() -> None:
    op.create_table(
        "resumes",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("project_id", RowNumber, primary_key=True, autoincrement=False),
        sa.Column("at", Instant, nullable=False),
    )


def _create_summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("seq", RowNumber, primary_key=True),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        _owner(),
        sa.Column("project_id", RowNumber, sa.ForeignKey("projects.id")),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("sentences", sa.JSON, nullable=False),
        sa.Column("covers", sa.JSON, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("max_tokens", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("position", sa.Integer),
        sa.Column("version", sa.Integer),
        sa.Column("input_hash", sa.Text),
        sa.Column("statistics", sa.JSON),
        sa.UniqueConstraint("id", name="uq_summaries_id"),
        sa.UniqueConstraint(
            "owner", "project_id", "level", "position", name="uq_summaries_owner_project_id_level_position"
        ),
        sqlite_autoincrement=True,
    )
    _index("summaries", "owner", "project_id", "whole", "seq")
    op.create_table(
        "summary_sources",
        _owner(),
        _summaries_seq(),
        sa.Column("capture_id", sa.Uuid(as_uuid=False), primary_key=True),
    )
    _index("summary_sources", "capture_id", "owner")
    op.create_table(
        "summary_children",
        _owner(),
        _summaries_seq(),
        sa.Column("child_id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    _index("summary_children", "child_id", "owner")
    op.create_table(
        "leaves",
        _owner(),
        sa.Column("project_id", RowNumber, sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("capture_seq", RowNumber, sa.ForeignKey("captures.seq", ondelete="SET NULL")),
        sa.Column("edited", sa.Integer, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.UniqueConstraint("capture_seq", "project_id", name="uq_leaves_capture_seq_project_id"),
    )
    _index("leaves", "owner", "project_id", "position", name="ix_leaves_due", where="edited > seen")


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        _owner(),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant),
        sa.Column("revoked_at", Instant),
        sa.Column("used_at", Instant),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )


def _create_upstreams() -> None:
    op.create_table(
        "upstream_offers",
        sa.Column("upstream", sa.Text, primary_key=True),
        sa.Column("reached", sa.Text, nullable=False),
        sa.Column("era", sa.Text, nullable=False),
        sa.Column("offer", sa.Text, nullable=False),
        sa.Column("listed_at", Instant, nullable=False),
    )
    op.create_table(
        "upstream_pins",
        sa.Column("seen", RowNumber, primary_key=True),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("offered", sa.Text),
        sa.Column("pinned_at", Instant, nullable=False),
        sa.Column("offered_at", Instant),
        sa.UniqueConstraint("upstream", "kind", "name", name="uq_upstream_pins_upstream_kind_name"),
        sqlite_autoincrement=True,
    )


def _create_bands() -> None:
    op.create_table(
        "capture_bands",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("band", sa.BigInteger, primary_key=True),
        sa.Column("seq", RowNumber, primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("seq", RowNumber, primary_key=True),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        _owner(),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", ExactText),
        sa.Column("result", ExactText),
        sa.Column("error", ExactText),
        sa.Column("requests", ExactText),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("lease_until", Instant, nullable=False),
        sa.UniqueConstraint("id", name="uq_tasks_id"),
        sqlite_autoincrement=True,
    )
    _index("tasks", "owner", "seq")
    _index("tasks", "expires_at")


def upgrade() -> None:
    _create_captures()
    _create_parts()
    _create_summaries()
    _create_resumes()
    _create_tokens()
    _create_upstreams()
    _create_bands()
    _create_tasks()
    meta = op.create_table(
        "meta", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(meta, [{"name": "cursor_key", "value": secrets.token_hex(32)}])
    if op.get_context().dialect.name == "sqlite":
        for statement in (FULL_TEXT, VOCABULARY, *TRIGGERS):
            op.execute(statement)
        op.execute("ANALYZE")
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        op.execute(sa.delete(statistics))
        op.bulk_insert(
            statistics, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in STATISTICS]
        )
        # This connection goes back to the pool, and is to know them too.
        op.execute("ANALYZE sqlite_master")
    else:
        op.create_index("ix_capture_index_vector", "capture_index", ["vector"], postgresql_using="gin")
