"""What is published works by itself: the source distribution, the wheel made of it, the registry entry."""

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pydantic import AnyUrl, TypeAdapter

from komorebi_mcp.settings import Settings
from support.documents import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]

TIMEOUT_S = 120
ENTRY: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))


def run(*command: str | Path, cwd: Path, **changed: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KOMOREBI_")}
    done = subprocess.run(
        command, cwd=cwd, env={**kept, **changed}, capture_output=True, encoding="utf-8",
        timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution as somebody downloads it."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


@pytest.fixture(scope="module")
def site(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel alone, which a Python that looks there first takes for the product."""
    folder = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (wheel,) = folder.glob("*.whl")
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile",
        "--disable-pip-version-check", "--target", folder, wheel, cwd=folder,
    )  # fmt: skip
    return folder


def files(root: Path, *folders: str) -> set[str]:
    found = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in found if path.suffix != ".pyc"}


def test_the_source_distribution_has_what_a_contributor_needs(unpacked: Path) -> None:
    folders = "src", "tests", "docs", "examples", "scripts"
    assert files(unpacked, *folders) == files(ROOT, *folders)
    alone = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "server.json"}
    assert alone <= files(unpacked, ".")


def test_the_wheel_has_every_file_of_the_package(site: Path) -> None:
    assert files(site, "komorebi_mcp") == files(ROOT / "src", "komorebi_mcp")


def test_the_wheel_shows_the_main_job_without_a_checkout(site: Path, tmp_path: Path) -> None:
    where = "import komorebi_mcp; print(komorebi_mcp.__file__)"
    taken = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(taken.strip()).is_relative_to(site)
    command = site / "bin" / "komorebi-mcp"
    told = run(sys.executable, command, "--version", cwd=tmp_path, PYTHONPATH=str(site))
    assert told.strip() == version("komorebi-mcp")
    shown = run(sys.executable, command, "demo", cwd=tmp_path, PYTHONPATH=str(site), HOME=str(tmp_path))
    assert "The folder is gone." in shown


def test_the_registry_finds_its_entry_named_in_the_readme() -> None:
    # The registry believes that a package is ours by this line of its description on PyPI.
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- mcp-name: {ENTRY['name']} -->" in readme


def test_the_registry_entry_keeps_to_the_limits_of_its_schema() -> None:
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", ENTRY["name"])
    assert len(ENTRY["name"]) <= 200
    assert len(ENTRY["description"]) <= 100
    assert len(ENTRY["title"]) <= 100
    TypeAdapter(AnyUrl).validate_python(ENTRY["$schema"])
    kinds = {"string", "number", "boolean", "filepath"}
    (package,) = ENTRY["packages"]
    assert {each.get("format", "string") for each in package["environmentVariables"]} <= kinds


def test_what_the_registry_entry_starts_and_sets_is_there(site: Path, tmp_path: Path) -> None:
    (package,) = ENTRY["packages"]
    assert (ENTRY["version"], package["version"]) == (version("komorebi-mcp"),) * 2
    arguments = [each["value"] for each in package["packageArguments"]]
    given = {each["name"]: each["default"] for each in package["environmentVariables"] if "default" in each}
    command = site / "bin" / package["identifier"]
    # With nothing to say on its stdin, the client has gone: a server that started well ends well.
    run(sys.executable, command, *arguments, cwd=tmp_path, PYTHONPATH=str(site), HOME=str(tmp_path), **given)
    prefix = Settings.model_config["env_prefix"]
    names = {each["name"].removeprefix(prefix).lower() for each in package["environmentVariables"]}
    assert names <= Settings.model_fields.keys()
