"""The commands: where each one's function is, what help shows it under, and how it is used."""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """A command, as help needs it before its module is imported."""

    place: str
    """Its module and function. The module is imported only when the command is run or help is shown."""
    panel: str = ""
    """The heading that help lists it under; a group of commands has one of its own."""
    examples: tuple[str, ...] = ()
    """Shown below its options, without the program's name."""


class Group(NamedTuple):
    """Commands whose names begin with the same word."""

    about: str
    panel: str


_EVERY_DAY: Final = "Every day"
_SET_UP: Final = "Set up"
_RUN: Final = "Run servers"
_MOVE: Final = "Move and back up"

COMMANDS: Final[dict[str, Command]] = {
    "capture": Command(
        "komorebi_mcp.cli.capture:capture",
        _EVERY_DAY,
        (
            'capture "We ship the importer on Friday." --project garden --kind decision',
            "capture --file server.log --project garden",
            'capture - --title "Boot log" --key boot-log < boot.log',
        ),
    ),
    "search": Command(
        "komorebi_mcp.cli.find:search",
        _EVERY_DAY,
        (
            'search "why did the import fail" --since "last week"',
            "search '\"row 4711\" -lisbon' --project garden",
        ),
    ),
    "list": Command(
        "komorebi_mcp.cli.find:list_captures", _EVERY_DAY, ("list --kind decision --since 2026-11-01",)
    ),
    "summarize": Command(
        "komorebi_mcp.cli.summarize:summarize",
        _EVERY_DAY,
        (
            "summarize --project garden --max-tokens 200",
            'summarize --query "what did we decide about the importer"',
        ),
    ),
    "resume": Command("komorebi_mcp.cli.resume:resume", _EVERY_DAY, ("resume --project garden",)),
    "timeline": Command(
        "komorebi_mcp.cli.timeline:timeline", _EVERY_DAY, ('timeline --bucket week --since "last month"',)
    ),
    "projects": Command("komorebi_mcp.cli.projects:projects", _EVERY_DAY),
    "ui": Command("komorebi_mcp.cli.ui:ui", _EVERY_DAY, ("ui --open",)),
    "demo": Command("komorebi_mcp.cli.demo:demo", _SET_UP),
    "install": Command(
        "komorebi_mcp.cli.install:install",
        _SET_UP,
        ("install --client claude-desktop", "install --client vscode --print"),
    ),
    "doctor": Command("komorebi_mcp.cli.doctor:doctor", _SET_UP),
    "upstream add": Command(
        "komorebi_mcp.cli.upstream:add",
        examples=(
            "upstream add files -- npx -y @modelcontextprotocol/server-filesystem /srv/docs",
            "upstream add docs https://mcp.example.com/mcp --header 'Authorization=Bearer ${env:DOCS_TOKEN}'",
        ),
    ),
    "upstream list": Command("komorebi_mcp.cli.upstream:list_upstreams"),
    "upstream test": Command("komorebi_mcp.cli.upstream:try_out", examples=("upstream test docs",)),
    "upstream diff": Command("komorebi_mcp.cli.upstream:diff", examples=("upstream diff docs",)),
    "upstream trust": Command(
        "komorebi_mcp.cli.upstream:trust", examples=("upstream trust docs", "upstream trust docs read_page")
    ),
    "upstream remove": Command("komorebi_mcp.cli.upstream:remove", examples=("upstream remove docs",)),
    "upstream doctor": Command(
        "komorebi_mcp.cli.upstream:doctor", examples=("upstream doctor", "upstream doctor docs__read_page")
    ),
    "token new": Command(
        "komorebi_mcp.cli.token:new",
        examples=("token new --owner alice --scopes read,write,upstream --expires 90d",),
    ),
    "token list": Command("komorebi_mcp.cli.token:list_tokens"),
    "token revoke": Command("komorebi_mcp.cli.token:revoke", examples=("token revoke 3f9a1c2b4d5e",)),
    "serve": Command("komorebi_mcp.cli.serve:serve", _RUN, ("serve", "serve --transport http --port 9000")),
    "worker": Command("komorebi_mcp.cli.worker:worker", _RUN),
    "migrate": Command("komorebi_mcp.cli.doctor:migrate", _RUN),
    "import": Command("komorebi_mcp.cli.importing:import_file", _MOVE, ("import captures.jsonl --wait",)),
    "export": Command(
        "komorebi_mcp.cli.export:export",
        _MOVE,
        ("export captures.jsonl", "export vault --format vault"),
    ),
    "backup": Command("komorebi_mcp.cli.export:backup", _MOVE, ("backup komorebi-backup.db",)),
}

GROUPS: Final[dict[str, Group]] = {
    "upstream": Group("Manage the servers behind this one.", _SET_UP),
    "token": Group("Create, list and revoke tokens for clients over HTTP.", _SET_UP),
}
