"""A connected Android phone: every app that somebody installed, with its splits, over adb."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import PART, Settings
from edgewise.devices.adb.client import Adb, quoted
from edgewise.errors import InputError

NAME = "device"
ADDRESS = "device:SERIAL, a phone that adb lists: its third-party apps with their splits"
_PREFIX = "device:"
_PACKAGE = re.compile(r"package:([A-Za-z0-9_.]+)")
_PULL_BYTES_PER_S = 500_000
_PULL_S = 60.0


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return address.startswith(_PREFIX)


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`."""
    serial = address.removeprefix(_PREFIX)
    adb = Adb(serial)
    if adb.state() != "device" and ":" in serial:
        adb.connect()
    listed = adb.read("pm list packages -3")
    if listed is None:
        raise InputError(f"{address}: the phone does not list its packages")
    for package in sorted(set(_PACKAGE.findall(listed))):
        if wanted.takes(package):
            yield _offer(adb, serial, package)


def _offer(adb: Adb, serial: str, package: str) -> Offer:
    said = adb.read(f"pm path {quoted(package)}") or ""
    paths = [line[8:].strip() for line in said.splitlines() if line.startswith("package:/")]
    listing = {"source": NAME, "device": serial, "package": package}
    if installer := adb.read(f"pm list packages -i {quoted(package)}"):
        found = re.search(rf"package:{re.escape(package)}\s+installer=(\S+)", installer)
        if found and found[1] != "null":
            listing["installer"] = found[1]
    parts = tuple((path.rpartition("/")[2], path) for path in paths)
    whole = len(parts) == 1
    return Offer(
        name=f"{package}.apk" if whole else f"{package}.apks", address=f"{serial}\n{package}",
        listing=listing, parts=parts,
    )  # fmt: skip


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`. Splits go into one `.apks`, as bundletool makes them."""
    serial, package = offer.address.split("\n")
    if not offer.parts:
        raise InputError(f"{package}: the phone says no path of it", hint="is it still installed?")
    adb = Adb(serial)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".edgewise-") as folder:
        pulled = []
        for number, (name, path) in enumerate(offer.parts):
            local = Path(folder) / str(number)
            size = _size(adb, path)
            seconds = _PULL_S + (size or 0) / _PULL_BYTES_PER_S
            adb.pull(path, local, seconds=seconds)
            if size is not None and local.stat().st_size != size:
                raise InputError(
                    f"{package}: {local.stat().st_size:,} of {size:,} bytes of {name} came"
                )
            pulled.append((name, local))
        if len(pulled) == 1:
            pulled[0][1].replace(to)
            return
        part = to.with_name(to.name + PART)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, local in pulled:
                archive.write(local, name)
        part.replace(to)


def _size(adb: Adb, path: str) -> int | None:
    said = adb.read(f"wc -c <{quoted(path)}")
    return int(said) if said and said.strip().isdecimal() else None
