"""Why a connection failed, in a sentence for whoever configured it."""

import traceback
from collections.abc import Sequence

import httpx2
import structlog

from komorebi_mcp.errors import ConfigError, KomorebiError, StorageError, UpstreamRefused, UpstreamUnavailable
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.secrets import Secrets
from komorebi_mcp.upstream.wire import Ended

_log = structlog.get_logger(__name__)


def reason_of(error: Exception, upstream: UpstreamConfig, secrets: Secrets, noise: Sequence[str]) -> str:
    """One or two sentences, free of secrets; `noise` is what the upstream wrote, the latest last."""
    leaf = telling(error)
    said = _sentence_on(leaf, command=upstream.command)
    if said is None:
        # Formatted here: a renderer that shows local variables would show the secrets among them.
        trace = secrets.mask("".join(traceback.format_exception(error)))
        _log.warning("upstream.broke", upstream=upstream.name, traceback=trace)
        said = f"The connection failed: {type(leaf).__name__}."
    wrote = (f"It wrote last: '{line[:200]}'." for line in noise[-1:])
    return secrets.mask(" ".join((said, *wrote)))


def telling(error: BaseException) -> BaseException:
    """Of the failures in a group, the one that says most."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [telling(inner) for inner in error.exceptions]
    return next(
        (leaf for leaf in leaves if isinstance(leaf, KomorebiError | OSError | httpx2.HTTPError)), leaves[0]
    )


def _sentence_on(leaf: BaseException, *, command: str) -> str | None:  # noqa: PLR0911  # Cases.
    """What to say of the failure of an upstream started by `command`; None where nobody foresaw it."""
    match leaf:
        case Ended() if command:
            return f"{leaf} Run its command in a terminal to see why."
        case ConfigError() | UpstreamUnavailable():
            return str(leaf)
        case UpstreamRefused():
            return f"It refused: {leaf} (code {leaf.code})."
        case StorageError():
            return f"What it offers cannot be compared with what was pinned: {leaf}"
        case FileNotFoundError():
            return (
                f"The command '{command}' was not found, or its folder was not. "
                "Install it or give its full path in the upstreams file."
            )
        case OSError():
            return f"It cannot be started: {leaf.strerror or type(leaf).__name__}."
        case httpx2.HTTPStatusError():
            return f"It answered with HTTP status {leaf.response.status_code}."
        case httpx2.HTTPError():
            return f"It cannot be reached over HTTP: {leaf} ({type(leaf).__name__})."
    return None
