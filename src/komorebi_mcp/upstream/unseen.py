"""Takes out of a text what nobody sees and a model reads all the same.

Tag characters, bidirectional controls, zero-width marks and variation selectors can hide instructions in a
description that looks harmless to the person who approves it.
"""

import re
from typing import Any, Final

_UNSEEN = re.compile(
    # Control characters but for tab and line breaks, soft hyphen, and marks that only direct or join.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    # Joiners shape emoji and many scripts, but have no business beside ASCII, nor in a row.
    "|(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d])"
    "|(?<![^\x00-\x7f\ufe0f])\ufe0f(?!\u20e3)"
)
_SHOWN: Final = frozenset({"title", "description"})


def seen(text: str) -> str:
    """`text` without what is invisible in it."""
    # Taking one out may bring two joiners together that stood apart.
    while (fewer := _UNSEEN.sub("", text)) != text:
        text = fewer
    return text


def is_unseen(char: str) -> bool:
    """Whether nobody would see the character by itself."""
    return seen(char) != char


def seen_in(definition: Any) -> Any:
    """A definition whose titles and descriptions, those within its schemas included, hide nothing.

    The same object where there is nothing to take out. Names of arguments and their values stay as they are,
    since calls must be made with them.
    """
    match definition:
        case dict():
            clean = {
                key: seen(value) if key in _SHOWN and isinstance(value, str) else seen_in(value)
                for key, value in definition.items()
            }
            return definition if all(clean[key] is definition[key] for key in clean) else clean
        case list():
            items = [seen_in(item) for item in definition]
            same = all(new is old for new, old in zip(items, definition, strict=True))
            return definition if same else items
        case _:
            return definition
