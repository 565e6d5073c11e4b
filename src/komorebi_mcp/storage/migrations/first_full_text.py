"""What the first schema adds on SQLite for full-text search, and what keeps it in step with its table."""

# Terms arrive reduced, one space apart: nothing but white space may part them, and nothing may change them.
FULL_TEXT = """
CREATE VIRTUAL TABLE capture_search USING fts5(
    terms, meta, scope,
    content = 'capture_index', content_rowid = 'seq',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
)
"""
VOCABULARY = "CREATE VIRTUAL TABLE capture_vocabulary USING fts5vocab('capture_search', 'row')"
_ADD = (
    "INSERT INTO capture_search(rowid, terms, meta, scope) VALUES (new.seq, new.terms, new.meta, new.scope)"
)
_REMOVE = (
    "INSERT INTO capture_search(capture_search, rowid, terms, meta, scope) "
    "VALUES ('delete', old.seq, old.terms, old.meta, old.scope)"
)
TRIGGERS = (
    f"CREATE TRIGGER capture_index_added AFTER INSERT ON capture_index BEGIN {_ADD}; END",
    f"CREATE TRIGGER capture_index_changed AFTER UPDATE ON capture_index BEGIN {_REMOVE}; {_ADD}; END",
    f"CREATE TRIGGER capture_index_removed AFTER DELETE ON capture_index BEGIN {_REMOVE}; END",
)
