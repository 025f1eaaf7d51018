"""Which extractors there are: ours, and those that other packages declare."""

from __future__ import annotations

from functools import cache

from edgewise.apps.evidence.contract import Extractor
from edgewise.plugins import declared


@cache
def extractors() -> tuple[Extractor, ...]:
    """All extractors. Native libraries come before dex: what code loads is known by then."""
    from edgewise.apps.evidence import dex_extractor, native, web

    return (native, dex_extractor, web, *declared("extractors"))
