"""Every error this product raises on purpose.

KomorebiError
├── InvalidInput            the caller can mend the call
│   ├── NotFound            nothing there under that id or name
│   ├── Unconfirmed         a destructive act waits for `confirm: true`
│   └── TooLarge            over a documented limit
├── StorageError            the database cannot do it
│   ├── StorageUnavailable  locked, full, read-only or out of reach; trying again may help
│   └── StorageCorrupt      the file is damaged or not ours; trying again does not help
├── UpstreamError           another MCP server cannot do it
│   ├── UpstreamUnavailable it does not answer, or not in time
│   │   └── Quarantined     what was asked for changed, and nobody has accepted the change yet
│   └── UpstreamRefused     it answered with a JSON-RPC error
├── LimitReached            an owner asks for more than they may; trying again later helps
├── ModelFailed             a model did not write what it was asked to; what it cannot do is done without
└── ConfigError             settings or the upstreams file are wrong

A message says what happened and then the next move, in one or two sentences; it is shown to people and
models as it stands, so it never holds captured text, a secret or a path of the SDK.
"""

from typing import Any


class KomorebiError(Exception):
    """The root of the tree; its text is fit for the caller."""


class InvalidInput(KomorebiError):
    """The call cannot be carried out as it was made."""


class NotFound(InvalidInput):
    """Nothing is there under that id or name, for this owner."""


class Unconfirmed(InvalidInput):
    """A destructive act was not confirmed, and nothing was changed."""


class TooLarge(InvalidInput):
    """Over a documented limit."""


class StorageError(KomorebiError):
    """The database cannot do what was asked; nothing was half-written."""


class StorageUnavailable(StorageError):
    """The database is locked, full, read-only or out of reach."""


class StorageCorrupt(StorageError):
    """The database file is damaged, or another program's, or newer than this version."""


class UpstreamError(KomorebiError):
    """Another MCP server could not do what was asked."""


class UpstreamUnavailable(UpstreamError):
    """The upstream does not answer, or did not within its deadline."""


class Quarantined(UpstreamUnavailable):
    """What was asked for is held back, since its definition changed after it was trusted."""


class UpstreamRefused(UpstreamError):
    """The upstream answered with a JSON-RPC error, kept whole in `code` and `data`."""

    def __init__(self, message: str, *, code: int, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class LimitReached(KomorebiError):
    """An owner asks for more than they may at the moment."""

    def __init__(self, message: str, *, retry_s: int) -> None:
        super().__init__(f"{message} Nothing was done; try again in {retry_s:,} seconds.")
        self.retry_s = retry_s
        """When it may be worth trying again, in seconds from now."""


class ModelFailed(KomorebiError):
    """A model is out of reach, too slow, refuses, or answers with what is no summary.

    No caller sees it: the next summarizer writes instead, and the summary says which did.
    """


class ConfigError(KomorebiError):
    """A setting or the upstreams file is wrong."""
