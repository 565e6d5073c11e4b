"""What commands print, and how they end, run in this process on a real file."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from komorebi_mcp.app import open_app
from komorebi_mcp.cli import wording
from komorebi_mcp.domain.captures import CaptureCreate
from komorebi_mcp.settings import Settings
from support.commands import Komorebi
from support.models import make_model

pytestmark = pytest.mark.slow


def capture(komorebi: Komorebi, *arguments: str, stdin: bytes = b"") -> str:
    ended = komorebi("capture", *arguments, "--json", stdin=stdin)
    assert ended.status == 0, ended.err
    captured_id: str = ended.json["id"]
    return captured_id


def test_a_captured_text_is_listed_found_and_summarized(komorebi: Komorebi) -> None:
    text = "We decided to ship the importer on Friday."
    captured = capture(komorebi, text, "--project", "garden", "--kind", "decision", "--tag", "release")
    listed = komorebi("list", "--project", "garden", "--json").json["captures"]
    assert [(c["id"], c["kind"], c["tags"]) for c in listed] == [(captured, "decision", ["release"])]
    # Covered by a summary, where the command that lists had the time.
    assert listed[0]["status"] in {"processed", "compacted"}
    assert [hit["id"] for hit in komorebi("search", "importer friday", "--json").json["hits"]] == [captured]
    sentences = komorebi("summarize", "--project", "garden", "--json").json["sentences"]
    assert sentences == [{"text": text, "sources": [captured]}]
    assert komorebi("projects", "--json").json["projects"][0]["name"] == "garden"


def test_people_get_text_with_ids_to_go_on_with(komorebi: Komorebi) -> None:
    first = komorebi("capture", "The importer fails on row 4711.", "--project", "garden", "--key", "k")
    captured = first.out.split()[1]
    assert first.out.startswith("captured  ")
    assert komorebi("capture", "Anything else.", "--key", "k").out.startswith("known under this key since")
    assert captured in komorebi("list").out
    assert captured in komorebi("search", "importer").out
    assert f"[1] {captured}" in komorebi("summarize", "--id", captured).out
    assert komorebi("projects").out.startswith("garden  1 capture, ")


def test_the_same_text_again_is_told_of(komorebi: Komorebi) -> None:
    first = capture(komorebi, "Twice.")
    assert f"same text as {first}" in komorebi("capture", "Twice.").out


def test_what_comes_through_a_pipe_is_kept_byte_for_byte(komorebi: Komorebi) -> None:
    capture(komorebi, "-", "--title", "Piped", stdin="Zwei\r\nZeilen \N{GRINNING FACE}\n".encode())
    assert komorebi("list", "--json").json["captures"][0]["title"] == "Piped"


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        (b"a\xff", "not UTF-8 at byte 1. Convert it, as with iconv"),
        (b"", "empty"),
    ],
    ids=["not UTF-8", "empty"],
)
def test_a_pipe_that_cannot_be_kept_is_refused_with_its_reason(
    komorebi: Komorebi, stdin: bytes, reason: str
) -> None:
    ended = komorebi("capture", "-", stdin=stdin)
    assert (ended.status, ended.out) == (1, "")
    assert reason in ended.err
    assert ended.err.count("\n") == 1


def test_an_escape_sequence_in_a_capture_does_not_reach_the_terminal(komorebi: Komorebi) -> None:
    capture(komorebi, "\x1b]0;owned\x07Rename the window. \x1b[2J Clear it.")
    for arguments in (("list",), ("search", "window"), ("summarize", "--query", "window")):
        assert not {"\x1b", "\x07"} & set(komorebi(*arguments).out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--limit", "0"),
        ("list", "--since", "soon"),
        ("summarize", "--id", "x"),
        ("search", "a", "--tag", ""),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_one_line_and_status_two(komorebi: Komorebi, arguments: tuple[str, ...]) -> None:
    ended = komorebi(*arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sevre",),
        ("capture",),
        ("list", "--colour"),
        ("list", "--kind", "poem"),
        ("serve", "--transport", "carrier-pigeon"),
        ("serve", "--port", "70000"),
    ],
    ids=" ".join,
)
def test_words_that_make_no_command_are_one_plain_line_and_status_two(
    komorebi: Komorebi, arguments: tuple[str, ...]
) -> None:
    ended = komorebi(*arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("komorebi-mcp: ")
    assert ended.err.partition(" See `komorebi-mcp ")[0].endswith((".", "?"))
    assert ended.err.endswith("--help`.\n")
    assert ended.err.isascii()
    assert "Value error" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("summarize", "--project", "nowhere"), "Run `komorebi-mcp projects` for"),
        (("summarize", "--id", "x"), "Run `komorebi-mcp list` or `komorebi-mcp search` to"),
        (("search", " "), "run `komorebi-mcp list`."),
        (("capture", "-"), "Run `komorebi-mcp capture` with"),
        (("capture", ""), "Run `komorebi-mcp capture` with"),
    ],
    ids=["no such project", "no id", "an empty query", "nothing", "an empty text"],
)
def test_an_error_names_commands_to_a_person_and_not_tools(
    komorebi: Komorebi, arguments: tuple[str, ...], command: str
) -> None:
    assert command in komorebi(*arguments).err


def test_every_tool_that_an_error_sends_to_has_its_command() -> None:
    source = Path(wording.__file__).parents[1]
    floors = (source / floor for floor in ("domain", "services", "storage", "text"))
    sent = {
        move
        for file in (file for floor in floors for file in floor.rglob("*.py"))
        for move in re.findall(r"\b[Cc]all [a-z]+_[a-z]+\b", file.read_text(encoding="utf-8"))
    }
    assert sent
    assert not [move for move in sent if "komorebi-mcp" not in wording.for_people(move)]


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("komorebi-mcp time", "timeline"),
        ("komorebi-mcp list --ki", "--kind"),
        ("komorebi-mcp list --kind de", "decision"),
    ],
)
def test_a_shell_is_told_how_a_word_may_end(
    komorebi: Komorebi, monkeypatch: pytest.MonkeyPatch, begun: str, offered: str
) -> None:
    monkeypatch.setenv("_KOMOREBI_MCP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", begun)
    monkeypatch.setenv("COMP_CWORD", str(begun.count(" ")))
    ended = komorebi()
    assert (ended.status, ended.out.split()) == (0, [offered])


def test_what_is_not_there_is_one_line_and_status_one(komorebi: Komorebi) -> None:
    ended = komorebi("summarize", "--project", "nowhere")
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)


def test_a_page_says_how_to_get_the_next(komorebi: Komorebi) -> None:
    for number in range(3):
        capture(komorebi, f"Text number {number}.")
    first = komorebi("list", "--limit", "2").out
    cursor = first.split("--cursor ")[1].strip()
    assert "Text number 0." in komorebi("list", "--limit", "2", "--cursor", cursor).out


def test_a_short_command_leaves_what_waits_as_it_is(komorebi: Komorebi, tmp_path: Path) -> None:
    async def keep() -> None:
        settings = Settings(home=tmp_path)
        async with open_app(settings, works=False) as app:
            for number in range(6):
                content = f"Sentence {number} of a long log. " * 8_000
                await app.capture.capture("local", CaptureCreate(content=content))

    anyio.run(keep)
    for _ in range(3):
        assert komorebi("projects").status == 0
    with closing(sqlite3.connect(tmp_path / "komorebi.db")) as database:
        rows = database.execute("SELECT status, attempts, lease FROM captures").fetchall()
    assert rows == [("inbox", 0, None)] * 6


def test_doctor_finds_a_fresh_home_well(komorebi: Komorebi) -> None:
    assert komorebi("doctor").out.endswith("All is well.\n")
    found = komorebi("doctor", "--json").json
    assert (found["ok"], found["database"]["dialect"], found["backlog"]["waiting"]) == (True, "sqlite", 0)


def test_a_hit_names_what_says_almost_the_same(komorebi: Komorebi, tmp_path: Path) -> None:
    story = "The nightly import fails at row {}: its date column holds a time zone name. Ask Mei on Friday."
    rows = [{"content": story.format(number), "project": f"p{number}"} for number in (4711, 4712)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    komorebi("import", str(file), "--wait")
    [hit] = komorebi("search", "import 4711", "--json").json["hits"]
    assert f"\n  almost the same: {hit['also'][0]}\n1 hit" in komorebi("search", "import 4711").out


def test_doctor_says_whether_search_by_meaning_is_on_and_how_far_it_got(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        [line] = [line for line in komorebi("doctor").out.splitlines() if "search by meaning" in line]
        return re.split(r"\s{2,}", line.strip())[1]

    assert told() == "off"
    assert komorebi("doctor", "--json").json["semantic"] is None
    monkeypatch.setenv("KOMOREBI_SEMANTIC_MODEL", str(make_model(tmp_path / "tiny")))
    komorebi("import", str(_one_row(tmp_path)), "--wait")
    assert re.fullmatch(r"on, tiny:[0-9a-f]{8}, has read 1 of 1 capture", told())
    assert komorebi("search", "car", "--json").json["hits"][0]["title"] == "A vehicle."
    monkeypatch.setenv("KOMOREBI_SEMANTIC_MODEL", str(tmp_path))
    assert told() == "on, but the model cannot be loaded"
    ended = komorebi("doctor")
    assert ended.status == 1
    assert "KOMOREBI_SEMANTIC_MODEL: It cannot be read: Could not find expected model files" in ended.out
    assert ended.out.rstrip().endswith("Search works without it.")


def _one_row(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"content": "A vehicle."}))
    return path


def test_doctor_names_a_variable_that_is_no_setting(
    komorebi: Komorebi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOMOREBI_SUMARIZER", "auto")
    ended = komorebi("doctor")
    assert ended.status == 1
    assert "KOMOREBI_SUMARIZER is set and is no setting. Did you mean KOMOREBI_SUMMARIZER?" in ended.out


def test_doctor_keeps_names_and_values_apart(komorebi: Komorebi) -> None:
    told = komorebi("doctor").out.splitlines()
    entries = [line for line in told if line.startswith("  ")]
    assert entries
    assert all(len(re.split(r"\s{2,}", line.strip(), maxsplit=1)) == 2 for line in entries), entries


def test_doctor_names_a_wrong_upstream_and_one_that_does_not_start(
    komorebi: Komorebi, tmp_path: Path
) -> None:
    servers = {"empty": {}, "gone": {"command": str(tmp_path / "no-such-program")}}
    (tmp_path / "upstreams.json").write_text(json.dumps({"mcpServers": servers}, indent=2))
    ended = komorebi("doctor")
    assert ended.status == 1
    problems = [line for line in ended.out.splitlines() if line.startswith("problem")]
    assert len(problems) == 2
    assert "line 3: empty: " in problems[0]
    assert "gone" in problems[1]


def test_doctor_says_why_a_database_does_not_open_and_hides_its_password(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "komorebi.db").write_bytes(b"not a database" * 100)
    ended = komorebi("doctor")
    assert ended.status == 1
    assert "cannot be opened" in ended.out
    monkeypatch.setenv("KOMOREBI_DATABASE_URL", "postgresql+psycopg://me:hunter2@127.0.0.1:1/nowhere")
    refused = komorebi("doctor", "--json")
    assert refused.status == 1
    assert "hunter2" not in refused.out + refused.err


def test_migrate_says_where_the_schema_stands(komorebi: Komorebi, tmp_path: Path) -> None:
    assert komorebi("migrate").out.startswith(f"sqlite+aiosqlite:///{tmp_path}/komorebi.db is at schema ")
    assert komorebi("migrate", "--json").json["dialect"] == "sqlite"


def test_a_big_file_is_one_text_in_passages(komorebi: Komorebi, tmp_path: Path) -> None:
    big = tmp_path / "big.log"
    big.write_bytes(b"All went well in the greenhouse.\n" * 40_000)
    kept = komorebi("capture", "--file", str(big), "--key", "k", "--json").json
    assert kept["created"]
    assert kept["passages"] > 1
    again = komorebi("capture", "--file", str(big), "--key", "k", "--json").json
    assert (again["id"], again["created"], again["passages"]) == (kept["id"], False, kept["passages"])
    assert [c["title"] for c in komorebi("list", "--json").json["captures"]] == ["big.log"]


@pytest.mark.parametrize("arguments", [(), ("text", "--file", "x")], ids=["neither", "both"])
def test_capture_wants_either_a_text_or_a_file(komorebi: Komorebi, arguments: tuple[str, ...]) -> None:
    ended = komorebi("capture", *arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_a_file_is_captured_whatever_its_name(komorebi: Komorebi, tmp_path: Path) -> None:
    file = tmp_path / "log\udcff of\nMay.txt"
    file.write_text("It rained.")
    captured_id = capture(komorebi, "--file", str(file))
    (row,) = komorebi("list", "--json").json["captures"]
    assert (row["id"], row["title"]) == (captured_id, "log\ufffd of\ufffdMay.txt")


@pytest.mark.parametrize("command", [("capture", "--file"), ("import",)], ids=" ".join)
def test_a_file_that_is_not_there_is_one_line_and_status_one(
    komorebi: Komorebi, command: tuple[str, ...], tmp_path: Path
) -> None:
    ended = komorebi(*command, str(tmp_path / "none"))
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)


def test_an_import_tells_each_refused_row_and_waits_when_told_to(komorebi: Komorebi, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"content": "The first.", "key": "a"}\nnonsense\n{"content": "The last.", "project": "p"}\n'
    )
    ended = komorebi("import", str(file), "--wait", "--json")
    assert (ended.status, ended.json["created"], ended.json["known"]) == (1, 2, 0)
    assert ended.json["refused"] == [{"line": 2, "reason": "The line is not JSON at its column 1."}]
    assert ended.err == "komorebi-mcp: line 2: The line is not JSON at its column 1.\n"
    statuses = {capture["status"] for capture in komorebi("list", "--json").json["captures"]}
    assert statuses <= {"processed", "compacted"}
    assert komorebi("import", str(file)).out == "0 captures imported, 2 known, 1 refused\n"


def test_rows_are_imported_from_a_pipe(komorebi: Komorebi) -> None:
    rows = "".join(json.dumps({"content": text, "project": "p"}) + "\n" for text in ("One.", "Two."))
    assert komorebi("import", "-", stdin=rows.encode()).out == "2 captures imported\n"
    assert [row["title"] for row in komorebi("list", "--order", "oldest", "--json").json["captures"]] == [
        "One.",
        "Two.",
    ]


def test_a_timeline_is_drawn_with_its_pauses(komorebi: Komorebi, tmp_path: Path) -> None:
    days = {"2026-01-05": 2, "2026-01-07": 1, "2026-02-20": 4}
    rows = [
        {"content": f"{day} {n}", "created_at": f"{day}T12:00:00"}
        for day, many in days.items()
        for n in range(many)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    komorebi("import", str(file))
    drawn = komorebi("timeline").out.splitlines()
    assert [line.split()[0] for line in drawn] == [
        "2026-01-05",
        "2026-01-06",
        "2026-01-07",
        "⋮",
        "2026-02-20",
        "7",
    ]
    assert [line.count("█") for line in drawn] == [30, 0, 15, 0, 60, 0]
    months = komorebi("timeline", "--bucket", "month", "--json").json
    assert [bucket["count"] for bucket in months["buckets"]] == [3, 4]
    assert komorebi("timeline", "--project", "nowhere").status == 1
    assert komorebi("timeline", "--since", "soon").status == 2


def test_resume_tells_what_has_changed_since_it_was_last_run(komorebi: Komorebi) -> None:
    assert "Run `komorebi-mcp capture` to begin." in komorebi("resume").out
    capture(komorebi, "We decided to ship on Friday.", "--project", "garden")
    first = komorebi("resume", "--project", "garden").out
    assert "We decided to ship on Friday. [1]" in first
    assert "The first resume here." in first
    asked = capture(komorebi, "Who owns the roll-back?", "--project", "garden")
    again = komorebi("resume", "--project", "garden", "--json").json
    assert again["sections"][-1]["items"][0]["sources"] == [asked]
    assert komorebi("resume", "--project", "nowhere").status == 1


def test_an_export_is_imported_again_without_loss(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(
        komorebi, "We decided to ship.", "--project", "garden", "--tag", "a", "--key", "k", "--title", "T"
    )
    capture(komorebi, "loose")
    there, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    report = komorebi("export", str(there), "--json").json
    assert (report["captures"], report["format"]) == (2, "jsonl")
    assert there.stat().st_mode & 0o077 == 0
    ended = komorebi("export", str(there))
    assert (ended.status, "--force" in ended.err) == (1, True)
    monkeypatch.setenv("KOMOREBI_HOME", str(tmp_path / "other"))
    assert komorebi("import", str(there), "--wait").status == 0
    assert komorebi("export", str(again)).out.startswith("2 captures exported to ")

    def rows(file: Path) -> list[dict[str, Any]]:
        parsed = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [{name: value for name, value in row.items() if name != "status"} for row in parsed]

    assert rows(again) == rows(there)


def test_a_vault_is_a_folder_of_markdown_files(komorebi: Komorebi, tmp_path: Path) -> None:
    capture(komorebi, "We decided to ship.", "--project", "garden")
    folder = tmp_path / "vault"
    assert "1 capture exported" in komorebi("export", str(folder), "--format", "vault").out
    assert [path.suffix for path in (folder / "garden").iterdir()] == [".md", ".md"]
    assert (folder / "garden" / "_summary.md").exists()
    assert komorebi("export", str(folder), "--format", "vault").status == 1
    assert komorebi("export", str(folder), "--format", "vault", "--force").status == 0
    ended = komorebi("export", str(tmp_path / "no" / "such" / "file"))
    assert (ended.status, "cannot be written" in ended.err) == (1, True)


def test_a_backup_is_a_database_of_its_own(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = capture(komorebi, "Keep me.")
    copy = tmp_path / "copy.db"
    assert komorebi("backup", str(copy), "--json").json["bytes"] == copy.stat().st_size
    assert komorebi("backup", str(copy)).status == 1
    monkeypatch.setenv("KOMOREBI_DATABASE_URL", f"sqlite+aiosqlite:///{copy}")
    assert [each["id"] for each in komorebi("list", "--json").json["captures"]] == [kept]


def test_projects_that_were_put_away_are_listed_when_asked_for(komorebi: Komorebi, tmp_path: Path) -> None:
    for name in ("garden", "kiln"):
        capture(komorebi, "Kept.", "--project", name)
    with closing(sqlite3.connect(tmp_path / "komorebi.db")) as database, database:
        database.execute("UPDATE projects SET archived = 1 WHERE name = 'kiln'")
    assert [each["name"] for each in komorebi("projects", "--json").json["projects"]] == ["garden"]
    assert [each["name"] for each in komorebi("projects", "--archived", "--json").json["projects"]] == [
        "kiln"
    ]


def test_install_enters_the_server_into_a_client_once(komorebi: Komorebi, tmp_path: Path) -> None:
    file = tmp_path / "client" / "mcp.json"
    told = komorebi("install", "--client", "vscode", "--file", str(file), "--json").json
    assert (told["changed"], told["backup"]) == (True, None)
    (entry,) = json.loads(file.read_text(encoding="utf-8"))["servers"].values()
    assert entry["args"][-1] == "serve"
    assert Path(entry["command"]).is_absolute()
    assert entry["env"] == {"KOMOREBI_HOME": str(tmp_path)}
    assert "already" in komorebi("install", "--client", "vscode", "--file", str(file)).out
    shown = komorebi("install", "--client", "vscode", "--print").json
    assert shown["servers"]["komorebi"] == entry
    file.write_text("{,}", encoding="utf-8")
    ended = komorebi("install", "--client", "vscode", "--file", str(file))
    assert (ended.status, "is not JSON at line 1" in ended.err) == (1, True)
    assert komorebi("install", "--client", "emacs").status == 2


def test_install_has_the_client_use_the_settings_of_the_terminal(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOMOREBI_DATABASE_URL", "sqlite+aiosqlite:///here.db")
    monkeypatch.setenv("KOMOREBI_UPSTREAMS", "mine.json")
    monkeypatch.setenv("KOMOREBI_SECRETS", "flag")
    monkeypatch.setenv("KOMOREBI_MODEL", "")
    (entry,) = komorebi("install", "--client", "cursor", "--print").json["mcpServers"].values()
    assert entry["env"] == {
        "KOMOREBI_HOME": str(tmp_path),
        "KOMOREBI_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/here.db",
        "KOMOREBI_UPSTREAMS": f"{tmp_path}/mine.json",
        "KOMOREBI_SECRETS": "flag",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KOMOREBI_OPENAI_API_KEY", "abc-secret"),
        ("KOMOREBI_DATABASE_URL", "postgresql+psycopg://mei:abc-secret@db/notes"),
        ("KOMOREBI_DATABASE_URL", "postgresql+psycopg://db/notes?user=mei&password=abc-secret"),
    ],
)
def test_install_writes_no_secret_down_and_says_where_it_belongs(
    komorebi: Komorebi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    file = tmp_path / "mcp.json"
    ended = komorebi("install", "--client", "cursor", "--file", str(file))
    assert (ended.status, file.exists()) == (1, False)
    assert f"{name} holds a secret" in ended.err
    assert f"{tmp_path}/komorebi.env" in ended.err
    assert "abc-secret" not in ended.out + ended.err


def test_the_demo_leaves_the_store_alone(komorebi: Komorebi, tmp_path: Path) -> None:
    told = komorebi("demo", "--json").json
    assert len(told["captured"]) == 11
    assert told["hits"]
    assert {source for sentence in told["summary"]["sentences"] for source in sentence["sources"]} <= set(
        told["captured"]
    )
    assert "4  Resumed" in komorebi("demo").out
    assert not (tmp_path / "komorebi.db").exists()
