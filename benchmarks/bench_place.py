"""Measured and computed beside each other: the same case, within 10 %.

python benchmarks/bench_place.py [--short] [--links wifi,lte] [--requests 20]

A first measurement without a link gives the profiles: inference and load here, inference and the
cost of preparing a photo there. From these and from each link's description `placement.model`
computes what a second measurement, over the shaped link, then sees. Device, service and link share
this machine: run it on a quiet one. The exit status is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from edgewise.network.catalogue import links
from edgewise.placement import photos
from edgewise.placement.compare import measured
from edgewise.placement.comparison import Comparison
from edgewise.placement.model import place
from edgewise.placement.own_link import as_toml
from edgewise.placement.preprocess import costs, photo
from edgewise.placement.recipes.guo2018 import build
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine
from edgewise.placement.wire import Usage
from edgewise.records import CloudPhases, DevicePhases, Placement, Profile

BOUND = 0.10
NETWORK = "squeezenet-v1.1"
SIZE = photos.Size(1600, 1200)
LINKS = ("ethernet", "wifi", "home", "lte", "3g")
INPUT = (227, 227)


def main() -> int:
    """Print a line per link and connection; whether all kept the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="two links, fewer requests")
    parser.add_argument("--links", help="which, by name")
    parser.add_argument("--requests", type=int, help="each way")
    given = parser.parse_args()
    names = tuple(given.links.split(",")) if given.links else LINKS[1::2] if given.short else LINKS
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), names, requests=given.requests or (5 if given.short else 20))


def run(folder: Path, names: tuple[str, ...], requests: int) -> int:
    """The comparison; links without jitter, whose mean a few requests would not show."""
    image = folder / "photo.jpg"
    image.write_bytes(photos.photo(SIZE, 0))
    file = folder / "links.toml"
    file.write_text(as_toml([replace(links()[name], jitter_ms=0.0) for name in names]))
    of = {
        "models": (str(build(folder, (NETWORK,))),), "given": (image,), "requests": requests,
        "prepared_by": "cloud",
    }  # fmt: skip
    (base,) = measured(Comparison(**of, connections=("warm",)))
    rows = measured(Comparison(**of, links=tuple(f"{file}:{name}" for name in names)))
    broken = 0
    print(f"{'link':<12}{'connection':<12}{'measured':>12}{'computed':>12}{'apart':>8}")
    for row in rows:
        guess = computed(base, row, image.stat().st_size, names)
        for what, seen, told in pairs(row, guess):
            apart = told / seen - 1
            broken += abs(apart) > BOUND
            print(f"{row.link:<12}{what:<12}{seen:>9.1f} ms{told:>9.1f} ms{apart:>8.1%}")
    print(f"bound {BOUND:.0%}: {'broken ' + str(broken) + ' times' if broken else 'kept'}")
    return int(bool(broken))


def pairs(row: Placement, guess: Placement) -> list[tuple[str, float, float]]:
    """What both say of the cloud's way in the row's connection, and of the device's."""
    cloud, told = row.cloud or CloudPhases(), guess.cloud or CloudPhases()
    if row.connection == "fresh":
        return [("fresh", cloud.first_total_ms or 0.0, told.first_total_ms or 0.0)]
    here, there = row.on_device or DevicePhases(), guess.on_device or DevicePhases()
    return [
        ("warm", cloud.total_ms or 0.0, told.total_ms or 0.0),
        ("device", here.total_ms or 0.0, there.total_ms or 0.0),
    ]


def computed(base: Placement, row: Placement, size_bytes: int, names: tuple[str, ...]) -> Placement:
    """The row from the first measurement and the link alone."""
    here, there = base.on_device or DevicePhases(), base.cloud or CloudPhases()
    sent = Sent(
        photo=photo(SIZE.width, SIZE.height, size_bytes), input_size=INPUT,
        reply_bytes=base.reply_bytes or 0.0, prepared_by="cloud",
    )  # fmt: skip
    reference_ms = sent.local_ms(costs())
    device = Machine(
        "host",
        [_profile(here.inference_ms or 0.0, (here.inference_ms or 0.0) + (here.load_ms or 0.0))],
        costs=costs((here.preprocess_ms or 0.0) / reference_ms),
    )
    server = Machine(
        "local",
        [_profile(there.inference_ms or 0.0, None)],
        costs=costs((there.server_preprocess_ms or 0.0) / reference_ms),
    )
    link = next(replace(links()[name], jitter_ms=0.0) for name in names if name == row.link)
    usage = Usage(row.connection, requests=row.requests)
    return place(NETWORK, device, server, link, sent, usage=usage)


def _profile(mean_ms: float, cold_ms: float | None) -> Profile:
    return Profile(model=NETWORK, accuracy=None, mean_ms=mean_ms, std_ms=0.0, cold_ms=cold_ms)


if __name__ == "__main__":
    sys.exit(main())
