"""JWTs of an authorization server: which are accepted, and when its keys are fetched."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from komorebi_mcp.domain.access import Principal, Scope
from komorebi_mcp.errors import ConfigError
from komorebi_mcp.services import issuer as issuer_module
from komorebi_mcp.services.issuer import Issuer
from support.issuers import (
    AUDIENCE,
    ED_KEY,
    OTHER_KEY,
    PUBLIC_PEM,
    AuthorizationServer,
    authorization_server,
)

DEEP = b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

# Each test asks an issuer of its own.
pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as running:
        yield running


def issuer_of(server: AuthorizationServer) -> Issuer:
    return Issuer(server.url, audience=AUDIENCE, jwks_url=f"{server.url}/keys")


def signed_with_the_public_key(server: AuthorizationServer) -> str:
    """A token by somebody who has us take the issuer's public key for a shared secret."""
    _, body, _ = server.token().split(".")
    header = urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"one"}').rstrip(b"=").decode()
    seal = hmac.digest(PUBLIC_PEM, f"{header}.{body}".encode(), "sha256")
    return f"{header}.{body}.{urlsafe_b64encode(seal).rstrip(b'=').decode()}"


async def test_a_token_stands_for_its_subject_as_its_issuer_knows_it(server: AuthorizationServer) -> None:
    issuer = issuer_of(server)
    principal = Principal(f"{server.url}#u1", frozenset({Scope.READ, Scope.WRITE}))
    for _ in range(3):
        assert await issuer.verify(server.token()) == principal
    assert server.asked == ["/keys"]
    several = await issuer.verify(server.token(aud=["x", AUDIENCE], scope=None, scp=["read", "upstream", 1]))
    assert several == Principal(f"{server.url}#u1", frozenset({Scope.READ, Scope.UPSTREAM}))
    assert await issuer.verify(server.token(scope=None)) == Principal(f"{server.url}#u1", frozenset())


async def test_what_the_issuer_did_not_make_for_this_server_and_this_moment_is_refused(
    server: AuthorizationServer,
) -> None:
    issuer, now = issuer_of(server), datetime.now(UTC)
    assert await issuer.verify(server.token()) is not None
    unsigned = jwt.encode({"iss": server.url, "aud": AUDIENCE, "sub": "u1"}, "", algorithm="none")
    header, body, signature = server.token().split(".")
    wrong = {
        "another key": server.token(OTHER_KEY),
        "another issuer": server.token(iss="https://elsewhere.example"),
        "no issuer": server.token(iss=None),
        "another audience": server.token(aud="https://elsewhere.example/mcp"),
        "no audience": server.token(aud=None),
        "expired": server.token(exp=now - timedelta(seconds=40)),
        "no end": server.token(exp=None),
        "not yet": server.token(nbf=now + timedelta(seconds=60)),
        "no subject": server.token(sub=None),
        "an empty subject": server.token(sub=""),
        "a subject of two lines": server.token(sub="u1\nu2"),
        "a shared secret": signed_with_the_public_key(server),
        "no signature": unsigned,
        "a cut signature": f"{header}.{body}.{signature[:-4]}",
        "another body": f"{header}.{body[:-2]}AA.{signature}",
        "no token": "a.b.c",
        "nothing": "",
        "no text": "\udc80",
    }
    accepted = [name for name, token in wrong.items() if await issuer.verify(token) is not None]
    assert accepted == []
    assert await issuer.verify(server.token(exp=now - timedelta(seconds=10))) is not None


