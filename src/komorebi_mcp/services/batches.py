"""Batches: many captures of one owner in one transaction, each checked beforehand."""

from collections.abc import Sequence

import anyio

from komorebi_mcp.domain.captures import CaptureCreate, Receipt
from komorebi_mcp.domain.changes import taken_in
from komorebi_mcp.storage.store import Store


async def store_all(store: Store, owner: str, items: Sequence[CaptureCreate]) -> list[Receipt]:
    """A receipt for each, in the given order; all are on disk, or none where this raises.

    Raises:
        StorageError: The database refused them.
    """
    # A commit that has begun is finished, so that no caller is told less than is true.
    with anyio.CancelScope(shield=True):
        async with store.write(owner) as transaction:
            receipts = await transaction.captures.add_all(items)
            transaction.tell(taken_in(owner, items, receipts))
    return receipts
