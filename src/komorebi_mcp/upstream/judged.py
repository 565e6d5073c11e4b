"""What one upstream offered last, judged by its entry in the file and by the pins."""

from collections.abc import Callable

from komorebi_mcp.upstream.config import UpstreamConfig
from komorebi_mcp.upstream.listing import Listing, read_offer
from komorebi_mcp.upstream.offers import Kind, Offer
from komorebi_mcp.upstream.pins import Keeper, Recalled
from komorebi_mcp.upstream.status import Era


class Judged:
    """The listing that clients get, whether the upstream is connected or not."""

    def __init__(self, keeper: Keeper | None, on_change: Callable[[frozenset[Kind]], None]) -> None:
        """`on_change` is given the kinds of which there are others now.

        Without a keeper nothing is pinned.
        """
        self.listing = Listing()
        self.was_listed = False
        self.era: Era | None = None
        """The upstream's, when it was last reached."""
        self._keeper = keeper
        self._on_change = on_change
        self._offer: Offer | None = None

    def recall(self, config: UpstreamConfig, recalled: Recalled) -> None:
        """Takes up what is known from before this process."""
        self._offer = recalled.offer
        self.era = recalled.era
        self._adopt(read_offer(config, recalled.offer, recalled.verdict))

    async def take(self, config: UpstreamConfig, offer: Offer) -> None:
        """Judges what the upstream offers now, in place of what it offered before."""
        self._offer = offer
        await self.review(config)

    async def review(self, config: UpstreamConfig) -> None:
        """Compares what was offered last with the pins again, by the entry as it is now.

        Raises:
            StorageError: The pins cannot be read.
        """
        offer, era = self._offer, self.era
        if offer is None or era is None:
            return
        verdict = None if self._keeper is None else await self._keeper.review(config, offer, era)
        if offer is self._offer:
            self._adopt(read_offer(config, offer, verdict))

    def _adopt(self, listing: Listing) -> None:
        changed = frozenset(kind for kind in Kind if listing.of(kind) != self.listing.of(kind))
        first = listing != self.listing or not self.was_listed
        self.listing = listing
        self.was_listed = True
        if changed or first:
            self._on_change(changed)
