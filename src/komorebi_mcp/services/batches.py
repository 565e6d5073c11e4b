"""Batches: many captures of one owner in one transaction, each checked beforehand."""

from collections.abc import Sequence

import anyio

from komorebi_mcp.domain.captures import CaptureCreate, Receipt
from komorebi_mcp.services.events import Announce, Change
from komorebi_mcp.storage.store import Store


async def store_all(
    store: Store, owner: str, items: Sequence[CaptureCreate], *, announce: Announce
) -> list[Receipt]:
    """A receipt for each, in the given order; all are on disk, or none where this raises.

    Raises:
        StorageError: The database refused them.
    """
    # A commit that has begun is finished, so that no caller is told less than is true.
    with anyio.CancelScope(shield=True):
        async with store.write(owner) as transaction:
            receipts = await transaction.captures.add_all(items)
    announce(change_of(owner, items, receipts))
    return receipts


def change_of(owner: str, items: Sequence[CaptureCreate], receipts: Sequence[Receipt]) -> Change:
    """What has come into being."""
    created = [
        (receipt.id, item.project) for item, receipt in zip(items, receipts, strict=True) if receipt.created
    ]
    return Change(
        owner,
        captures=tuple(capture_id for capture_id, _ in created),
        projects=tuple(dict.fromkeys(project for _, project in created if project)),
    )
