"""Trust: what upstreams offered before, and which of their definitions somebody has seen.

A definition is pinned when it is first seen. One that changes later is held back until `trust` accepts it,
unless the upstream's entry says otherwise. All processes on one database share what is kept here.
"""

from collections.abc import Collection, Mapping, Sequence

from komorebi_mcp.domain.clock import Clock, utc_now
from komorebi_mcp.domain.pins import KeptOffer, Pin, PinKey
from komorebi_mcp.errors import NotFound
from komorebi_mcp.storage.store import Store
from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.offers import Offer
from komorebi_mcp.upstream.pins import Recalled, Verdict, judge, pinned_forms, reached
from komorebi_mcp.upstream.status import Era


class Trust:
    """Keeps offers and pins, and judges by them; a `Keeper` to the upstreams."""

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def recall(self, upstreams: Sequence[UpstreamConfig]) -> Mapping[str, Recalled]:
        """What these offered when any process last reached them where they are now, by their names.

        Raises:
            StorageError: The database does not answer.
        """
        names = [upstream.name for upstream in upstreams]
        async with self._store.upstreams() as kept:
            offers = await kept.offers(names)
            pins = await kept.pins(names)
        found: dict[str, Recalled] = {}
        for upstream in upstreams:
            known = offers.get(upstream.name)
            if known is not None and known.reached == reached(upstream):
                offer = Offer.from_json(known.offer)
                verdict = judge(_of(upstream, pins), pinned_forms(offer), upstream.trust)
                found[upstream.name] = Recalled(offer, Era(known.era), verdict)
        return found

    async def review(self, upstream: UpstreamConfig, offer: Offer, era: Era) -> Verdict:
        """What the pins say of the offer, once it is kept and what is new in it is pinned.

        Raises:
            StorageError: The database does not answer.
        """
        forms = pinned_forms(offer)
        now = KeptOffer(
            upstream=upstream.name,
            reached=reached(upstream),
            era=era.value,
            offer=offer.to_json(),
            listed_at=self._clock(),
        )
        async with self._store.upstreams() as kept:
            before = (await kept.offers([upstream.name])).get(upstream.name)
            pins = await kept.pins([upstream.name])
        # Most connections find everything as it was, and need not wait for whoever is writing.
        accepts = upstream.trust == "allow"
        if before is None or _differs(before, now) or not _are_noted(forms, pins, accepted=accepts):
            async with self._store.upstreams(write=True) as kept:
                await kept.keep(now)
                pins = await kept.pin(upstream.name, forms, accept=accepts)
        return judge(_of(upstream, pins), forms, upstream.trust)

    async def waiting(self, upstreams: Sequence[str]) -> Mapping[str, Collection[PinKey]]:
        """What of these has changed and is not trusted yet, by their names; cheap enough to ask often.

        Raises:
            StorageError: The database does not answer.
        """
        async with self._store.upstreams() as kept:
            return await kept.waiting(upstreams)

    async def changes(self, upstream: str | None = None) -> list[Pin]:
        """The pins of one upstream, or of all, whose definition the upstream has changed since.

        Raises:
            NotFound: Nothing of that upstream was ever seen.
        """
        async with self._store.upstreams() as kept:
            pins = await kept.pins(None if upstream is None else [upstream])
        if upstream is not None and not pins:
            raise _never_seen(upstream)
        return [pin for pin in pins if pin.offered is not None]

    async def trust(self, upstream: str, names: Collection[str] = ()) -> list[Pin]:
        """Accepts what has changed, or those of these names; what was accepted, now as it is trusted.

        Raises:
            NotFound: Nothing of that upstream was ever seen, or nothing of one of these names has changed.
        """
        changed = {pin.name for pin in await self.changes(upstream)}
        for name in names:
            if name not in changed:
                raise NotFound(
                    f"Nothing named {name!a} of '{upstream}' has changed. "
                    f"Run `komorebi-mcp upstream diff` to see what has."
                )
        async with self._store.upstreams(write=True) as kept:
            return await kept.trust(upstream, names)

    async def forget(self, upstream: str) -> None:
        """Forgets all that is kept of the upstream, so that it is seen for the first time again."""
        async with self._store.upstreams(write=True) as kept:
            await kept.forget(upstream)


def _differs(one: KeptOffer, other: KeptOffer) -> bool:
    return one.model_dump(exclude={"listed_at"}) != other.model_dump(exclude={"listed_at"})


def _are_noted(forms: Mapping[PinKey, str], pins: Sequence[Pin], *, accepted: bool) -> bool:
    """Whether each form is pinned, or beside its pin where that is enough."""
    known = {pin.key: pin for pin in pins}
    return all(_is_noted(form, known.get(key), accepted=accepted) for key, form in forms.items())


def _is_noted(form: str, pin: Pin | None, *, accepted: bool) -> bool:
    if pin is None:
        return False
    if form == pin.definition:
        return pin.offered is None
    return form == pin.offered and not accepted


def _of(upstream: UpstreamConfig, pins: Sequence[Pin]) -> Mapping[PinKey, Pin]:
    return {pin.key: pin for pin in pins if pin.upstream == upstream.name}


def _never_seen(upstream: str) -> NotFound:
    return NotFound(
        f"Nothing of an upstream named {upstream!a} was ever seen. "
        "Run `komorebi-mcp upstream list` to see those there are."
    )
