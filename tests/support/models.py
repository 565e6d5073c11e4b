"""Tiny static embedding models, made by tests: words of one group mean the same, and no others do."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

WORDS = (
    ("car", "automobile", "vehicle"),
    ("repair", "mend", "fix"),
    ("cake", "dessert", "pudding"),
    ("doctor", "physician"),
    ("holiday", "vacation"),
)
_DIMENSIONS = 16
_UNKNOWN = "[UNK]"


def make_model(folder: Path, groups: Sequence[Sequence[str]] = WORDS) -> Path:
    """Saves a model for these words at `folder`, and returns it. What it does not know means nothing."""
    words = [_UNKNOWN, *(word for group in groups for word in group)]
    rows = np.zeros((len(words), _DIMENSIONS), np.float32)
    for axis, group in enumerate(groups):
        for word in group:
            rows[words.index(word), axis] = 1
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token=_UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    model = StaticModel(rows, tokenizer, config={"normalize": True})
    model.save_pretrained(folder, model_name="tiny")
    return folder
