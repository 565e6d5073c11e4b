"""The documentation as data: its files, its fenced blocks, its links, and what its commands should print."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block, and where it stands."""

    file: Path
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


class Step(NamedTuple):
    """A command, and the output it is shown with; `…` in it stands for anything."""

    command: str
    output: str

    def describes(self, printed: str) -> bool:
        """Whether the output that was shown tells of the one that was printed."""
        pattern = r"[\s\S]*?".join(re.escape(part) for part in _even(self.output).split("…"))
        return re.fullmatch(pattern, _even(printed)) is not None


def documents() -> list[Path]:
    """Every page that people read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def blocks(language: str) -> list[Block]:
    """The fenced blocks of that language, over all documents."""
    found: list[Block] = []
    for file in documents():
        text = file.read_text(encoding="utf-8")
        found += [
            Block(file, text.count("\n", 0, match.start()) + 1, language, match["body"])
            for match in _FENCE.finditer(text)
            if match["language"] == language
        ]
    return found


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block: lines that begin with `$ `, each followed by its output."""
    command = ""
    output: list[str] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            if command:
                yield Step(command, "\n".join(output))
            command, output = line[2:], []
        else:
            output.append(line)
    yield Step(command, "\n".join(output))


def links(file: Path) -> list[str]:
    """Where the page's links go, as written, those in code left out."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", file.read_text(encoding="utf-8")))
    return [match["target"] for match in _LINK.finditer(text)]


def anchors(file: Path) -> set[str]:
    """The fragments that headings of the page answer to, made as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", file.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _even(text: str) -> str:
    """The text without what a terminal's width decides: space at line ends, and empty lines around it."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
