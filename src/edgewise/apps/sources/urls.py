"""A URL of a package, or a text file with one on each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import Settings, download
from edgewise.errors import InputError

NAME = "urls"
ADDRESS = "a URL of a package, or a text file with one on each line (a SHA-256 may follow it)"
_LIST_BYTES = 64 << 20


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return address.startswith(("http://", "https://")) or Path(address).is_file()


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`."""
    if address.startswith(("http://", "https://")):
        yield _offer(address, None)
        return
    path = Path(address)
    if path.stat().st_size > _LIST_BYTES:
        raise InputError(f"{address}: too large for a list of URLs")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        url, *rest = line.split("#")[0].split() or [""]
        if url:
            yield _offer(url, next((word for word in rest if len(word) == 64), None))


def _offer(url: str, sha256: str | None) -> Offer:
    name = unquote(urlsplit(url).path).rpartition("/")[2] or "package"
    return Offer(name=name, address=url, sha256=sha256, listing={"url": url})


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`."""
    download(offer.address, to, settings, sha256=offer.sha256, size=offer.size_bytes)
