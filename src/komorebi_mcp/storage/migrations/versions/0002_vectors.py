"""Vectors that a model makes of captures."""

import sqlalchemy as sa
from alembic import op

from komorebi_mcp.storage.columns import RowNumber

revision = "0002"
down_revision = "0001"

_SEEK_BY_OWNER = "ix_capture_vectors_owner_model_place"
# As for the other tables: of a store of half a million captures.
_STATISTICS = (
    ("capture_vectors", _SEEK_BY_OWNER, "500000 500000 500000 1"),
    ("capture_vectors", "sqlite_autoindex_capture_vectors_1", "500000 1"),
)


def upgrade() -> None:
    op.create_table(
        "capture_vectors",
        sa.Column("place", RowNumber, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("seq", RowNumber, sa.ForeignKey("capture_index.seq", ondelete="CASCADE"), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("seq", name="uq_capture_vectors_seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(_SEEK_BY_OWNER, "capture_vectors", ["owner", "model", "place"])
    if op.get_context().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        op.bulk_insert(
            statistics, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in _STATISTICS]
        )
        # This connection goes back to the pool, and is to know them too.
        op.execute("ANALYZE sqlite_master")
