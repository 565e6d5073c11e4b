"""English words whose forms no stemmer brings together: bought and buy, children and child."""

from collections.abc import Mapping
from functools import cache

from komorebi_mcp.text.terms import stem

_FORMS = """
    arise arose arisen; awake awoke awoken; beat beaten; become became; begin began begun;
    bend bent; bind bound; bite bitten; bleed bled; blow blew blown; break broke broken; breed bred;
    bring brought; build built; burn burnt; buy bought; catch caught; choose chose chosen; cling clung;
    creep crept; deal dealt; dig dug; draw drew drawn; dream dreamt; drink drank drunk; drive drove driven;
    eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find found; flee fled; fly flew flown;
    forbid forbade forbidden; forget forgot forgotten; forgive forgave forgiven; freeze froze frozen;
    get got gotten; give gave given; go went gone; grow grew grown; hang hung; hear heard;
    hide hid hidden; hold held; keep kept; kneel knelt; know knew known; lead led; leap leapt; learn learnt;
    leave left; lend lent; lose lost; make made; mean meant; meet met; pay paid; ride rode ridden;
    ring rang rung; rise risen; run ran; say said; see seen; seek sought; sell sold; send sent;
    sew sewn; shake shook shaken; shine shone; shoot shot; show shown; shrink shrank shrunk; sing sang sung;
    sink sank sunk; sit sat; sleep slept; slide slid; speak spoke spoken; spend spent; spill spilt;
    spin spun; spoil spoilt; spring sprang sprung; stand stood; steal stole stolen; stick stuck; sting stung;
    strike struck; strive strove; swear swore sworn; sweep swept; swim swam swum; swing swung;
    take took taken; teach taught; tear tore torn; tell told; think thought; throw threw thrown;
    understand understood; undo undid undone; wake woke woken; wear wore worn; weave wove woven; weep wept;
    win won; withdraw withdrew withdrawn; write wrote written; overcome overcame;
    rebuild rebuilt; rewrite rewrote rewritten; resend resent; redo redid redone; undergo underwent;
    child children; foot feet; goose geese; man men; mouse mice; person people; tooth teeth; woman women;
    wife wives; knife knives; shelf shelves; half halves; thief thieves; wolf wolves; loaf loaves;
    crisis crises; analysis analyses analyze analyse; hypothesis hypotheses; thesis theses; index indices;
    matrix matrices; vertex vertices; criterion criteria; phenomenon phenomena
"""
"""Forms of one word, a semicolon between words."""


@cache
def _families() -> Mapping[str, tuple[str, ...]]:
    families: dict[str, tuple[str, ...]] = {}
    for word in _FORMS.split(";"):
        family = tuple(dict.fromkeys(map(stem, word.split())))
        for term in family:
            families[term] = tuple(dict.fromkeys((*families.get(term, ()), *family)))
    return families


def other_forms(term: str) -> tuple[str, ...]:
    """The index terms of the other forms of the word that has this one; most words have none."""
    return tuple(form for form in _families().get(term, ()) if form != term)
