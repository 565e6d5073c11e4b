"""Settings: environment variables named `KOMOREBI_…`, or lines of that form in the home's `komorebi.env`.

This module is the only reader of the environment.
"""

import os
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from komorebi_mcp.errors import ConfigError

_PREFIX = "KOMOREBI_"
_USUAL_PORTS: Final = {"https": 443, "http": 80}


def default_home() -> Path:
    """The home where KOMOREBI_HOME names none: the system's folder for a user's data."""
    return platformdirs.user_data_path("komorebi-mcp", appauthor=False)


class Settings(BaseSettings):
    """How this process is to work. A variable beats the file; an unset one has the default given here."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    home: Path = Field(
        default_factory=default_home,
        description="Folder of the database and the configuration.",
    )
    database_url: str = Field(
        default="",
        description=(
            "URL of the database: sqlite+aiosqlite:///FILE or postgresql+psycopg://USER@HOST/NAME. "
            "Default: komorebi.db in the home."
        ),
    )
    upstreams: Path = Field(
        default=Path(),
        description='JSON file of the upstreams, {"mcpServers": {…}}. Default: upstreams.json in the home.',
    )
    expose: Literal["auto", "tools", "search"] = Field(
        default="auto",
        description=(
            "How upstream tools are shown: listed, only found by find_tools and run by call_tool, or listed "
            "as long as there are at most 60."
        ),
    )
    secrets: Literal["redact", "flag", "off"] = Field(
        default="redact",
        description=(
            "What happens to high-confidence secrets in captured text: taken out before storage, "
            "only counted in the receipt, or not looked for."
        ),
    )
    summarizer: Literal["extractive", "openai", "client", "auto"] = Field(
        default="extractive",
        description=(
            "Who writes summaries: no model, an endpoint's, the calling client's, or whichever of client, "
            "endpoint and none is there, in this order."
        ),
    )
    openai_base_url: str = Field(
        default="",
        description=(
            "An OpenAI-compatible endpoint, such as http://localhost:11434/v1 of Ollama. Captured text is "
            "sent there."
        ),
    )
    openai_api_key: SecretStr = Field(default=SecretStr(""), description="Its key, where it wants one.")
    model: str = Field(default="", description="The endpoint's model.")
    model_context: int = Field(
        default=4_096,
        ge=1_024,
        le=1_000_000,
        description="Tokens that the model reads and writes in one call; with more it sees more at once.",
    )
    model_calls: int = Field(
        default=600,
        ge=0,
        description="Calls of the endpoint in an hour of background work; what is beyond is told verbatim.",
    )
    semantic_model: str = Field(
        default="",
        description=(
            "A static embedding model, with which search finds what says the same in other words: a folder, "
            "or a name in the Hugging Face cache. It is never downloaded. Needs the extra semantic."
        ),
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="WARNING", description="The least severe log lines written to stderr."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How log lines are written: key=value pairs, or one JSON object a line."
    )
    auth: Literal["auto", "required", "off"] = Field(
        default="auto",
        description=(
            "Whether clients over HTTP must show a token. auto: once a token was made, an issuer is set or "
            "the address is not this machine's alone."
        ),
    )
    auth_issuer: str = Field(
        default="", description="URL of the OAuth 2.1 authorization server whose JWTs are accepted as tokens."
    )
    auth_audience: str = Field(
        default="", description="The audience (aud) that those JWTs must name; needed with an issuer."
    )
    auth_jwks_url: str = Field(
        default="",
        description="Where the issuer's keys are. Default: what the issuer's metadata says under jwks_uri.",
    )
    public_url: str = Field(
        default="",
        description=(
            "URL by which clients reach the HTTP server where it is not the address it listens on, such as "
            "https://notes.example.org behind a proxy. Its host is accepted in requests."
        ),
    )
    web_origins: str = Field(
        default="",
        description=(
            "Origins of web pages that may call the HTTP server from a browser, such as "
            "https://chat.example.org, with spaces between them."
        ),
    )

    limit_requests: int = Field(
        default=100, ge=0, description="Requests that one owner of a token may have under way; 0 is no limit."
    )
    limit_captures: int = Field(
        default=6_000,
        ge=0,
        description="Captures that one owner of a token may make in a minute; 0 is no limit.",
    )
    limit_store_mb: int = Field(
        default=10_000,
        ge=0,
        description="Millions of characters that one owner of a token may store; 0 is no limit.",
    )
    limit_upstream_calls: int = Field(
        default=1_200,
        ge=0,
        description="Calls of upstream tools that one owner of a token may make in a minute; 0 is no limit.",
    )
    worker: Literal["inline", "external"] = Field(
        default="inline",
        description=(
            "Whether a server enriches captures itself, or leaves that to `komorebi-mcp worker`. Nothing is "
            "enriched with external and no worker."
        ),
    )

    @field_validator("public_url", mode="after")
    @classmethod
    def _as_sent(cls, value: str) -> str:
        """The URL as clients name it in their requests: its host in lower case and without the usual port."""
        if not value:
            return value
        return f"{_origin(value)}{urlsplit(value).path.rstrip('/')}"

    @field_validator("web_origins", mode="after")
    @classmethod
    def _origins(cls, value: str) -> str:
        return " ".join(map(_origin, value.split()))

    @field_validator("auth_issuer", "auth_jwks_url", mode="after")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("it must begin with https:// or http://")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("openai_base_url", mode="after")
    @classmethod
    def _web(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value and not value.lower().startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return value

    @field_validator("home", "upstreams", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @property
    def web_pages(self) -> tuple[str, ...]:
        """The origins of `web_origins`."""
        return tuple(self.web_origins.split())

    def model_post_init(self, _context: object) -> None:
        """Fills in what depends on the home."""
        if not self.database_url:
            object.__setattr__(
                self, "database_url", f"sqlite+aiosqlite:///{self.home.absolute()}/komorebi.db"
            )
        if self.upstreams == Path():
            object.__setattr__(self, "upstreams", self.home / "upstreams.json")
        if self.summarizer == "openai" and not (self.openai_base_url and self.model):
            raise ConfigError(
                "KOMOREBI_SUMMARIZER=openai needs KOMOREBI_OPENAI_BASE_URL and KOMOREBI_MODEL. "
                "Set both, or leave the summarizer out."
            )


def _origin(url: str) -> str:
    """The origin of a URL, as browsers and other clients write it.

    Raises:
        ValueError: It has none.
    """
    parts = urlsplit(url)
    if parts.scheme not in _USUAL_PORTS or not parts.hostname:
        raise ValueError("it must begin with https:// or http:// and name a host")
    port = "" if parts.port in {None, _USUAL_PORTS[parts.scheme]} else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def load_settings() -> Settings:
    """The settings of this process, from its environment and the file `komorebi.env` in the home.

    Raises:
        ConfigError: A value is not one of those allowed; the message names the variable.
    """
    try:
        return Settings(_env_file=_file())
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{_PREFIX}{'_'.join(str(part) for part in first['loc'])}".upper()
        raise ConfigError(
            f"{name} is not usable: {first['msg'].removeprefix('Value error, ')}. "
            "Correct or unset it and start again."
        ) from error


def _file() -> Path:
    home = os.environ.get(f"{_PREFIX}HOME")
    return (Path(home).expanduser() if home else default_home()) / "komorebi.env"


def unused_settings() -> tuple[str, ...]:
    """What is set and means nothing, in sentences: variables of our prefix, and whatever the file holds."""
    from dotenv import dotenv_values  # noqa: PLC0415 - for the doctor alone.

    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    told = [
        f"{name} is set and is no setting.{_meant(name, known)}"
        for name in sorted(os.environ)
        if name.upper().startswith(_PREFIX) and name.upper() not in known
    ]
    file = _file()
    for name, value in dotenv_values(file).items() if file.is_file() else ():
        if value is None:
            told.append(f"{file} has the line {name!r}, which is not of the form NAME=value.")
        elif name.upper() == f"{_PREFIX}HOME":
            told.append(f"{file} sets {name}, which is read from the environment alone.")
        elif name.upper() not in known:
            told.append(f"{file} sets {name}, which is no setting.{_meant(name, known)}")
    return tuple(told)


def _meant(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
    return f" Did you mean {close[0]}?" if close else ""


def variables_elsewhere() -> dict[str, str]:
    """This process's settings variables, as a process started in another folder needs them.

    Raises:
        ConfigError: One of them is a secret, which belongs in no file but the home's.
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {name.upper(): value for name, value in os.environ.items() if value and name.upper() in known}
    for name, value in given.items():
        if name == f"{_PREFIX}OPENAI_API_KEY" or _has_password(value):
            raise ConfigError(
                f"{name} holds a secret, which is not written into other programs' files. "
                f"Put it into {_file()}, which every server of this home reads, and unset the variable."
            )
    found = {name: _from_any_folder(name, value) for name, value in given.items()}
    if found.get(f"{_PREFIX}HOME") == str(default_home().absolute()):
        del found[f"{_PREFIX}HOME"]
    return found


