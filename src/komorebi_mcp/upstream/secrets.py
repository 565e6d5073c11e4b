"""Secrets of upstreams: referred to in the file, resolved on connecting, masked in all that is shown.

A reference is `${env:NAME}` or `${keyring:service/user}` anywhere in a text, or `env://NAME` or
`keyring://service/user` as the whole of it.
"""

import importlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from komorebi_mcp.errors import ConfigError

MASK = "[secret]"
SECRET_CHARS_MIN = 4
"""Shorter values are not masked: they occur in ordinary words, and hiding those hides nothing."""

_INSIDE = re.compile(r"\$\{(?P<scheme>env|keyring|input):(?P<target>[^}]*)\}")
_WHOLE = re.compile(r"(?P<scheme>env|keyring)://(?P<target>.+)")


class Secrets:
    """Resolves references and remembers what they stood for, so that it can be hidden."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._shapes: set[str] = set()

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._shapes)} hidden>"

    def resolve(self, text: str) -> str:
        """`text` with each reference replaced by its value. May wait for the keyring; call it in a thread.

        Raises:
            ConfigError: A reference leads nowhere; the message names it and never holds a value.
        """
        if whole := _WHOLE.fullmatch(text):
            return self._value(whole)
        return _INSIDE.sub(self._value, text)

    def hide(self, value: str) -> None:
        """From now on `value` is masked, also as it looks inside a URL or a JSON string."""
        if len(value) >= SECRET_CHARS_MIN:
            self._shapes |= {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}

    def mask(self, text: str) -> str:
        """`text` with every known secret replaced."""
        # The longest first, or a secret that begins another one would leave the other's end behind.
        for shape in sorted(self._shapes, key=len, reverse=True):
            text = text.replace(shape, MASK)
        return text

    def mask_all(self, value: Any) -> Any:
        """A JSON value with every known secret in its strings replaced."""
        match value:
            case str():
                return self.mask(value)
            case list():
                return [self.mask_all(item) for item in value]
            case dict():
                return {self.mask(key): self.mask_all(item) for key, item in value.items()}
            case _:
                return value

    def _value(self, reference: re.Match[str]) -> str:
        target = reference["target"]
        match reference["scheme"]:
            case "env":
                value = self._from_environment(target)
            case "keyring":
                value = _from_keyring(target)
            case _:
                raise ConfigError(
                    f"{reference[0]} asks for input that only an editor can give. "
                    "Refer to an environment variable instead, ${env:NAME}."
                )
        self.hide(value)
        return value

    def _from_environment(self, name: str) -> str:
        value = self._environment.get(name)
        if value is None:
            raise ConfigError(
                f"The environment variable {name} is not set. Set it where Komorebi is started."
            )
        return value


def _from_keyring(target: str) -> str:
    service, _, user = target.partition("/")
    try:
        # Optional, and slow to import: it is only looked for once something refers to it.
        keyring = importlib.import_module("keyring")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"keyring:{target} needs an extra: install komorebi-mcp[keyring], and start again."
        ) from error
    try:
        value: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise ConfigError(
            f"The system keyring could not be read for {target}. Unlock it and start again."
        ) from error
    if value is None:
        raise ConfigError(
            f"The system keyring has nothing under {target}. Store it with `keyring set {service} {user}`."
        )
    return value
