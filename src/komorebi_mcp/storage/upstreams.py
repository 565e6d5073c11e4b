"""What upstreams offer, and what of it is trusted. It is nobody's own: all owners reach the same upstreams.

Names are kept as JSON, since a name may hold what a database's text cannot.
"""

import json
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, insert, select, update

from komorebi_mcp.domain.clock import Clock
from komorebi_mcp.domain.pins import KeptOffer, Pin, PinKey
from komorebi_mcp.storage.owned import AnyRow, batches
from komorebi_mcp.storage.sessions import Session
from komorebi_mcp.storage.tables import upstream_offers, upstream_pins


class UpstreamRepository:
    """Kept offers and pins of all upstreams, within one transaction."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def offers(self, upstreams: Collection[str]) -> dict[str, KeptOffer]:
        """What these offered when they were last reached, by their names."""
        return await self._session.run(_offers, upstreams)

    async def pins(self, upstreams: Collection[str] | None = None) -> list[Pin]:
        """Everything ever pinned of these upstreams, or of all, in the order in which it was first seen."""
        return await self._session.run(_pins, upstreams)

    async def waiting(self, upstreams: Collection[str]) -> dict[str, set[PinKey]]:
        """What of these has changed and is not trusted yet, by their names."""
        return await self._session.run(_waiting, upstreams)

    async def keep(self, offer: KeptOffer) -> None:
        """Puts the offer in the place of the one before."""
        await self._session.run(_keep, offer)

    async def pin(self, upstream: str, forms: Mapping[PinKey, str], *, accept: bool) -> list[Pin]:
        """All pins of the upstream, once those seen for the first time are added.

        What is no longer as it was pinned is noted beside the pin, or takes its place where it is accepted.
        """
        return await self._session.run(self._pin, upstream, forms, accept=accept)

    async def trust(self, upstream: str, names: Collection[str] = ()) -> list[Pin]:
        """The pins whose changed definition is trusted from now on: all, or those of these names."""
        return await self._session.run(self._trust, upstream, names)

    async def forget(self, upstream: str) -> None:
        """Forgets what the upstream offered and what of it was trusted."""

        def work(connection: Connection) -> None:
            for table in (upstream_offers, upstream_pins):
                connection.execute(delete(table).where(table.c.upstream == json.dumps(upstream)))

        await self._session.run(work)

    def _pin(
        self, connection: Connection, upstream: str, forms: Mapping[PinKey, str], *, accept: bool
    ) -> list[Pin]:
        now = self._clock()
        known = {pin.key: pin for pin in _pins(connection, [upstream])}
        written = json.dumps(upstream)
        added = [
            {
                "upstream": written,
                "kind": kind,
                "name": json.dumps(name),
                "definition": form,
                "pinned_at": now,
            }
            for (kind, name), form in forms.items()
            if (kind, name) not in known
        ]
        if added:
            connection.execute(insert(upstream_pins), added)
        for key, form in forms.items():
            pin = known.get(key)
            if pin is None:
                continue
            if pin.definition == form:
                if pin.offered is not None:
                    _change(connection, pin, offered=None, offered_at=None)
            elif accept:
                _change(connection, pin, definition=form, pinned_at=now, offered=None, offered_at=None)
            elif pin.offered != form:
                _change(connection, pin, offered=form, offered_at=now)
        return _pins(connection, [upstream])

    def _trust(self, connection: Connection, upstream: str, names: Collection[str]) -> list[Pin]:
        now = self._clock()
        changed = [
            pin
            for pin in _pins(connection, [upstream])
            if pin.offered is not None and (not names or pin.name in names)
        ]
        for pin in changed:
            _change(connection, pin, definition=pin.offered, pinned_at=now, offered=None, offered_at=None)
        seen = {pin.seen for pin in changed}
        return [pin for pin in _pins(connection, [upstream]) if pin.seen in seen]


def _offers(connection: Connection, upstreams: Collection[str]) -> dict[str, KeptOffer]:
    found: dict[str, KeptOffer] = {}
    for some in batches(map(json.dumps, upstreams)):
        statement = select(upstream_offers).where(upstream_offers.c.upstream.in_(some))
        for row in connection.execute(statement):
            kept = KeptOffer.model_validate(row._asdict() | {"upstream": json.loads(row.upstream)})
            found[kept.upstream] = kept
    return found


def _pins(connection: Connection, upstreams: Collection[str] | None) -> list[Pin]:
    statement = select(upstream_pins).order_by(upstream_pins.c.seen)
    if upstreams is None:
        return [_read(row) for row in connection.execute(statement)]
    found: list[Pin] = []
    for some in batches(map(json.dumps, upstreams)):
        found += map(_read, connection.execute(statement.where(upstream_pins.c.upstream.in_(some))))
    return found


def _waiting(connection: Connection, upstreams: Collection[str]) -> dict[str, set[PinKey]]:
    found: dict[str, set[PinKey]] = {upstream: set() for upstream in upstreams}
    row = upstream_pins.c
    for some in batches(map(json.dumps, upstreams)):
        statement = select(row.upstream, row.kind, row.name).where(
            row.upstream.in_(some), row.offered.is_not(None)
        )
        for each in connection.execute(statement):
            found[json.loads(each.upstream)].add((each.kind, json.loads(each.name)))
    return found


def _keep(connection: Connection, offer: KeptOffer) -> None:
    row = offer.model_dump() | {"upstream": json.dumps(offer.upstream)}
    mine = upstream_offers.c.upstream == row["upstream"]
    if not connection.execute(update(upstream_offers).where(mine).values(row)).rowcount:
        connection.execute(insert(upstream_offers), row)


def _change(connection: Connection, pin: Pin, **values: object) -> None:
    connection.execute(update(upstream_pins).where(upstream_pins.c.seen == pin.seen).values(values))


def _read(row: AnyRow) -> Pin:
    names = {"upstream": json.loads(row.upstream), "name": json.loads(row.name)}
    return Pin.model_validate(row._asdict() | names)
