"""By how much queued requests come later than the plan said, in shares of their wait.

A plan adds up the means of what waits, and a margin for services that deviate each on its own. A
machine that is slow for half a second makes them all longer together: many small excesses that no
such margin foresees, the more the longer the wait. How much that takes here shows afterwards, in
how a request's end lay to its deadline: with what was kept free for it, that is the share of its
wait that would just have sufficed. What all but few of the last requests needed is kept free from
then on, as conformal prediction does it (Gibbs and Candès 2021). Where services deviate on their
own only, that is nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

#: Requests remembered, and how many of them may have needed more: as many again are left for what
#: nobody here sees, the way back. Keeping more free than needed costs next to nothing: with 6 % of
#: the wait, 20 cells of p2 and pixel3 deliver 0.05 points less in the mean.
_WINDOW, _BEYOND = 4096, 1
#: One incident, such as a worker that is replaced, takes no more than this of the queue.
_MOST = 0.25


class SafetyMargin:
    """The share of a wait that has to be kept free. Adding costs a few µs."""

    def __init__(self) -> None:
        self.share = 0.0
        self._needed: deque[float] = deque()
        self._largest: list[float] = []

    def add(self, kept: float, over_ms: float, waited_ms: float) -> bool:
        """A request ended `over_ms` after its deadline (negative: before), `waited_ms` after it
        came, with a share of `kept` free; whether `share` changed."""
        # A share that has grown since says no more than the one that was kept.
        needed = min(max(min(kept, self.share) + over_ms / waited_ms, 0.0), _MOST)
        if len(self._needed) == _WINDOW and (oldest := self._needed.popleft()) > 0:
            del self._largest[bisect_left(self._largest, oldest)]
        self._needed.append(needed)
        if needed > 0:
            insort(self._largest, needed)
        share = self._largest[-1 - _BEYOND] if len(self._largest) > _BEYOND else 0.0
        changed, self.share = share != self.share, share
        return changed