def _has_password(value: str) -> bool:
    parts = urlsplit(value) if "://" in value else None
    return parts is not None and bool(parts.password or "password" in parse_qs(parts.query))


def _from_any_folder(name: str, value: str) -> str:
    """The value with the path in it, if there is one, counted from the root."""
    match name.removeprefix(_PREFIX):
        case "HOME" | "UPSTREAMS":
            return str(Path(value).expanduser().absolute())
        case "SEMANTIC_MODEL" if Path(value).is_dir():
            return str(Path(value).absolute())
        case "DATABASE_URL" if value.startswith("sqlite"):
            scheme, slashes, file = value.partition(":///")
            return f"{scheme}{slashes}{Path(file).absolute()}" if file else value
        case _:
            return value


def environment() -> Mapping[str, str]:
    """The process environment, for secrets that the upstreams file refers to by name."""
    return os.environ


@cache
def local_zone() -> tzinfo:
    """The time zone of this machine, or the one that the variable TZ names.

    Where that is none known by name, it is the distance from UTC that the system makes of it: TZ may be a
    rule such as UTC+3, and to the system an unknown name is UTC.
    """
    import tzlocal  # noqa: PLC0415 - a start does without it.

    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError):
        offset = datetime.now(UTC).astimezone().utcoffset()
        return timezone(offset or timedelta())
