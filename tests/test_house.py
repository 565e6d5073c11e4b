"""The rules of the house that no other tool keeps."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

import komorebi_mcp
from komorebi_mcp import errors

SOURCE = Path(komorebi_mcp.__file__).parent
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
BROUGHT_ALONG = {
    "dotenv": "pydantic-settings",
    "huggingface_hub": "model2vec",
    "mcp_types": "mcp",
    "pydantic_core": "pydantic",
}
"""Packages in whose terms a declared one speaks, so that it alone says which version fits."""


def test_the_error_tree_is_the_one_drawn_at_its_top() -> None:
    drawn = [line.split("── ")[-1].split()[0] for line in _tree_lines()]
    assert drawn == [name for name, value in vars(errors).items() if inspect.isclass(value) and name != "Any"]


def _tree_lines() -> list[str]:
    assert errors.__doc__ is not None
    return [line for line in errors.__doc__.splitlines() if "──" in line or line == "KomorebiError"]


@pytest.mark.parametrize("module", [name for name in MODULES if name.endswith("__init__.py")])
def test_a_package_imports_nothing(module: str) -> None:
    body = ast.parse((SOURCE / module).read_text()).body
    assert all(isinstance(node, ast.Expr) for node in body)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "settings.py"])
def test_only_the_settings_read_the_environment(module: str) -> None:
    read = {
        node.attr
        for node in ast.walk(ast.parse((SOURCE / module).read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert not read


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_be_read_at_once(module: str) -> None:
    assert len((SOURCE / module).read_text().splitlines()) <= 350


def test_every_package_that_is_imported_is_declared() -> None:
    declared = {_folded(re.split(r"[^\w.-]", line)[0]) for line in requires("komorebi-mcp") or ()}
    there = packages_distributions()
    imported = {name for module in MODULES for name in _imported(module)} - sys.stdlib_module_names
    undeclared = {
        name
        for name in imported - {"komorebi_mcp"} - BROUGHT_ALONG.keys()
        if declared.isdisjoint(map(_folded, there.get(name, ())))
    }
    assert not undeclared
    assert imported >= BROUGHT_ALONG.keys()


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((SOURCE / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.split(".")[0]


def _folded(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
