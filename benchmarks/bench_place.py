"""Measured and computed beside each other: the same case, within 10 %.

python benchmarks/bench_place.py [--short] [--links wifi,lte] [--requests 20]

A measurement without a link gives the profiles: inference and load here, inference and the cost of
preparing a photo there. From these and from each link's description `placement.model` computes what
a measurement over the shaped link sees. Profiles are taken before and after each link, and the mean
of both is used. A machine of others changes its speed within a minute: `drift` says by how much the
profiles did, and `same speed` is computed from the service's times in the very run that is compared
with: what is left is the link, and all that no profile has. Device, service and link share this
machine: run it on a quiet one. The exit status is 1 if the bound is broken at the same speed, or
without where the drift is below the bound.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

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
from smoke import SMOKE, fewer, shortened

BOUND = 0.10
NETWORK = "squeezenet-v1.1"
SIZE = fewer(photos.Size(1600, 1200), photos.Size(320, 240))
LINKS = ("ethernet", "wifi", "home", "lte", "3g")
INPUT = (227, 227)
PROCESSES = fewer(10, 1)


def main() -> int:
    """Print a line per link and connection; whether all kept the bound."""
    shortened("--links", "wifi", "--requests", "1")
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
        "prepared_by": "cloud", "processes": PROCESSES,
    }  # fmt: skip
    broken, before = 0, base(of)
    print(
        f"{'link':<12}{'connection':<12}{'measured':>12}{'computed':>12}{'apart':>8}{'drift':>8}"
        f"{'same speed':>12}"
    )
    for name in names:
        rows = list(measured(Comparison(**of, links=(f"{file}:{name}",))))
        after = base(of)
        known = Base(*(fmean(pair) for pair in zip(before, after, strict=True)))
        drift = sum(after[:4]) / sum(before[:4]) - 1
        for row in rows:
            size_bytes = image.stat().st_size
            told = pairs(row, computed(known, row, size_bytes))
            same = pairs(row, computed(base_of(row), row, size_bytes))
            for (what, seen, ms), (_, _, own_ms) in zip(told, same, strict=True):
                apart, own = ms / seen - 1, own_ms / seen - 1
                broken += abs(own) > BOUND or (abs(apart) > BOUND > abs(drift))
                times = f"{seen:>9.1f} ms{ms:>9.1f} ms{apart:>8.1%}{drift:>8.1%}{own:>12.1%}"
                print(f"{row.link:<12}{what:<12}{times}", flush=True)
        before = after
    print(f"bound {BOUND:.0%}: {'broken ' + str(broken) + ' times' if broken else 'kept'}")
    return int(bool(broken) and not SMOKE)


class Base(NamedTuple):
    """What a measurement without a link says: ms and bytes."""

    inference_ms: float
    preprocess_ms: float
    server_inference_ms: float
    server_preprocess_ms: float
    load_ms: float
    reply_bytes: float


def base(of: dict[str, Any]) -> Base:
    """Measured now."""
    (row,) = measured(Comparison(**of, connections=("warm",)))
    return base_of(row)


def base_of(row: Placement) -> Base:
    """What a row says but for its link."""
    here, there = row.on_device or DevicePhases(), row.cloud or CloudPhases()
    return Base(
        median_ms(row, "on_device.inference_ms", here.inference_ms),
        median_ms(row, "on_device.preprocess_ms", here.preprocess_ms),
        median_ms(row, "cloud.inference_ms", there.inference_ms),
        median_ms(row, "cloud.server_preprocess_ms", there.server_preprocess_ms),
        here.load_ms or 0.0,
        row.reply_bytes or 0.0,
    )


def pairs(row: Placement, guess: Placement) -> list[tuple[str, float, float]]:
    """What both say of the cloud's way in the row's connection, and of the device's. What was
    measured is the median: others' work on this machine delays single requests."""
    cloud, told = row.cloud or CloudPhases(), guess.cloud or CloudPhases()
    if row.connection == "fresh":
        seen_ms = median_ms(row, "cloud.first_total_ms", cloud.first_total_ms)
        return [("fresh", seen_ms, told.first_total_ms or 0.0)]
    here, there = row.on_device or DevicePhases(), guess.on_device or DevicePhases()
    return [
        ("warm", median_ms(row, "cloud.total_ms", cloud.total_ms), told.total_ms or 0.0),
        ("device", median_ms(row, "on_device.total_ms", here.total_ms), there.total_ms or 0.0),
    ]


def median_ms(row: Placement, field: str, mean_ms: float | None) -> float:
    """Of what was measured; the mean where there are too few for a median."""
    known = row.distributions.get(field)
    return (known.p50 if known else None) or mean_ms or 0.0


def computed(known: Base, row: Placement, size_bytes: int) -> Placement:
    """The row from what was measured without a link, and from the link alone."""
    sent = Sent(
        photo=photo(SIZE.width, SIZE.height, size_bytes), input_size=INPUT,
        reply_bytes=known.reply_bytes, prepared_by="cloud",
    )  # fmt: skip
    reference_ms = sent.local_ms(costs())
    device = Machine(
        "host",
        [_profile(known.inference_ms, known.inference_ms + known.load_ms)],
        costs=costs(known.preprocess_ms / reference_ms),
    )
    server = Machine(
        "local",
        [_profile(known.server_inference_ms, None)],
        costs=costs(known.server_preprocess_ms / reference_ms),
    )
    link = replace(links()[row.link], jitter_ms=0.0)
    usage = Usage(row.connection, requests=row.requests)
    return place(NETWORK, device, server, link, sent, usage=usage)


def _profile(mean_ms: float, cold_ms: float | None) -> Profile:
    return Profile(model=NETWORK, accuracy=None, mean_ms=mean_ms, std_ms=0.0, cold_ms=cold_ms)


if __name__ == "__main__":
    sys.exit(main())
