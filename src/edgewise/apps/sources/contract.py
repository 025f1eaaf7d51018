"""What a source of app packages is.

A source is a module (or object) that says which addresses are its own, what it offers there, and
brings one of those into a folder. Ours are listed in `registry.py`; another package adds one by the
entry point `edgewise.sources`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgewise.apps.sources.download import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the apps that a source offers. Dates are ISO (`2026-11-30`), compared as text."""

    packages: tuple[str, ...] = ()
    market: str | None = None
    since: str | None = None
    until: str | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    limit: int | None = None

    def takes(
        self, package: str | None, size: int | None = None, date: str | None = None,
        markets: str | None = None,
    ) -> bool:  # fmt: skip
        """Whether an app is wanted, by what is known of it. What is not known excludes nothing."""
        if self.packages and package not in self.packages:
            return False
        if size is not None and not (self.min_bytes or 0) <= size <= (self.max_bytes or size):
            return False
        if date and not (self.since or date) <= date[:10] <= (self.until or date[:10]):
            return False
        return self.market is None or markets is None or self.market in markets.split("|")


@dataclass(frozen=True, slots=True)
class Offer:
    """One app that a source has.

    Attributes:
        name: of the file that it becomes.
        address: how the source finds it again.
        sha256, size_bytes: of that file, where the source states them.
        listing: what the source says of it: package, version, category, date …
        parts: for an app in parts (splits): their names and addresses; they become one `.apks`.
    """

    name: str
    address: str
    sha256: str | None = None
    size_bytes: int | None = None
    listing: dict[str, str] = field(default_factory=dict)
    parts: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """See the module."""

    NAME: str
    #: How its addresses are written, and an example.
    ADDRESS: str

    def takes(self, address: str) -> bool:
        """Whether an address is this source's."""
        ...

    def offers(self, address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
        """The apps at an address that are wanted.

        Raises:
            EdgewiseError: the source cannot be reached, or is not what it should be.
        """
        ...

    def bring(self, offer: Offer, to: Path, settings: Settings) -> None:
        """Have the app's file at `to`, whole or not at all.

        Raises:
            EdgewiseError: it cannot be brought.
        """
        ...
