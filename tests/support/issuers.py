"""An OAuth authorization server, as far as a resource server can tell."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

AUDIENCE = "https://notes.example.org/mcp"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


PUBLIC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class AuthorizationServer:
    """Serves documents by path, and counts how often each was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.documents: dict[str, Any] = {}
        self.publish(one=EC_KEY)

    def publish(self, **keys: Any) -> None:
        self.documents["/keys"] = {"keys": [_public(name, key) for name, key in keys.items()]}

    def token(
        self, key: Any = EC_KEY, *, kid: str | None = "one", algorithm: str = "ES256", **claims: Any
    ) -> str:
        now = datetime.now(UTC)
        told = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "u1",
            "exp": now + timedelta(minutes=5),
            "scope": "read write openid",
        }
        told = {name: value for name, value in (told | claims).items() if value is not None}
        return jwt.encode(told, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def _public(name: str, key: Any) -> dict[str, Any]:
    algorithm: Any = OKPAlgorithm if isinstance(key, ed25519.Ed25519PrivateKey) else ECAlgorithm
    document = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**document, "kid": name, "use": "sig"}


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            document = told.documents.get(self.path)
            self.send_response(200 if document is not None else 404)
            self.end_headers()
            # Bytes are sent as they are.
            said = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told = AuthorizationServer(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            http.shutdown()
            thread.join()
