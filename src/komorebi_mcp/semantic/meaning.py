"""What texts mean, where a model is wanted and can be had; without one everything works as it does."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread
import structlog

from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.errors import KomorebiError

_log = structlog.get_logger(__name__)


class Encoder(Protocol):
    """A model that has been loaded."""

    name: str

    def read(self, texts: Sequence[str]) -> list[Vector]: ...


class Meaning:
    """A model that is loaded once, when it is first needed, in a thread."""

    def __init__(self, wanted: str) -> None:
        """`wanted` is a folder or a name, as `static.StaticEncoder` takes it."""
        self.wanted = wanted
        self.failure: str | None = None
        """Why it could not be loaded."""
        self._encoder: Encoder | None = None
        self._loading = anyio.Lock()

    @property
    def model(self) -> str | None:
        """Which model it is; None before it is loaded, and where it cannot be."""
        return self._encoder.name if self._encoder else None

    async def load(self) -> None:
        """Returns once the model is there, or has turned out not to be had, which is logged once."""
        async with self._loading:
            if self._encoder is None and self.failure is None:
                try:
                    self._encoder = await anyio.to_thread.run_sync(partial(_load, self.wanted))
                except (ImportError, KomorebiError) as error:
                    self.failure = _reason(error)
                    _log.warning("semantic.model_failed", model=self.wanted, reason=self.failure)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with it, search works without.
                    self.failure = _reason(error)
                    _log.exception("semantic.model_failed", model=self.wanted)

    def read_now(self, text: str) -> Vector | None:
        """What the text means; None where no model has been loaded."""
        return self._encoder.read([text])[0] if self._encoder else None

    async def read(self, text: str) -> Vector | None:
        """What the text means; None where no model can be had."""
        await self.load()
        return self.read_now(text)

    async def read_all(self, texts: Sequence[str]) -> list[Vector]:
        """What each text means, read in a thread; the model has to be loaded."""
        if self._encoder is None:
            raise RuntimeError("no model is loaded")
        return await anyio.to_thread.run_sync(partial(self._encoder.read, texts))


def _load(wanted: str) -> Encoder:
    from komorebi_mcp.semantic.static import StaticEncoder  # noqa: PLC0415 - numpy and all; only where wanted.

    return StaticEncoder(wanted)


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "The extra is not installed. Install komorebi-mcp[semantic]."
    if isinstance(error, KomorebiError):
        return str(error)
    return f"It cannot be read: {str(error).strip().partition(chr(10))[0] or type(error).__name__}"
