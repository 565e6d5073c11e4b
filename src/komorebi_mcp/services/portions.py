"""How much of what is to be read fits into a budget of tokens."""

from collections.abc import Mapping, Sequence

from komorebi_mcp.domain.captures import Capture, Entity, PassageSize
from komorebi_mcp.domain.model import Model
from komorebi_mcp.errors import InvalidInput
from komorebi_mcp.storage.transaction import Transaction
from komorebi_mcp.text.tokens import cut_to_tokens, estimate_tokens

_CAPTURE_TOKENS = 60
"""What a capture's id, uri, title and other fields cost beside its content."""
_ENTITY_TOKENS = 14
_ENTITIES_SHOWN_MAX = 50
_TEXT_TOKENS_MIN = 20
"""Of the first text so much is given however small the budget is, so that reading on gets to its end."""


class Portion(Model):
    """Captures whole, or the beginning of the first one where that alone does not fit."""

    captures: tuple[Capture, ...]
    next_offset: int | None
    """Where the text of the only capture goes on, in characters; None where every text ends here."""
    left_out: tuple[str, ...]
    """Ids of captures that did not fit beside those before them."""


async def portion(
    transaction: Transaction,
    found: Sequence[Capture],
    *,
    beside: Mapping[str, int],
    offset: int,
    tokens: int,
    joined: bool,
) -> Portion:
    """What of the captures fits; `beside` says what is told with each of them, in tokens.

    Raises:
        InvalidInput: The offset, which is the first one's, lies beyond its end.
    """
    sizes = await _sizes(transaction, found, joined=joined)
    ends = {capture_id: sum(size.chars for size in parts) for capture_id, parts in sizes.items()}
    if offset and offset >= ends[found[0].id]:
        raise InvalidInput(
            f"offset {offset} is beyond the end: the capture has {ends[found[0].id]} characters. "
            "Repeat the call with a smaller offset."
        )
    shown: list[Capture] = []
    left_out: list[str] = []
    left = tokens
    for capture in found:
        room = left - beside[capture.id] - _CAPTURE_TOKENS
        part, cost = await _part(
            transaction,
            capture,
            sizes[capture.id],
            offset=offset,
            tokens=room if shown else max(room, _TEXT_TOKENS_MIN),
        )
        end = offset + len(part.content)
        if end == ends[capture.id]:
            left -= beside[capture.id] + cost
            shown.append(part)
        elif shown:
            left_out.append(capture.id)
        else:
            others = tuple(other.id for other in found[1:])
            return Portion(captures=(part,), next_offset=end, left_out=others)
    return Portion(captures=tuple(shown), next_offset=None, left_out=tuple(left_out))


async def _sizes(
    transaction: Transaction, found: Sequence[Capture], *, joined: bool
) -> Mapping[str, Sequence[PassageSize]]:
    """What is to be read for each capture: itself, or all passages of the text it begins."""
    sizes = {c.id: [PassageSize(id=c.id, group=c.id, chars=len(c.content))] for c in found}
    heads = [c.id for c in found if c.passage is not None and c.passage.group == c.id]
    if heads and joined:
        passages = await transaction.captures.passages(heads)
        sizes |= {head: [size for size in passages if size.group == head] for head in heads}
    return sizes


async def _part(
    transaction: Transaction, capture: Capture, sizes: Sequence[PassageSize], *, offset: int, tokens: int
) -> tuple[Capture, int]:
    """`capture` with as much of its text as fits into `tokens`, from `offset` on, and what all costs."""
    left = max(tokens, 0)
    pieces: list[str] = []
    within: list[Entity] = []
    start, at = 0, offset
    for size in sizes:
        if start + size.chars > at:
            # Read one at a time: the whole text may be larger than memory.
            passage = capture if size.id == capture.id else (await transaction.captures.get([size.id]))[0]
            rest = passage.content[at - start :]
            piece = cut_to_tokens(rest, left)
            if not piece and left and not pieces:
                # A character can be dearer than what is left; without it reading on would never end.
                piece = rest[:1]
            left -= estimate_tokens(piece)
            here = [
                e.model_copy(update={"start": start + e.start, "end": start + e.end})
                for e in passage.entities
            ]
            within += [e for e in here if at <= e.start and e.end <= at + len(piece)]
            pieces.append(piece)
            at += len(piece)
            if len(piece) < len(rest):
                break
        start += size.chars
    entities = tuple(within[: min(max(left, 0) // _ENTITY_TOKENS, _ENTITIES_SHOWN_MAX)])
    content = "".join(pieces)
    cost = _CAPTURE_TOKENS + estimate_tokens(content) + _ENTITY_TOKENS * len(entities)
    return capture.model_copy(update={"content": content, "entities": entities}), cost
