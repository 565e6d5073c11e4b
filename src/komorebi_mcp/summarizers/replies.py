"""What a model answered, taken apart; nothing of it is trusted yet."""

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from komorebi_mcp.errors import ModelFailed
from komorebi_mcp.text.cuts import one_line
from komorebi_mcp.text.sentences import split_sentences

_REPLY_CHARS_MAX = 200_000
_SENTENCES_MAX = 200
_SENTENCE_CHARS_MAX = 1_500
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_MARKS = re.compile(r"^(?:[-*•‣]|#{1,6})\s+")


class Claim(NamedTuple):
    """A sentence as a model wrote it."""

    text: str
    handles: tuple[str, ...]
    """What it cites, known or not."""


def read_reply(reply: str, known: Collection[str]) -> list[Claim]:
    """The sentences of an answer, each on its own, with what it cites.

    `known` are the names a model may cite; where it wrote one into its text, that is taken out.

    Raises:
        ModelFailed: It is no answer of the form asked for, or holds no sentence.
    """
    found: list[Claim] = []
    for row in _rows(reply):
        text, cited = _row(row)
        for sentence in _sentences(text, known):
            found.append(Claim(sentence, cited))
            if len(found) >= _SENTENCES_MAX:
                return found
    if not found:
        raise ModelFailed("The model wrote no sentence.")
    return found


def _rows(reply: str) -> list[Any]:
    text = _THOUGHT.sub("", reply[:_REPLY_CHARS_MAX]).strip()
    fenced = _FENCED.search(text)
    for candidate in (text, fenced[1] if fenced else "", text[text.find("{") :]):
        try:
            value, _ = json.JSONDecoder().raw_decode(candidate.strip())
        except (ValueError, RecursionError):
            continue
        rows = value.get("sentences") if isinstance(value, dict) else value
        if isinstance(rows, list):
            return rows
    raise ModelFailed("The model's answer is not the JSON it was asked for.")


def _row(row: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ModelFailed("The model's answer is not the JSON it was asked for.")
    cited = row.get("sources", [])
    cited = cited if isinstance(cited, list) else [cited]
    return row["text"], tuple(each.strip("[]() ") for each in cited if isinstance(each, str))


def _sentences(text: str, known: Collection[str]) -> list[str]:
    if known:
        names = "|".join(map(re.escape, sorted(known)))
        cited = rf"\s*[\[(](?:ids?:?\s*|sources?:?\s*)?(?:{names})(?:[,;]?\s*(?:{names}))*[\])]"
        text = re.sub(cited, "", text)
    text = _MARKS.sub("", one_line(text))
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a character: whatever it was to be, it is in no capture.
        return []
    spans = split_sentences(text)
    return [text[start:end] for start, end in spans if end - start <= _SENTENCE_CHARS_MAX]
