"""Changes of the upstreams file: one entry at a time, everything else in it left as it is."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from komorebi_mcp.errors import ConfigError, InvalidInput, NotFound
from komorebi_mcp.text.secrets import redact

_REFERENCE = re.compile(r"\$\{(?:env|keyring):[^}]+\}|^(?:env|keyring)://.+")
_TELLING_NAME = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)
_SCHEME = re.compile(r"^(?:Bearer|Basic|Token)\s+", re.IGNORECASE)
_SECRET_CHARS_MIN = 8


def add_entry(path: Path, name: str, entry: Mapping[str, Any], *, replace: bool = False) -> None:
    """Writes the entry into the file, which is made where there is none.

    Raises:
        InvalidInput: There is one of that name already, or it holds a secret or what is not UTF-8.
        ConfigError: The file cannot be read or written, or is not of its shape.
    """
    if reason := next(_written_out(entry), None):
        raise InvalidInput(reason)
    document = _read(path)
    servers = document.setdefault("mcpServers", {})
    if name in servers and not replace:
        raise InvalidInput(
            f"There is already an upstream named '{name}'. Choose another name, or --replace it."
        )
    servers[name] = dict(entry)
    _write(path, document)


def remove_entry(path: Path, name: str) -> None:
    """Takes the entry out of the file.

    Raises:
        NotFound: There is none of that name.
        ConfigError: The file cannot be read or written, or is not of its shape.
    """
    document = _read(path)
    servers = document.get("mcpServers", {})
    if name not in servers:
        named = ", ".join(servers) or "none"
        raise NotFound(f"No upstream is named '{name}' in {path}. There are: {named}.")
    del servers[name]
    _write(path, document)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path} cannot be read: {reason}. Nothing was changed.") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path} is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            "Correct it first; nothing was changed."
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("mcpServers", {}), dict):
        raise ConfigError(f'{path} has no "mcpServers" object. Correct it first; nothing was changed.')
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Puts the new file in the place of the old one in one step, so that no reader sees half of it."""
    try:
        data = (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
    except UnicodeEncodeError:
        # As an argument of the command line has bytes that are not UTF-8.
        raise InvalidInput(
            "The entry holds bytes that are not UTF-8. Leave them out; nothing was changed."
        ) from None
    # A link is followed, so that what it points to is what changes.
    target = path.resolve()
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            partial = Path(file.name)
            file.write(data)
        partial.chmod(mode)
        partial.replace(target)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _written_out(entry: Mapping[str, Any]) -> Iterator[str]:
    """What to say of each secret that stands in the entry itself."""
    for field, option in (("env", "--env"), ("headers", "--header")):
        for name, value in entry.get(field, {}).items():
            if _is_secret(name, value):
                variable = re.sub(r"\W", "_", name).upper()
                scheme = found[0] if (found := _SCHEME.match(value)) else ""
                yield (
                    f"The value of {name} looks like a secret, which does not belong into the file. "
                    "Put it into an environment variable and refer to that: "
                    f"{option} {name}='{scheme}${{env:{variable}}}'."
                )
    if any(_is_secret(name, value) for name, value in _named_in(entry)):
        yield (
            "The command or URL holds what looks like a secret, which does not belong into the file. "
            "Put it into an environment variable and write '${env:NAME}' in its place."
        )


def _named_in(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the command and the URL hold, each with the name it goes by."""
    args: list[str] = [*entry.get("args", ())]
    for before, argument in zip(["", *args], args, strict=False):
        name, separator, value = argument.partition("=")
        yield "", argument
        if separator:
            yield name, value
        elif before.startswith("-") and not argument.startswith("-"):
            yield before, argument
    address = urlsplit(entry.get("url", ""))
    yield from parse_qsl(address.query)
    yield "password", address.password or ""
    yield "", entry.get("url", "")


def _is_secret(name: str, value: str) -> bool:
    literal = _SCHEME.sub("", _REFERENCE.sub("", value))
    if redact(literal)[1]:
        return True
    is_telling = _TELLING_NAME.search(name) and not _REFERENCE.search(value)
    return bool(is_telling) and len(literal) >= _SECRET_CHARS_MIN
