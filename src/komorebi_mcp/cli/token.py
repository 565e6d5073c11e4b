"""`komorebi-mcp token …`: who may use the HTTP server."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

import anyio
import typer

from komorebi_mcp.cli.options import AsJson
from komorebi_mcp.cli.session import ready_settings, refuse
from komorebi_mcp.cli.show import as_json, console, counted, line, moment
from komorebi_mcp.domain.access import Scope, Token
from komorebi_mcp.domain.clock import utc_now
from komorebi_mcp.domain.model import Model
from komorebi_mcp.services.access import Access
from komorebi_mcp.storage.store import open_store

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PERIOD: Final = re.compile(rf"(?P<number>[1-9][0-9]{{0,4}})(?P<unit>[{''.join(_UNITS)}])")

T = TypeVar("T")


class NewToken(Token):
    """A token as it is shown this once."""

    token: str


class TokenList(Model):
    tokens: tuple[Token, ...]


def new(
    *,
    owner: Annotated[
        str,
        typer.Option(help="Whose captures it gives access to; the owner local is you, on stdio and here."),
    ],
    scopes: Annotated[
        str, typer.Option(help="What it allows: read, write, upstream, or several separated by commas.")
    ] = "read,write",
    expires: Annotated[
        str | None,
        typer.Option(help="How long it is valid, such as 12h, 90d or 8w; for ever if left out."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Create a token. It is shown only once; the database keeps a digest of it."""
    rights, lasts = _scopes(scopes), None if expires is None else _period(expires)
    secret, token = _with_access(lambda access: access.new(owner, rights, lasts=lasts))
    if json:
        as_json(NewToken(**dict(token), token=secret))
        return
    typer.echo(secret)
    until = f"until {moment(token.expires_at)}" if token.expires_at else "until revoked"
    typer.echo(
        f"Token {token.id} of {token.owner} for {', '.join(token.scopes)}, {until}. It is not shown again.",
        err=True,
    )


def list_tokens(*, json: AsJson = False) -> None:
    """List tokens, revoked ones included, without the secrets themselves."""
    tokens = _with_access(Access.all)
    if json:
        as_json(TokenList(tokens=tuple(tokens)))
        return
    out = console()
    now = utc_now()
    for token in tokens:
        used = f"last used {moment(token.used_at)}" if token.used_at else "never used"
        line(
            out,
            (token.id, "bold"),
            f"  {token.owner}  {','.join(token.scopes)}  {_state(token, now)}  {used}",
        )
    line(out, counted(len(tokens), "token"))


def revoke(
    token_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id that `komorebi-mcp token list` shows.")
    ],
    *,
    json: AsJson = False,
) -> None:
    """Revoke a token for good, in running servers too."""
    token = _with_access(lambda access: access.revoke(token_id))
    if json:
        as_json(token)
    else:
        line(console(), f"Token {token.id} of {token.owner} is revoked")


def _with_access(work: Callable[[Access], Awaitable[T]]) -> T:
    settings = ready_settings()

    async def within() -> T:
        async with open_store(settings.database_url) as store:
            return await work(Access(store, clock=utc_now))

    return anyio.run(within)


def _scopes(text: str) -> frozenset[Scope]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    if not names or not names <= set(Scope):
        refuse(f"--scopes must be some of {', '.join(Scope)}, with commas between.")
    return frozenset(map(Scope, names))


def _period(text: str) -> timedelta:
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        refuse(f"--expires must be a number and one of {', '.join(_UNITS)}, such as 90d.")
    return timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at:
        return f"revoked {moment(token.revoked_at)}"
    if not token.expires_at:
        return "valid"
    return f"{'valid until' if token.is_valid(now) else 'expired'} {moment(token.expires_at)}"
