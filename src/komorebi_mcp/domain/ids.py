"""Ids and `komorebi://` URIs.

An id is a UUIDv7 (RFC 9562) in its canonical hyphenated form; sorting ids sorts them by creation time.
"""

import re
from urllib.parse import quote

import uuid_utils

from komorebi_mcp.errors import InvalidInput

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_REFERENCE = re.compile(rf"(?:komorebi://(?P<noun>captures|summaries)/)?(?P<id>{_UUID})")


def new_id() -> str:
    """A fresh id, greater than every earlier one of this process."""
    return str(uuid_utils.uuid7())


def parse_capture_id(reference: str) -> str:
    """The id in `reference`, which is a capture's id or its URI.

    Raises:
        InvalidInput: It is neither.
    """
    match = _REFERENCE.fullmatch(reference.strip())
    if match is None or match["noun"] == "summaries":
        raise InvalidInput(
            "One of the ids is not a capture's id or komorebi://captures/ URI. "
            "Call list_captures or search_captures to get ids."
        )
    return match["id"].lower()


def capture_uri(capture_id: str) -> str:
    return f"komorebi://captures/{capture_id}"


def summary_uri(summary_id: str) -> str:
    return f"komorebi://summaries/{summary_id}"


def project_uri(name: str) -> str:
    return f"komorebi://projects/{quote(name, safe='')}"


def brief_uri(name: str) -> str:
    return f"{project_uri(name)}/brief"
