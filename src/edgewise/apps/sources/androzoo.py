"""AndroZoo: 25 million packages, by the columns of its list.

List and API: https://androzoo.uni.lu/lists and /api_doc. The key stands in `ANDROZOO_APIKEY`.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import urlencode

from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import Settings, download
from edgewise.errors import InputError, UsageError

NAME = "androzoo"
ADDRESS = "androzoo:LIST.csv[.gz], AndroZoo's list as it was downloaded; the key in ANDROZOO_APIKEY"
_PREFIX = "androzoo:"
#: Where its API is; another place for a mirror.
_HOST = "EDGEWISE_ANDROZOO"
_DEFAULT = "https://androzoo.uni.lu"
_KEY = "ANDROZOO_APIKEY"


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return address.startswith(_PREFIX)


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`."""
    path = Path(address.removeprefix(_PREFIX))
    if not path.is_file():
        raise InputError(
            f"{path}: no list there", hint=f"download {_DEFAULT}/static/lists/latest.csv.gz"
        )
    with cast(TextIO, (gzip.open if path.suffix == ".gz" else open)(path, "rt")) as stream:
        rows = csv.DictReader(stream)
        for row in rows:
            row = {str(key).strip(): (value or "").strip() for key, value in row.items()}
            if "sha256" not in row or "pkg_name" not in row:
                raise InputError(f"{path}: is not AndroZoo's list: it lacks sha256 or pkg_name")
            package = row["pkg_name"].strip('"')
            size = int(row["apk_size"]) if row.get("apk_size", "").isdecimal() else None
            date = row.get("dex_date") or row.get("vt_scan_date") or None
            if wanted.takes(package, size, date, row.get("markets")):
                yield _offer(row, package, size)


def _offer(row: dict[str, str], package: str, size: int | None) -> Offer:
    named = {"dex_date": "date", "markets": "market", "vercode": "version_code",
             "vt_detection": "virustotal"}  # fmt: skip
    listing = {"source": NAME, "package": package}
    listing |= {name: row[column] for column, name in named.items() if row.get(column)}
    sha256 = row["sha256"].lower()
    name = f"{package}-{sha256[:12]}.apk"
    return Offer(name=name, address=sha256, sha256=sha256, size_bytes=size, listing=listing)


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`."""
    key = os.environ.get(_KEY)
    if not key:
        raise UsageError(f"AndroZoo needs a key in {_KEY}", hint=f"ask for one at {_DEFAULT}")
    host = os.environ.get(_HOST, _DEFAULT).rstrip("/")
    query = urlencode({"apikey": key, "sha256": offer.address.upper()})
    download(
        f"{host}/api/download?{query}", to, settings, sha256=offer.sha256, size=offer.size_bytes,
        shown=f"AndroZoo {offer.address[:12]}",
    )  # fmt: skip
