"""Apps brought from elsewhere."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records.base import Record


class Fetched(Record, frozen=True):
    """One app that a source offered.

    `status`: **fetched** now, **present** already with the right content, **known** to the store
    that it would be scanned into, **failed** (`reason` says why; nothing is at `path`).
    """

    source: str
    name: str
    path: str | None
    status: Literal["fetched", "present", "known", "failed"]
    reason: str | None = None
    package: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    listing: dict[str, str] = msgspec.field(default_factory=dict)
