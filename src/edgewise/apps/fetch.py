"""Apps from sources into a folder: what is there is not fetched again, what fails is a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from edgewise.apps.scan import LISTING
from edgewise.apps.sources.contract import Offer, Source, Wanted
from edgewise.apps.sources.download import PART, Settings, file_sha256, settle_bytes
from edgewise.apps.sources.registry import source_of
from edgewise.errors import EdgewiseError, InputError
from edgewise.records import Fetched

_PLAIN = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 180


def fetch(
    addresses: Iterable[str], folder: str, wanted: Wanted, settings: Settings,
    done: frozenset[str] = frozenset(),
) -> Iterator[Fetched]:  # fmt: skip
    """Bring the wanted apps of some addresses into a folder, one record each.

    `done` are hashes of apps that need not be brought (a store has them).

    Raises:
        EdgewiseError: an address is no source's, a source cannot be reached, or the folder cannot
            be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    count = 0
    for address in addresses:
        source = source_of(address)
        for offer in source.offers(address, wanted, settings):
            if wanted.limit is not None and count >= wanted.limit:
                return
            count += 1
            if offer.sha256 is not None and offer.sha256 in done:
                yield _record(source, offer, None, "known")
            else:
                yield _bring(source, offer, place, settings)


def _bring(source: Source, offer: Offer, folder: Path, settings: Settings) -> Fetched:
    to = folder / file_name(offer)
    try:
        if _is_there(offer, to):
            return _record(source, offer, to, "present")
        source.bring(offer, to, settings)
        listing = {"source": source.NAME, **offer.listing}
        settle_bytes(msgspec.json.encode(listing), to.with_name(to.name + LISTING))
    except EdgewiseError as error:
        return _record(source, offer, None, "failed", str(error))
    except OSError as error:
        raise InputError(f"{to}: cannot be written: {error.strerror or error}") from error
    return _record(source, offer, to, "fetched")


def file_name(offer: Offer) -> str:
    """What an offer's file is called: never a path, never hidden. Names of strangers that differ
    in content stay apart by their hash."""
    plain = _PLAIN.sub("_", offer.name.rpartition("/")[2]).lstrip(".")[-_LONGEST_NAME:] or "package"
    if plain.endswith((PART, LISTING)):
        plain += ".apk"
    package = offer.listing.get("package", "")
    return plain if not package or plain.startswith(package) else f"{package}-{plain}"


def _is_there(offer: Offer, to: Path) -> bool:
    if not to.is_file():
        return False
    if offer.sha256 is not None:
        return file_sha256(to) == offer.sha256.lower()
    return offer.size_bytes is None or offer.parts != () or to.stat().st_size == offer.size_bytes


def _record(
    source: Source, offer: Offer, to: Path | None, status: str, reason: str | None = None
) -> Fetched:
    return msgspec.convert(
        {
            "source": source.NAME,
            "name": offer.name,
            "path": None if to is None else str(to),
            "status": status,
            "reason": reason,
            "package": offer.listing.get("package"),
            "sha256": offer.sha256 if to is None else file_sha256(to),
            "size_bytes": offer.size_bytes if to is None else to.stat().st_size,
            "listing": offer.listing,
        },
        Fetched,
    )