async def test_a_new_key_is_fetched_when_a_token_names_it_but_not_for_every_wrong_one(
    server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = issuer_of(server)
    assert await issuer.verify(server.token()) is not None
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(issuer.verify, server.token(OTHER_KEY, kid=f"wrong {number}"))
    assert server.asked == ["/keys"]
    monkeypatch.setattr(issuer_module, "REFETCH_PAUSE_S", 0.0)
    server.publish(two=ED_KEY)
    assert await issuer.verify(server.token(ED_KEY, kid="two", algorithm="EdDSA")) is not None
    assert server.asked == ["/keys"] * 2
    # The one that was withdrawn opens nothing any more.
    assert await issuer.verify(server.token()) is None


async def test_keys_stay_while_the_issuer_is_away(
    server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = issuer_of(server)
    monkeypatch.setattr(issuer_module, "REFETCH_PAUSE_S", 0.0)
    monkeypatch.setattr(issuer_module, "KEYS_SECONDS_MAX", 0.0)
    assert await issuer.verify(server.token()) is not None
    broken: Any
    for broken in (None, [], {"keys": []}, {"keys": [{"kty": "?"}]}, {"keys": 5}):
        server.documents["/keys"] = broken
        assert await issuer.verify(server.token()) is not None
    monkeypatch.setattr(issuer_module, "KEYS_STALE_SECONDS_MAX", 0.0)
    assert await issuer.verify(server.token()) is None


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
async def test_the_issuers_metadata_says_where_its_keys_are(server: AuthorizationServer, path: str) -> None:
    server.documents[f"/.well-known/{path}"] = {"issuer": server.url, "jwks_uri": f"{server.url}/keys"}
    assert await Issuer(server.url, audience=AUDIENCE).verify(server.token()) is not None


async def test_metadata_of_another_issuer_is_not_followed(server: AuthorizationServer) -> None:
    document = {"issuer": "https://elsewhere.example", "jwks_uri": f"{server.url}/keys"}
    server.documents["/.well-known/openid-configuration"] = document
    assert await Issuer(server.url, audience=AUDIENCE).verify(server.token()) is None


async def test_an_issuer_that_cannot_be_reached_lets_nobody_in(server: AuthorizationServer) -> None:
    issuer = Issuer(server.url, audience=AUDIENCE, jwks_url="http://127.0.0.1:1/keys")
    assert await issuer.verify(server.token()) is None


def test_an_issuer_without_an_audience_is_refused() -> None:
    with pytest.raises(ConfigError, match="KOMOREBI_AUTH_AUDIENCE"):
        Issuer("https://id.example.org", audience="")


@pytest.mark.parametrize("named", [None, "RS256"])
async def test_a_key_that_names_no_algorithm_serves_all_of_its_kind(
    server: AuthorizationServer, named: str | None
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one", "use": "sig"}
    server.documents["/keys"] = {"keys": [{**public, "alg": named} if named else public]}
    issuer = issuer_of(server)
    accepted = [
        algorithm
        for algorithm in ("RS256", "RS512", "PS256", "PS512")
        if await issuer.verify(server.token(key, algorithm=algorithm))
    ]
    assert accepted == ([named] if named else ["RS256", "RS512", "PS256", "PS512"])
    assert await issuer.verify(server.token(OTHER_KEY)) is None


@pytest.mark.parametrize("place", ["/.well-known/{name}/tenant", "/tenant/.well-known/{name}"])
@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
async def test_the_metadata_of_an_issuer_with_a_path_is_ahead_of_it_or_behind_it(
    server: AuthorizationServer, place: str, name: str
) -> None:
    url = f"{server.url}/tenant"
    server.documents[place.format(name=name)] = {"issuer": url, "jwks_uri": f"{server.url}/keys"}
    assert await Issuer(url, audience=AUDIENCE).verify(server.token(iss=url)) is not None


@pytest.mark.parametrize(
    "document", [[], {}, {"keys": 1}, {"keys": [1]}, {"keys": [{"kty": "EC", "kid": [1]}]}, DEEP]
)
async def test_a_document_that_is_no_set_of_keys_lets_nobody_in(
    server: AuthorizationServer, document: Any
) -> None:
    server.documents["/keys"] = document
    assert await issuer_of(server).verify(server.token()) is None


async def test_a_subject_that_is_too_long_to_keep_is_refused(server: AuthorizationServer) -> None:
    issuer = issuer_of(server)
    assert await issuer.verify(server.token(sub="x" * 255)) is not None
    assert await issuer.verify(server.token(sub="x" * 256)) is None
