"""Which sources there are: ours, and those that other packages declare."""

from __future__ import annotations

from functools import cache

from edgewise.apps.sources.contract import Source
from edgewise.errors import UsageError
from edgewise.plugins import declared


@cache
def sources() -> tuple[Source, ...]:
    """All sources, those of other packages first, in the order they are asked."""
    from edgewise.apps.sources import androzoo, device, fdroid, folder, play, urls

    return (*declared("sources"), fdroid, androzoo, device, play, folder, urls)


def source_of(address: str) -> Source:
    """The source of an address.

    Raises:
        UsageError: it is no source's.
    """
    for source in sources():
        if source.takes(address):
            return source
    known = "; ".join(source.ADDRESS for source in sources())
    raise UsageError(f"{address}: no source of apps", hint=known)
