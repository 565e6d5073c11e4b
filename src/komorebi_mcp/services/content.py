"""What may become a capture's content."""

from functools import partial
from typing import Literal, NamedTuple

import anyio.to_thread

from komorebi_mcp.domain.captures import CONTENT_BYTES_MAX
from komorebi_mcp.errors import InvalidInput, TooLarge
from komorebi_mcp.text.secrets import redact

_INLINE_CHARS_MAX = 32_768
"""Longer texts are searched for secrets in a thread, so that other calls need not wait."""

SecretsPolicy = Literal["redact", "flag", "off"]


class Admitted(NamedTuple):
    """A content fit to be stored."""

    content: str
    redactions: int
    """How many secrets were found; all of them are out of the content unless the policy is `flag`."""


async def admit(content: str, *, secrets: SecretsPolicy) -> Admitted:
    """The content as it may be stored.

    Raises:
        InvalidInput: It is empty, or holds half of a surrogate pair, which UTF-8 cannot encode.
        TooLarge: It is over `CONTENT_BYTES_MAX`.
    """
    check(content)
    if len(content) > _INLINE_CHARS_MAX:
        return await anyio.to_thread.run_sync(partial(cleaned, content, secrets=secrets))
    return cleaned(content, secrets=secrets)


def check(content: str) -> None:
    """Refuses what no capture can hold.

    Raises:
        InvalidInput: It is empty, or holds half of a surrogate pair, which UTF-8 cannot encode.
        TooLarge: It is over `CONTENT_BYTES_MAX`.
    """
    if not content:
        raise InvalidInput("The content is empty. Call capture with the text to keep.")
    try:
        size_bytes = len(content.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The content holds a lone surrogate at character {error.start}, which is not valid Unicode. "
            "Remove or replace it and capture again."
        ) from None
    if size_bytes > CONTENT_BYTES_MAX:
        raise TooLarge(
            f"The content has {size_bytes:,} bytes; a capture holds at most {CONTENT_BYTES_MAX:,}. "
            "Split it into several captures, or pipe it to `komorebi-mcp capture -`."
        )


def cleaned(content: str, *, secrets: SecretsPolicy) -> Admitted:
    """The content as the policy wants it, whatever its length."""
    if secrets == "off":
        return Admitted(content, 0)
    clean, found = redact(content)
    return Admitted(clean if secrets == "redact" else content, found)
