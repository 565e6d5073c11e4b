"""The tables. Each one that holds somebody's data has an `owner`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from komorebi_mcp.storage.columns import ExactText, Instant, RowNumber, TermVector

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", ExactText, nullable=False),
    Column("goal", ExactText, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("owner", "name"),
    Index(None, "owner", "archived", "updated_at", "id"),
    sqlite_autoincrement=True,
)

captures = Table(
    "captures",
    metadata,
    # Arrival order; never used twice, so a cursor behind a forgotten capture stays right.
    Column("seq", RowNumber, primary_key=True),
    Column("id", Uuid(as_uuid=False), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("project_id", RowNumber, ForeignKey("projects.id")),
    Column("title", Text, nullable=False),
    Column("title_given", Boolean, nullable=False),
    Column("snippet", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text),
    Column("key", Text),
    Column("fingerprint", Text, nullable=False),
    Column("status", Text, nullable=False),
    # None until enriched: such a capture has no row in capture_index yet.
    Column("tokens", Integer),
    Column("language", Text),
    Column("keywords", JSON, nullable=False),
    Column("redactions", Integer, nullable=False),
    Column("duplicate_of", Uuid(as_uuid=False)),
    # Both None but for passages; the group is the id of the first one, whose position is 1.
    Column("group_id", Uuid(as_uuid=False)),
    Column("group_position", Integer),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease", Text),
    # When the background may claim it; None where there is nothing to do.
    Column("due_at", Instant),
    Column("failure", ExactText),
    Column("chars", Integer, nullable=False),
    # The last column, so that lists need not read past a long text to reach the others.
    Column("content", ExactText, nullable=False),
    UniqueConstraint("owner", "key"),
    # What follows their `seq` is for counting over time, which then reads the index alone.
    Index("ix_captures_in_time", "owner", "created_at", "seq", "kind", "status", "chars"),
    Index(None, "owner", "status", "created_at", "seq"),
    Index("ix_captures_of_project", "owner", "project_id", "created_at", "seq", "kind", "status", "chars"),
    Index(None, "owner", "fingerprint", "project_id"),
    Index(None, "owner", "seq"),
    # These are partial, on `tokens IS NULL`, `due_at IS NOT NULL`, `failure IS NOT NULL`, `group_id IS NOT
    # NULL`, on being processed and in a project, on `kind <> 'note'` and `source IS NOT NULL`. Only the
    # migration says so, since naming an option of PostgreSQL imports its dialect.
    Index("ix_captures_unindexed", "owner", "seq"),
    Index("ix_captures_due", "due_at", "seq"),
    Index("ix_captures_set_aside", "seq"),
    Index("ix_captures_passages", "group_id", "group_position"),
    Index("ix_captures_uncovered", "owner", "project_id", "seq"),
    Index("ix_captures_of_kind", "owner", "kind", "created_at", "seq"),
    Index("ix_captures_of_source", "owner", "source", "created_at", "seq"),
    sqlite_autoincrement=True,
)

capture_tags = Table(
    "capture_tags",
    metadata,
    Column("owner", Text, nullable=False),
    Column("seq", RowNumber, ForeignKey("captures.seq", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    # The capture's own, which never changes: a list by tag reads its page from the index below.
    Column("created_at", Instant, nullable=False),
    # Not owner first: SQLite would take it for lookups by seq, and read all of an owner.
    Index(None, "tag", "owner", "created_at", "seq"),
)

entities = Table(
    "entities",
    metadata,
    Column("owner", Text, nullable=False),
    Column("seq", RowNumber, ForeignKey("captures.seq", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("value", ExactText, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
)

capture_index = Table(
    "capture_index",
    metadata,
    Column("seq", RowNumber, ForeignKey("captures.seq", ondelete="CASCADE"), primary_key=True),
    Column("owner", Text, nullable=False),
    # Before the long columns, so that it is read without them.
    Column("signature", LargeBinary),
    # Index terms in order, one space apart.
    Column("terms", Text, nullable=False),
    Column("meta", Text, nullable=False),
    # Tokens for owner and project, so that SQLite's index filters by them itself.
    Column("scope", Text, nullable=False),
    Column("length", Integer, nullable=False),
    # Whether the content is a question, and whether it says when something happens.
    Column("asks", Boolean, nullable=False),
    Column("tells_when", Boolean, nullable=False),
    # Filled on PostgreSQL alone, where it has a GIN index; SQLite has capture_search, kept by triggers.
    Column("vector", TermVector),
)

# What a model makes of captures: see `vectors`. It goes with the row of the index, edits included.
capture_vectors = Table(
    "capture_vectors",
    metadata,
    # Grows with each one that is kept, so that what came since is found.
    Column("place", RowNumber, primary_key=True),
    Column("owner", Text, nullable=False),
    Column(
        "seq", RowNumber, ForeignKey("capture_index.seq", ondelete="CASCADE"), nullable=False, unique=True
    ),
    Column("model", Text, nullable=False),
    # One signed byte a dimension.
    Column("vector", LargeBinary, nullable=False),
    Index(None, "owner", "model", "place"),
    sqlite_autoincrement=True,
)

summaries = Table(
    "summaries",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("id", Uuid(as_uuid=False), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("project_id", RowNumber, ForeignKey("projects.id")),
    # True where the scope is the project and nothing narrower.
    Column("whole", Boolean, nullable=False),
    Column("scope", JSON, nullable=False),
    Column("sentences", JSON, nullable=False),
    Column("covers", JSON, nullable=False),
    Column("level", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("max_tokens", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    # The rest is filled in nodes of a pyramid alone.
    Column("position", Integer),
    Column("version", Integer),
    Column("input_hash", Text),
    # What nodes above need to know: see `domain.pyramid.NodeContent`.
    Column("statistics", JSON),
    Index(None, "owner", "project_id", "whole", "seq"),
    # Any number of summaries have no position.
    UniqueConstraint("owner", "project_id", "level", "position"),
    sqlite_autoincrement=True,
)

# The places at the foot of each project's pyramid. A row is never deleted, so that no other leaf shifts.
leaves = Table(
    "leaves",
    metadata,
    Column("owner", Text, nullable=False),
    Column("project_id", RowNumber, ForeignKey("projects.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    # None where the capture was forgotten.
    Column("capture_seq", RowNumber, ForeignKey("captures.seq", ondelete="SET NULL")),
    # Due where the first is greater: how often the capture changed, and which change nodes have seen.
    Column("edited", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    UniqueConstraint("capture_seq", "project_id"),
    # Partial, on `edited > seen`.
    Index("ix_leaves_due", "owner", "project_id", "position"),
)

# When each project was last resumed; the number 0 stands for all of them together.
resumes = Table(
    "resumes",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("project_id", RowNumber, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
)

summary_sources = Table(
    "summary_sources",
    metadata,
    Column("owner", Text, nullable=False),
    Column("seq", RowNumber, ForeignKey("summaries.seq", ondelete="CASCADE"), primary_key=True),
    Column("capture_id", Uuid(as_uuid=False), primary_key=True),
    Index(None, "capture_id", "owner"),
)

summary_children = Table(
    "summary_children",
    metadata,
    Column("owner", Text, nullable=False),
    Column("seq", RowNumber, ForeignKey("summaries.seq", ondelete="CASCADE"), primary_key=True),
    Column("child_id", Uuid(as_uuid=False), primary_key=True),
    Column("position", Integer, nullable=False),
    Index(None, "child_id", "owner"),
)

# Not owned: a token is looked up by its digest before anybody knows whose it is.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    # One space apart.
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("used_at", Instant),
)

# Not owned: every owner reaches the same upstreams.
upstream_offers = Table(
    "upstream_offers",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("reached", Text, nullable=False),
    Column("era", Text, nullable=False),
    Column("offer", Text, nullable=False),
    Column("listed_at", Instant, nullable=False),
)

upstream_pins = Table(
    "upstream_pins",
    metadata,
    # Whoever was seen first has the smaller one.
    Column("seen", RowNumber, primary_key=True),
    Column("upstream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("offered", Text),
    Column("pinned_at", Instant, nullable=False),
    Column("offered_at", Instant),
    UniqueConstraint("upstream", "kind", "name"),
    sqlite_autoincrement=True,
)

# Which captures may be near-duplicates: see `near_duplicates`. Whoever forgets a capture deletes its rows: a
# foreign key would need an index of its own.
capture_bands = Table(
    "capture_bands",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("band", BigInteger, primary_key=True),
    Column("seq", RowNumber, primary_key=True),
    sqlite_with_rowid=False,
)

tasks = Table(
    "tasks",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("id", Uuid(as_uuid=False), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("message", ExactText),
    # JSON as text: a result is another server's, and may hold what a database's own JSON does not.
    Column("result", ExactText),
    Column("error", ExactText),
    Column("requests", ExactText),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("lease_until", Instant, nullable=False),
    Index(None, "owner", "seq"),
    sqlite_autoincrement=True,
)

OWNED = frozenset(
    {
        projects,
        resumes,
        captures,
        capture_tags,
        entities,
        capture_index,
        capture_vectors,
        summaries,
        summary_sources,
        summary_children,
        leaves,
        capture_bands,
        tasks,
    }
)
"""Tables of which no transaction may read or write a row without naming its owner."""
