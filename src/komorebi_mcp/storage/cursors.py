"""Cursors: where a list goes on, sealed so that only the list that made one can use it.

What is in one is hidden too: places in the order of arrival would tell how much other owners store.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from komorebi_mcp.errors import InvalidInput

_SEAL_BYTES = 16
_FORMAT = "3"
"""Part of the seal: cursors of another format are refused."""


class CursorSigner:
    """Seals positions with the store's own key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._hiding = self.key_for("hiding")

    def seal(self, position: list[Any], *, owner: str, list_of: str, asked: str) -> str:
        """An opaque cursor that `open` accepts for the same owner, list and question only."""
        body = json.dumps(position, separators=(",", ":")).encode()
        seal = self._seal_of(body, owner, list_of, asked)
        sealed = seal + self._hidden(body, seal)
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
        seal = raw[:_SEAL_BYTES]
        body = self._hidden(raw[_SEAL_BYTES:], seal)
        if not hmac.compare_digest(seal, self._seal_of(body, owner, list_of, asked)):
            raise InvalidInput(
                "The cursor does not belong to this list. Repeat the call without cursor to start over."
            )
        position: list[Any] = json.loads(body)
        return position

    def key_for(self, purpose: str) -> bytes:
        """32 secret bytes that tell nothing of the store's own key."""
        return hmac.digest(self._key, json.dumps(["key", purpose]).encode(), hashlib.sha256)

    def _hidden(self, body: bytes, seal: bytes) -> bytes:
        """The body hidden, or shown again. The seal is of the body alone, so no two have one key stream."""
        needed = -(-len(body) // hashlib.sha256().digest_size)
        stream = b"".join(
            hmac.digest(self._hiding, seal + block.to_bytes(4, "big"), hashlib.sha256)
            for block in range(needed)
        )
        return bytes(one ^ other for one, other in zip(body, stream, strict=False))

    def _seal_of(self, body: bytes, owner: str, list_of: str, asked: str) -> bytes:
        # JSON keeps the parts apart, whatever characters an owner or a query holds.
        bound = json.dumps([_FORMAT, owner, list_of, asked]).encode()
        return hmac.digest(self._key, hashlib.sha256(bound).digest() + body, hashlib.sha256)[:_SEAL_BYTES]
