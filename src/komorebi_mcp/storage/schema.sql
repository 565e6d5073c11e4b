-- Made by scripts/reference.py; add a migration, and run it.

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE projects (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	owner TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	goal TEXT NOT NULL,
	archived BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT uq_projects_owner_name UNIQUE (owner, name)
);

CREATE INDEX ix_projects_owner_archived_updated_at_id ON projects (owner, archived, updated_at, id);

CREATE TABLE captures (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id CHAR(32) NOT NULL,
	owner TEXT NOT NULL,
	project_id INTEGER,
	title TEXT NOT NULL,
	title_given BOOLEAN NOT NULL,
	snippet TEXT NOT NULL,
	kind TEXT NOT NULL,
	source TEXT,
	"key" TEXT,
	fingerprint TEXT NOT NULL,
	status TEXT NOT NULL,
	tokens INTEGER,
	language TEXT,
	keywords JSON NOT NULL,
	redactions INTEGER NOT NULL,
	duplicate_of CHAR(32),
	group_id CHAR(32),
	group_position INTEGER,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	attempts INTEGER NOT NULL,
	lease TEXT,
	due_at BIGINT,
	failure TEXT,
	chars INTEGER NOT NULL,
	content TEXT NOT NULL,
	CONSTRAINT uq_captures_id UNIQUE (id),
	CONSTRAINT uq_captures_owner_key UNIQUE (owner, "key"),
	FOREIGN KEY(project_id) REFERENCES projects (id)
);

CREATE INDEX ix_captures_in_time ON captures (owner, created_at, seq, kind, status, chars);

CREATE INDEX ix_captures_owner_status_created_at_seq ON captures (owner, status, created_at, seq);

CREATE INDEX ix_captures_of_project ON captures (owner, project_id, created_at, seq, kind, status, chars);

CREATE INDEX ix_captures_owner_fingerprint_project_id ON captures (owner, fingerprint, project_id);

CREATE INDEX ix_captures_owner_seq ON captures (owner, seq);

CREATE INDEX ix_captures_unindexed ON captures (owner, seq) WHERE tokens IS NULL;

CREATE INDEX ix_captures_due ON captures (due_at, seq) WHERE due_at IS NOT NULL;

CREATE INDEX ix_captures_set_aside ON captures (seq) WHERE failure IS NOT NULL;

CREATE INDEX ix_captures_passages ON captures (group_id, group_position) WHERE group_id IS NOT NULL;

CREATE INDEX ix_captures_uncovered ON captures (owner, project_id, seq) WHERE status = 'processed' AND project_id IS NOT NULL;

CREATE INDEX ix_captures_of_kind ON captures (owner, kind, created_at, seq) WHERE kind <> 'note';

CREATE INDEX ix_captures_of_source ON captures (owner, source, created_at, seq) WHERE source IS NOT NULL;

CREATE TABLE capture_tags (
	owner TEXT NOT NULL,
	seq INTEGER NOT NULL,
	tag TEXT NOT NULL,
	position INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (seq, tag),
	FOREIGN KEY(seq) REFERENCES captures (seq) ON DELETE CASCADE
);

CREATE INDEX ix_capture_tags_tag_owner_created_at_seq ON capture_tags (tag, owner, created_at, seq);

CREATE TABLE entities (
	owner TEXT NOT NULL,
	seq INTEGER NOT NULL,
	position INTEGER NOT NULL,
	type TEXT NOT NULL,
	value TEXT NOT NULL,
	start INTEGER NOT NULL,
	"end" INTEGER NOT NULL,
	PRIMARY KEY (seq, position),
	FOREIGN KEY(seq) REFERENCES captures (seq) ON DELETE CASCADE
);

CREATE TABLE capture_index (
	seq INTEGER NOT NULL,
	owner TEXT NOT NULL,
	signature BLOB,
	terms TEXT NOT NULL,
	meta TEXT NOT NULL,
	scope TEXT NOT NULL,
	length INTEGER NOT NULL,
	asks BOOLEAN NOT NULL,
	tells_when BOOLEAN NOT NULL,
	vector TEXT,
	PRIMARY KEY (seq),
	FOREIGN KEY(seq) REFERENCES captures (seq) ON DELETE CASCADE
);

