"""Every tool, setting and command is documented, and the pages made from the code are fresh."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
import typer

from komorebi_mcp.cli.commands import COMMANDS
from komorebi_mcp.settings import Settings
from komorebi_mcp.surface.tools.own import OWN_TOOLS
from support.documents import ROOT, documents

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.process
def test_the_reference_pages_say_what_the_code_says() -> None:
    script = ROOT / "scripts" / "reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tool", OWN_TOOLS)
def test_the_readme_names_the_tool(tool: str) -> None:
    assert f"`{tool}`" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_is_in_the_reference(command: str) -> None:
    assert f"## `{command}`" in (REFERENCE / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_the_command_are_in_the_reference_as_they_are_written(command: str) -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    section = page.split(f"## `{command}`\n")[1].split("\n## ")[0]
    options = {
        option
        for parameter in _typer_command(command).params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    }
    assert set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE)) == options
    assert "inspect" not in section


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_command_are_ones_that_it_takes(command: str) -> None:
    for example in COMMANDS[command].examples:
        words = shlex.split(example.partition(" < ")[0])
        assert words[: len(command.split())] == command.split()
        _typer_command(command).make_context(command, words[len(command.split()) :])


def _typer_command(command: str) -> Any:
    module, function = COMMANDS[command].place.split(":")
    application = typer.Typer(add_completion=False)
    application.command()(getattr(import_module(module), function))
    return typer.main.get_command(application)


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_the_setting_is_in_the_reference(setting: str) -> None:
    assert f"`KOMOREBI_{setting.upper()}`" in (REFERENCE / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_the_setting_says_what_it_is_for(setting: str) -> None:
    assert Settings.model_fields[setting].description


def test_the_documents_name_no_setting_that_is_not_there() -> None:
    known = {f"KOMOREBI_{name.upper()}" for name in Settings.model_fields}
    for page in documents():
        if page.name == "DESIGN.md":
            continue
        words = page.read_text(encoding="utf-8").replace("`", " ").replace("=", " ").replace('"', " ").split()
        assert {word.strip(".,;:()") for word in words if word.startswith("KOMOREBI_")} <= known, page


def test_the_changelog_has_a_place_for_what_is_not_released_and_none_for_another_version() -> None:
    headings = [
        line
        for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert headings[0] == "## [Unreleased]"
    released = [heading.split("]")[0].removeprefix("## [") for heading in headings[1:]]
    assert all(release <= version("komorebi-mcp") for release in released)
