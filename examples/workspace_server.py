"""A small MCP server to put behind Komorebi: it reads one folder and counts words. It needs no network.

Usage:
    python examples/workspace_server.py [--root FOLDER]               # over stdio
    python examples/workspace_server.py [--root FOLDER] --http 8765   # at http://127.0.0.1:8765/mcp
"""

import argparse
import subprocess
from collections import Counter
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

READ_BYTES_MAX = 200_000
GIT_TIMEOUT_S = 10

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)


class WordCount(BaseModel):
    """How long a text is, and what it says most often."""

    words: int
    lines: int
    characters: int
    most_common: dict[str, int] = Field(description="The five most frequent words of four letters or more.")


def build_server(root: Path) -> MCPServer:
    """A server whose tools see nothing outside `root`."""
    server = MCPServer("workspace", instructions="Reads one folder: its text files and its git history.")

    @server.tool(title="Count words", annotations=READ_ONLY)
    def word_count(text: str) -> WordCount:
        """Counts the words, lines and characters of a text."""
        words = text.split()
        plain = (word.strip(".,;:!?\"'()[]{}").lower() for word in words)
        common = Counter(word for word in plain if len(word) > 3).most_common(5)
        return WordCount(
            words=len(words), lines=len(text.splitlines()), characters=len(text), most_common=dict(common)
        )

    @server.tool(title="Read a text file", annotations=READ_ONLY)
    def read_text(path: Annotated[str, Field(description="Relative to the folder.")]) -> str:
        """Returns the text of a file in the folder, up to 200 kB."""
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise ToolError(f"{path} is outside the folder. Name a file inside it.")
        if not file.is_file():
            raise ToolError(f"There is no file {path} in the folder. Check its name.")
        with file.open("rb") as opened:
            content = opened.read(READ_BYTES_MAX + 1)
        if len(content) > READ_BYTES_MAX:
            raise ToolError(f"{path} is larger than {READ_BYTES_MAX} bytes. Choose a smaller file.")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise ToolError(f"{path} is not a text in UTF-8. Choose another file.") from error

    @server.tool(title="Read the git log", annotations=READ_ONLY)
    async def git_log(limit: Annotated[int, Field(ge=1, le=100)] = 10) -> list[str]:
        """Lists the latest commits of the folder, newest first: short hash, date and subject."""
        return await anyio.to_thread.run_sync(latest_commits, root, limit)

    return server


def latest_commits(root: Path, limit: int) -> list[str]:
    command = ["git", "-C", str(root), "log", f"-{limit}", "--date=short", "--format=%h %ad %s"]
    try:
        done = subprocess.run(  # noqa: S603  # Nothing in it comes from the caller but a number.
            command,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError("The folder has no git history that can be read.") from error
    return done.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves one folder over MCP.")
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="the folder; default: where it is started"
    )
    parser.add_argument("--http", type=int, metavar="PORT", help="serve streamable HTTP on loopback instead")
    options = parser.parse_args()
    server = build_server(options.root.resolve(strict=True))
    if options.http is None:
        server.run("stdio")
    else:
        server.run("streamable-http", port=options.http)


if __name__ == "__main__":
    main()
