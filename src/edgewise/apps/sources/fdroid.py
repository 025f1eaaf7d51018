"""An F-Droid repository: index version 2, its signature and every file's SHA-256 checked.

Format: https://f-droid.org/docs/All_our_APIs (entry.jar, index-v2.json).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import Settings, download
from edgewise.apps.sources.jar_signature import signed_entry
from edgewise.errors import InputError

NAME = "fdroid"
ADDRESS = "fdroid:https://HOST/…/repo?fingerprint=HEX, an F-Droid repository"
_PREFIX = "fdroid:"
_INDEX_BYTES = 512 << 20


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return address.startswith(_PREFIX)


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`. Of each package its newest version is offered first."""
    base, fingerprint = _split(address.removeprefix(_PREFIX))
    index = _index(base, fingerprint, settings)
    for package, described in sorted(_table(index, "packages").items()):
        metadata = _table(described, "metadata")
        versions = sorted(
            _table(described, "versions").values(), key=lambda each: -_code(each)
        )  # fmt: skip
        for version in versions:
            offer = _offer(base, package, metadata, version)
            date = offer.listing.get("date")
            if wanted.takes(package, offer.size_bytes, date):
                yield offer


def _split(address: str) -> tuple[str, str | None]:
    """The address of the repository, and the fingerprint that its query states."""
    parts = urlsplit(address)
    fingerprint = "".join(parse_qs(parts.query).get("fingerprint", [])[:1])
    base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return base, fingerprint.replace(":", "").lower() or None


def _index(base: str, fingerprint: str | None, settings: Settings) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:
        jar = Path(folder) / "entry.jar"
        download(f"{base}/entry.jar", jar, settings)
        entry = _parsed(signed_entry(jar, "entry.json", fingerprint), f"{base}/entry.jar")
        stated = _table(entry, "index")
        name, sha256 = str(stated.get("name", "")), str(stated.get("sha256", ""))
        if len(sha256) != 64 or not name.startswith("/"):
            raise InputError(f"{base}: its entry names no index with a SHA-256")
        file = Path(folder) / "index.json"
        download(f"{base}{name}", file, settings, sha256=sha256, size=_number(stated.get("size")))
        if file.stat().st_size > _INDEX_BYTES:
            raise InputError(f"{base}: an index of {file.stat().st_size:,} bytes")
        return _parsed(file.read_bytes(), f"{base}{name}")


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: is no index")
    return found


def _table(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _code(version: Any) -> int:
    return _number(_table(version, "manifest").get("versionCode")) or 0


def _offer(base: str, package: str, metadata: dict[str, Any], version: Any) -> Offer:
    file, manifest = _table(version, "file"), _table(version, "manifest")
    path = str(file.get("name", ""))
    name = path.rpartition("/")[2] or f"{package}.apk"
    listing = {"source": NAME, "repository": base, "package": package}
    categories = metadata.get("categories")
    if isinstance(categories, list):
        listing["category"] = "|".join(str(each) for each in categories)
    for field, column in (("license", "license"), ("sourceCode", "source_code")):
        if isinstance(metadata.get(field), str):
            listing[column] = metadata[field]
    if manifest.get("versionName") is not None:
        listing["version"] = str(manifest["versionName"])
    if (code := _code(version)) > 0:
        listing["version_code"] = str(code)
    if (added := _number(version.get("added") if isinstance(version, dict) else None)) is not None:
        listing["date"] = datetime.fromtimestamp(added / 1000, UTC).date().isoformat()
    sha256 = file.get("sha256")
    return Offer(
        name=name, address=f"{base}{path}", size_bytes=_number(file.get("size")),
        sha256=sha256 if isinstance(sha256, str) else None, listing=listing,
    )  # fmt: skip


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`. A file without a stated SHA-256 is not taken."""
    if offer.sha256 is None:
        raise InputError(f"{offer.name}: the index states no SHA-256 of it")
    download(offer.address, to, settings, sha256=offer.sha256, size=offer.size_bytes)