CREATE TABLE summaries (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id CHAR(32) NOT NULL,
	owner TEXT NOT NULL,
	project_id INTEGER,
	whole BOOLEAN NOT NULL,
	scope JSON NOT NULL,
	sentences JSON NOT NULL,
	covers JSON NOT NULL,
	level INTEGER NOT NULL,
	method TEXT NOT NULL,
	rejected INTEGER NOT NULL,
	truncated BOOLEAN NOT NULL,
	max_tokens INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	position INTEGER,
	version INTEGER,
	input_hash TEXT,
	statistics JSON,
	CONSTRAINT uq_summaries_id UNIQUE (id),
	CONSTRAINT uq_summaries_owner_project_id_level_position UNIQUE (owner, project_id, level, position),
	FOREIGN KEY(project_id) REFERENCES projects (id)
);

CREATE INDEX ix_summaries_owner_project_id_whole_seq ON summaries (owner, project_id, whole, seq);

CREATE TABLE summary_sources (
	owner TEXT NOT NULL,
	seq INTEGER NOT NULL,
	capture_id CHAR(32) NOT NULL,
	PRIMARY KEY (seq, capture_id),
	FOREIGN KEY(seq) REFERENCES summaries (seq) ON DELETE CASCADE
);

CREATE INDEX ix_summary_sources_capture_id_owner ON summary_sources (capture_id, owner);

CREATE TABLE summary_children (
	owner TEXT NOT NULL,
	seq INTEGER NOT NULL,
	child_id CHAR(32) NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (seq, child_id),
	FOREIGN KEY(seq) REFERENCES summaries (seq) ON DELETE CASCADE
);

CREATE INDEX ix_summary_children_child_id_owner ON summary_children (child_id, owner);

CREATE TABLE leaves (
	owner TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	position INTEGER NOT NULL,
	capture_seq INTEGER,
	edited INTEGER NOT NULL,
	seen INTEGER NOT NULL,
	PRIMARY KEY (project_id, position),
	CONSTRAINT uq_leaves_capture_seq_project_id UNIQUE (capture_seq, project_id),
	FOREIGN KEY(project_id) REFERENCES projects (id),
	FOREIGN KEY(capture_seq) REFERENCES captures (seq) ON DELETE SET NULL
);

CREATE INDEX ix_leaves_due ON leaves (owner, project_id, position) WHERE edited > seen;

CREATE TABLE resumes (
	owner TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (owner, project_id)
);

CREATE TABLE tokens (
	id TEXT NOT NULL,
	digest TEXT NOT NULL,
	owner TEXT NOT NULL,
	scopes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	revoked_at BIGINT,
	used_at BIGINT,
	PRIMARY KEY (id),
	CONSTRAINT uq_tokens_digest UNIQUE (digest)
);

CREATE TABLE upstream_offers (
	upstream TEXT NOT NULL,
	reached TEXT NOT NULL,
	era TEXT NOT NULL,
	offer TEXT NOT NULL,
	listed_at BIGINT NOT NULL,
	PRIMARY KEY (upstream)
);

CREATE TABLE upstream_pins (
	seen INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	upstream TEXT NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	definition TEXT NOT NULL,
	offered TEXT,
	pinned_at BIGINT NOT NULL,
	offered_at BIGINT,
	CONSTRAINT uq_upstream_pins_upstream_kind_name UNIQUE (upstream, kind, name)
);

CREATE TABLE capture_bands (
	owner TEXT NOT NULL,
	band BIGINT NOT NULL,
	seq INTEGER NOT NULL,
	PRIMARY KEY (owner, band, seq)
)
 WITHOUT ROWID;

CREATE TABLE tasks (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id CHAR(32) NOT NULL,
	owner TEXT NOT NULL,
	status TEXT NOT NULL,
	message TEXT,
	result TEXT,
	error TEXT,
	requests TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	CONSTRAINT uq_tasks_id UNIQUE (id)
);

CREATE INDEX ix_tasks_owner_seq ON tasks (owner, seq);

CREATE INDEX ix_tasks_expires_at ON tasks (expires_at);

CREATE TABLE meta (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (name)
);

CREATE VIRTUAL TABLE capture_search USING fts5(
    terms, meta, scope,
    content = 'capture_index', content_rowid = 'seq',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
);

