"""Cursors: where a list goes on, sealed so that only the list that made one can use it."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from komorebi_mcp.errors import InvalidInput

_SEAL_BYTES = 16
_FORMAT = "1"
"""Part of the seal: cursors of another format are refused."""


class CursorSigner:
    """Seals positions with the store's own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, position: list[Any], *, owner: str, list_of: str, asked: str) -> str:
        """An opaque cursor that `open` accepts for the same owner, list and question only."""
        body = json.dumps(position, separators=(",", ":")).encode()
        sealed = self._seal_of(body, owner, list_of, asked) + body
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, cursor: str, *, owner: str, list_of: str, asked: str) -> list[Any]:
        """The position in `cursor`.

        Raises:
            InvalidInput: It was forged, or belongs to another owner, list or question.
        """
        try:
            raw = base64.b64decode(
                cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal_of(body, owner, list_of, asked)):
            raise InvalidInput(
                "The cursor does not belong to this list. Repeat the call without cursor to start over."
            )
        position: list[Any] = json.loads(body)
        return position

    def key_for(self, purpose: str) -> bytes:
        """32 secret bytes that tell nothing of the store's own key."""
        return hmac.digest(self._key, json.dumps(["key", purpose]).encode(), hashlib.sha256)

    def _seal_of(self, body: bytes, owner: str, list_of: str, asked: str) -> bytes:
        # JSON keeps the parts apart, whatever characters an owner or a query holds.
        bound = json.dumps([_FORMAT, owner, list_of, asked]).encode()
        return hmac.digest(self._key, hashlib.sha256(bound).digest() + body, hashlib.sha256)[:_SEAL_BYTES]
