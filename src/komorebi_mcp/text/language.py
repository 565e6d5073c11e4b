"""Which language a text is written in: by its script, and where that is Latin by its commonest words."""

import re
import string
from collections import defaultdict

SCAN_CHARS = 4_000
_LETTERS_MIN = 2
_WORD_HITS_MIN = 2
_WORD_SHARE_MIN = 0.12
_LEAD_MIN = 1.25
"""So many times the runner-up's score must the best language have."""

_SCRIPTS = {
    "kana": r"\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d",
    "han": r"\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff",
    "ko": r"\uac00-\ud7af\u1100-\u11ff",
    "th": r"\u0e01-\u0e4f",
    "lo": r"\u0e81-\u0ecd",
    "my": r"\u1000-\u109f",
    "km": r"\u1780-\u17d3",
    "cyrillic": r"\u0400-\u052f",
    "arabic": r"\u0620-\u06d3\u0750-\u077f",
    "he": r"\u05d0-\u05ea",
    "el": r"\u0370-\u03ff",
    "hi": r"\u0900-\u097f",
    "bn": r"\u0980-\u09ff",
    "ta": r"\u0b80-\u0bff",
    "te": r"\u0c00-\u0c7f",
    "ka": r"\u10a0-\u10ff",
    "hy": r"\u0531-\u058f",
    "latin": r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
}
_PATTERNS = {name: re.compile(f"[{characters}]+") for name, characters in _SCRIPTS.items()}
_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")
_OTHER_SCRIPTS = re.compile(f"[{''.join(_SCRIPTS[name] for name in _SCRIPTS if name != 'latin')}]")
_BASIC_LETTERS = string.ascii_letters.encode()
_LATIN_WORD = re.compile(f"[{_SCRIPTS['latin']}]+(?:['\u2019][{_SCRIPTS['latin']}]+)?")

_COMMON = {
    "en": "the and of to is in it that was for you with on are this have be not they we from at or what",
    "de": "der die das und ist nicht ein eine zu den mit von auf für im dem wir ich sich auch es wird",
    "fr": "le la les des et est une dans que qui pour pas sur au avec nous vous ce il elle du être sont",
    "es": "el la los las de que y en una por con para no se del es al lo como más pero fue está son",
    "it": "il di che è la non per un una del della con sono gli le nel si come più anche ma questo",
    "pt": "o a os as de que e do da em um uma para não com no na por mais se dos foi são ao está",
    "nl": "de het een en van is dat niet op te zijn voor met die we ik aan er maar ook naar wordt",
    "sv": "och att det som en på är av för inte med den till har vi om jag ett men var kan från",
    "da": "og at det som en på er af for ikke med den til har vi om jeg et men var kan fra",
    "pl": "i w na z że nie się do jest to o jak co ale przez od po dla są był czy już",
    "tr": "ve bir bu için ile de da ne çok var daha gibi olarak sonra kadar ama değil mi ben",
    "cs": "a se na je že v to s z do o i k jako ale po pro jsem by už jsou který",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _code, _words in _COMMON.items():
    for _word in _words.split():
        _LANGUAGES_OF.setdefault(_word, []).append(_code)


def detect_language(text: str) -> str | None:
    """The text's language as ISO 639-1; None where it is too short or too mixed to tell.

    Only the first 4,000 characters are looked at.
    """
    sample = text[:SCAN_CHARS]
    script = "latin" if sample.isascii() else _script(sample)
    if script == "latin":
        return _latin(sample)
    if script == "cyrillic":
        return "uk" if re.search("[\u0456\u0457\u0454\u0491]", sample) else "ru"
    if script == "arabic":
        if re.search("[\u0679\u0688\u0691\u06d2]", sample):
            return "ur"
        return "fa" if re.search("[\u067e\u0686\u0698\u06af]", sample) else "ar"
    return script


def _script(sample: str) -> str | None:
    """The script most letters are of, named by its language where it serves one above all."""
    beyond = "".join(_BEYOND_ASCII.findall(sample))
    if not _OTHER_SCRIPTS.search(beyond):
        return "latin"
    # Letters are counted by leaving them out, which is far faster than finding them.
    plain = sample.encode("ascii", "ignore")
    basic = len(plain) - len(plain.translate(None, _BASIC_LETTERS))
    counts = {name: _found(name, beyond) for name in _PATTERNS}
    counts["latin"] += basic
    east_asian = counts["kana"] + counts["han"]
    # One Han character or kana tells about as much as three letters.
    letters = sum(counts.values()) + 2 * east_asian
    if east_asian * 3 * 2 >= letters and east_asian >= _LETTERS_MIN:
        return "ja" if counts["kana"] * 10 > counts["han"] else "zh"
    script = max(counts, key=counts.__getitem__)
    return script if counts[script] >= _LETTERS_MIN and counts[script] * 2 >= letters else None


def _found(script: str, sample: str) -> int:
    """How many letters of the script there are."""
    return sum(map(len, _PATTERNS[script].findall(sample)))


def _latin(sample: str) -> str | None:
    words = list(map(str.casefold, _LATIN_WORD.findall(sample)))
    scores: defaultdict[str, float] = defaultdict(float)
    hits: defaultdict[str, int] = defaultdict(int)
    for languages in filter(None, map(_LANGUAGES_OF.get, words)):
        for code in languages:
            scores[code] += 1 / len(languages)
            hits[code] += 1
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    if not ranked:
        return None
    best = ranked[0]
    second = scores[ranked[1]] if len(ranked) > 1 else 0.0
    if hits[best] < max(_WORD_HITS_MIN, _WORD_SHARE_MIN * len(words)) or scores[best] < _LEAD_MIN * second:
        return None
    return best
