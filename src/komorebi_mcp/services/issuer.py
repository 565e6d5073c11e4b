"""JWTs of an OAuth 2.1 authorization server: this server is a resource server to it (RFC 9068, RFC 8725)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import structlog

from komorebi_mcp.domain.access import Principal, Scope
from komorebi_mcp.errors import ConfigError

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Asymmetric ones alone: with a shared secret, whoever checks a token could make one too."""
LEEWAY_S: Final = 30
"""How far the issuer's clock may be off."""
KEYS_SECONDS_MAX: Final = 600.0
"""How long keys are kept before they are fetched again: so long a withdrawn one is still accepted."""
KEYS_STALE_SECONDS_MAX: Final = 3600.0
"""How long they are kept where the issuer cannot be reached."""
REFETCH_PAUSE_S: Final = 10.0
"""A key id that is unknown has the keys fetched again, but not more often than this."""
SUBJECT_CHARS_MAX: Final = 255
"""How long a subject may be (OpenID Connect Core 1.0, section 2); PostgreSQL could not index a long one."""

_FETCH_TIMEOUT_S = 5.0
_DOCUMENT_BYTES_MAX = 1024 * 1024
_UNREADABLE = (ValueError, TypeError, RecursionError)
"""What comes of reading a document that is not what it should be."""
_METADATA_PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")

_log = structlog.get_logger(__name__)


class Issuer:
    """Recognises the tokens of one issuer. Its keys are fetched when the first token comes."""

    def __init__(self, url: str, *, audience: str, jwks_url: str = "") -> None:
        """Without `jwks_url` the issuer's metadata says where its keys are (RFC 8414).

        Raises:
            ConfigError: No audience is given: tokens meant for other servers would be accepted.
        """
        if not audience:
            raise ConfigError(
                "KOMOREBI_AUTH_AUDIENCE is not set, so tokens meant for other servers would be accepted. "
                "Set it to the audience that the issuer writes into tokens for this one."
            )
        self.url = url
        self._audience = audience
        self._jwks_url = jwks_url
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = anyio.Lock()

    async def verify(self, token: str) -> Principal | None:
        """Whom a JWT stands for; None unless this issuer made it for us and it still holds."""
        import jwt  # noqa: PLC0415 - A server without an issuer does without it.

        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                return None
            key = await self._key(header.get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=self._audience,
                issuer=self.url,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            _log.info("issuer.token_refused", reason=type(error).__name__)
            return None
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject.isprintable() or not subject.strip():
            return None
        if len(subject) > SUBJECT_CHARS_MAX:
            return None
        # An issuer's URL has no fragment (RFC 8414 section 2), so that no two pairs make the same owner.
        return Principal(f"{self.url}#{subject}", _scopes(claims))

    async def _key(self, key_id: object) -> Any:
        """The key of that id; without an id, the only one there is."""
        name = key_id if isinstance(key_id, str) else None
        if self._is_due(known=name in self._keys):
            async with self._fetching:
                # Whoever waited here may find that another request has brought them.
                if self._is_due(known=name in self._keys):
                    await self._fetch()
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name)

    def _is_due(self, *, known: bool) -> bool:
        now = anyio.current_time()
        if now - self._tried_at < REFETCH_PAUSE_S:
            return False
        return not known or now - self._fetched_at >= KEYS_SECONDS_MAX

    async def _fetch(self) -> None:
        """Brings the issuer's keys; those there are stay until their time is up if it does not answer."""
        import httpx2  # noqa: PLC0415 - A server without an issuer does without them.
        import jwt  # noqa: PLC0415 - The same.

        self._tried_at = anyio.current_time()
        try:
            async with httpx2.AsyncClient(timeout=_FETCH_TIMEOUT_S) as client:
                url = self._jwks_url or await self._discover(client)
                keys = _keys_in(await _document(client, url))
        except (*_UNREADABLE, httpx2.HTTPError, httpx2.InvalidURL, jwt.PyJWTError) as error:
            _log.warning("issuer.keys_not_fetched", issuer=self.url, error=f"{type(error).__name__}: {error}")
            if self._tried_at - self._fetched_at >= KEYS_STALE_SECONDS_MAX:
                self._keys = {}
            return
        self._keys = keys
        self._fetched_at = anyio.current_time()

    async def _discover(self, client: Any) -> str:
        """Where the issuer says its keys are.

        Raises:
            ValueError: It says nothing, or is another issuer than it was asked for.
        """
        for address in _metadata_addresses(self.url):
            try:
                metadata = await _document(client, address)
            except ValueError:
                continue
            if metadata.get("issuer") == self.url and isinstance(metadata.get("jwks_uri"), str):
                return str(metadata["jwks_uri"])
        raise ValueError("the issuer's metadata names no jwks_uri; set KOMOREBI_AUTH_JWKS_URL")


def _metadata_addresses(issuer: str) -> Iterator[str]:
    """Where an issuer's metadata may be: ahead of its path (RFC 8414), or behind it (OpenID Connect)."""
    parts = urlsplit(issuer.rstrip("/"))
    for name in _METADATA_PATHS:
        yield f"{parts.scheme}://{parts.netloc}{name}{parts.path}"
    if parts.path:
        yield from (f"{parts.geturl()}{name}" for name in _METADATA_PATHS)


async def _document(client: Any, url: str) -> dict[str, Any]:
    """The JSON object at the URL.

    Raises:
        ValueError: There is none.
        httpx2.HTTPError: The server cannot be reached.
    """
    async with client.stream("GET", url) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{url} answered with HTTP status {answer.status_code}")
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > _DOCUMENT_BYTES_MAX:
                raise ValueError(f"{url} is larger than {_DOCUMENT_BYTES_MAX:,} bytes")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object")  # noqa: TRY004 - a document of a wrong form, not a bug.
    return found


def _keys_in(document: Mapping[str, Any]) -> dict[str | None, Any]:
    """The keys for signatures, by their ids. One that names no algorithm serves every one of its kind.

    Raises:
        jwt.PyJWTError: None of them can be used.
        TypeError: The document is no set of keys.
    """
    import jwt  # noqa: PLC0415 - A server without an issuer does without it.

    keys = jwt.PyJWKSet.from_dict(dict(document)).keys
    bound = {each.get("kid") for each in document["keys"] if isinstance(each, dict) and each.get("alg")}
    # By itself PyJWT would take an RSA key for RS256 alone.
    return {
        key.key_id: key if key.key_id in bound else key.key
        for key in keys
        if key.public_key_use in {None, "sig"}
    }


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Our scopes among those the token names, as text in `scope` (RFC 9068) or as a list in `scp`."""
    named = claims.get("scope", claims.get("scp", ""))
    words = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
    return frozenset(scope for scope in Scope if scope in words)
