"""Static embedding models: a vector for each word, and their mean for a text. No network, no torch.

The format is model2vec's (https://github.com/MinishLab/model2vec). Imported only where a model is wanted: all
of it comes with the extra `semantic`.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from huggingface_hub import snapshot_download
from model2vec import StaticModel

from komorebi_mcp.domain.vectors import Vector
from komorebi_mcp.errors import ConfigError
from komorebi_mcp.text.cues import stamp_end
from komorebi_mcp.text.vectors import pack

_READ_CHARS = 4_000
"""How much of a text is read: the mean of a longer one says less of each part."""
_WAY_OF_READING = b"1"
"""Another one makes other vectors of the same texts, so that all of them are made anew."""
_DIGEST_BYTES = 4


class StaticEncoder:
    """A loaded model. Its methods take some 50 µs a short text, and may be called from any thread."""

    def __init__(self, name: str) -> None:
        """`name` is a folder, or the name of a model that is in the Hugging Face cache already.

        Raises:
            ConfigError: It is neither. Of a folder without such a model, its reader raises many things.
        """
        folder = Path(name).expanduser()
        if not folder.is_dir():
            # Never fetched here: a start is not to reach for the network, nor a typing error for a stranger.
            folder = _cached(name)
        self._model = StaticModel.from_pretrained(folder)
        digest = blake2b(self._model.embedding.tobytes(), digest_size=_DIGEST_BYTES, salt=_WAY_OF_READING)
        self.name = f"{Path(name).name}:{digest.hexdigest()}"
        """Which model it is, by its last name and what is in it."""

    def read(self, texts: Sequence[str]) -> list[Vector]:
        """What each text means. A stamp at its start is not read: it says only when it was written."""
        told = [text[stamp_end(text) :][:_READ_CHARS] for text in texts]
        # The tokenizer takes no lone surrogate.
        exact = [text.encode("utf-8", "replace").decode() for text in told]
        directions = self._model.encode(exact, use_multiprocessing=False)
        return [Vector(model=self.name, values=values) for values in pack(directions)]


def _cached(name: str) -> Path:
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{name} is not a folder, and no model of that name is in the Hugging Face cache. "
            "Name the folder of a model, or fetch it with `hf download`."
        ) from error