CREATE VIRTUAL TABLE capture_vocabulary USING fts5vocab('capture_search', 'row');

CREATE TRIGGER capture_index_added AFTER INSERT ON capture_index BEGIN INSERT INTO capture_search(rowid, terms, meta, scope) VALUES (new.seq, new.terms, new.meta, new.scope); END;

CREATE TRIGGER capture_index_changed AFTER UPDATE ON capture_index BEGIN INSERT INTO capture_search(capture_search, rowid, terms, meta, scope) VALUES ('delete', old.seq, old.terms, old.meta, old.scope); INSERT INTO capture_search(rowid, terms, meta, scope) VALUES (new.seq, new.terms, new.meta, new.scope); END;

CREATE TRIGGER capture_index_removed AFTER DELETE ON capture_index BEGIN INSERT INTO capture_search(capture_search, rowid, terms, meta, scope) VALUES ('delete', old.seq, old.terms, old.meta, old.scope); END;

CREATE TABLE capture_vectors (
	place INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	owner TEXT NOT NULL,
	seq INTEGER NOT NULL,
	model TEXT NOT NULL,
	vector BLOB NOT NULL,
	CONSTRAINT uq_capture_vectors_seq UNIQUE (seq),
	FOREIGN KEY(seq) REFERENCES capture_index (seq) ON DELETE CASCADE
);

CREATE INDEX ix_capture_vectors_owner_model_place ON capture_vectors (owner, model, place);

ANALYZE;

DELETE FROM sqlite_stat1;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_bands', 'capture_bands', '8000000 8000000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_index', NULL, '1000000');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_tags', 'ix_capture_tags_tag_owner_created_at_seq', '1000000 10000 10000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_tags', 'sqlite_autoindex_capture_tags_1', '1000000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_vectors', 'ix_capture_vectors_owner_model_place', '500000 500000 500000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('capture_vectors', 'sqlite_autoindex_capture_vectors_1', '500000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_due', '500 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_in_time', '1000000 1000000 2 1 1 1 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_of_kind', '300000 300000 50000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_of_project', '1000000 1000000 10000 2 1 1 1 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_of_source', '500000 500000 1000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_owner_fingerprint_project_id', '1000000 1000000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_owner_seq', '1000000 1000000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_owner_status_created_at_seq', '1000000 1000000 250000 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_passages', '100000 200 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_set_aside', '10 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_uncovered', '500 500 100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'ix_captures_unindexed', '500 500 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'sqlite_autoindex_captures_1', '1000000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('captures', 'sqlite_autoindex_captures_2', '1000000 1000000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('entities', 'sqlite_autoindex_entities_1', '1000000 10 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('leaves', 'ix_leaves_due', '500 500 100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('leaves', 'sqlite_autoindex_leaves_1', '1000000 10000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('leaves', 'sqlite_autoindex_leaves_2', '1000000 1 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('projects', 'ix_projects_owner_archived_updated_at_id', '1000 1000 900 2 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('projects', 'sqlite_autoindex_projects_1', '1000 1000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('resumes', 'sqlite_autoindex_resumes_1', '100 100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summaries', 'ix_summaries_owner_project_id_whole_seq', '100000 100000 200 100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summaries', 'sqlite_autoindex_summaries_1', '100000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summaries', 'sqlite_autoindex_summaries_2', '100000 100000 200 40 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summary_children', 'ix_summary_children_child_id_owner', '100000 1 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summary_children', 'sqlite_autoindex_summary_children_1', '100000 10 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summary_sources', 'ix_summary_sources_capture_id_owner', '1000000 2 2');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('summary_sources', 'sqlite_autoindex_summary_sources_1', '1000000 10 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('tasks', 'ix_tasks_expires_at', '1000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('tasks', 'ix_tasks_owner_seq', '1000 1000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('tasks', 'sqlite_autoindex_tasks_1', '1000 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('tokens', 'sqlite_autoindex_tokens_1', '100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('tokens', 'sqlite_autoindex_tokens_2', '100 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('upstream_offers', 'sqlite_autoindex_upstream_offers_1', '20 1');

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('upstream_pins', 'sqlite_autoindex_upstream_pins_1', '2000 100 90 1');

INSERT INTO alembic_version (version_num) VALUES ('0002');
