"""Tian Guo, "Cloud-based or On-device: An Empirical Study of Mobile Deep Inference" (IC2E 2018).

The paper timed AlexNet, Network-in-Network and SqueezeNet on phones and against a server in the
cloud. This repeats the question, not the numbers: the same networks by their published structures,
an emulated slow device, a server with all cores of this machine, links of the paper's kind.
What the paper is compared with is its public abstract (arXiv 1707.04610), which has no figures per
network: `guo2018.toml` has the statements; a query here answers each.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgewise.devices.emulated import device_name
from edgewise.energy.power import power
from edgewise.errors import UsageError
from edgewise.papers import Answer, Statement, beside, read_paper
from edgewise.placement import compare, device, photos
from edgewise.placement.comparison import Comparison
from edgewise.placement.phases import mean
from edgewise.placement.preprocess import costs
from edgewise.placement.recipes.networks import alexnet, network_in_network, squeezenet
from edgewise.placement.recipes.onnx_writer import Network, write
from edgewise.placement.server import LOCAL, Wanted
from edgewise.placement.slowed import POWER, of_phone
from edgewise.records import Agreement, DevicePhases, Placement, PublishedFinding

PAPER = read_paper(Path(__file__).with_suffix(".toml"))
NAME = PAPER.name
LINKS = ("campus", "wifi", "lte")
#: A first look: of each setting less.
QUICK: Mapping[str, Any] = {"links": ("campus", "lte"), "requests": 2, "processes": 2}
#: The paper's networks by name, in its order.
NETWORKS: Mapping[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "network-in-network": network_in_network,
    "squeezenet-v1.1": squeezenet,
}

_NOTES = (
    "weights are random: times do not depend on them, answers mean nothing",
    "the runtime is ONNX Runtime, not the paper's of 2017",
)
#: Other work takes from the server what the device, held to its share, does not miss. A machine
#: with more than this load for each core says so.
_BUSY = 0.5
_BUSY_NOTE = "busy: other work ran on this machine"
_SEED = 2018
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Settings:
    """How the experiment is run.

    `models` of the paper's. `inputs` are photos of one's own; empty: made up. `processes` load a
    model, `requests` are answered in each way. `phone` names the one whose declared power is
    counted; `share` is the emulated device's of one core, None: what is declared of that phone.
    `server` is a URL of a service that has the models, or `local`. `capped`: as in `Usage`.
    `whole_phone`: as in `Comparison`; the paper metered the phone. `cache` keeps models and photos
    (280 MB); None: a temporary folder.

    Raises:
        UsageError: a model that is not the paper's, a phone of which nothing is declared.
    """

    models: tuple[str, ...] = tuple(NETWORKS)
    links: tuple[str, ...] = LINKS
    inputs: tuple[Path, ...] = ()
    requests: int = 10
    processes: int = 5
    phone: str = POWER
    share: float | None = None
    server: str = LOCAL
    capped: bool = True
    whole_phone: bool = True
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in self.models:
            if name not in NETWORKS:
                raise UsageError(f"{NAME} has no model '{name}'", hint=", ".join(NETWORKS))
        power(self.phone)
        if self.share is None:
            costs(self.phone)

    @property
    def device(self) -> str:
        """The emulated device: a core of the phone against a server's is an estimate, as data."""
        share = self.share or round(1 / costs(self.phone).slowdown, 3)
        return device_name(share)


def run(settings: Settings, progress: Callable[[str], None]) -> Iterator[Placement]:
    """The experiment's rows, model by model: each link, fresh and warm.

    Raises:
        UsageError, InputError, DeviceError: a link, inputs or the device cannot be used.
    """
    if settings.cache is None:
        with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:
            yield from _rows(settings, Path(folder), progress)
    else:
        yield from _rows(settings, settings.cache, progress)


def _rows(settings: Settings, folder: Path, progress: Callable[[str], None]) -> Iterator[Placement]:
    busy = tuple(_busy())  # before any work of its own
    family = build(folder, settings.models, progress)
    inputs = settings.inputs or tuple(photos.write_photos(folder / "photos", seed=_SEED))
    progress(f"what {settings.device} achieves")
    comparison = Comparison(
        models=(str(family),),
        given=inputs,
        server=Wanted(settings.server, threads=os.cpu_count() or 1),
        links=settings.links,
        on=of_phone(device.device(settings.device), settings.phone),
        requests=settings.requests,
        processes=settings.processes,
        capped=settings.capped,
        whole_phone=settings.whole_phone,
        timeout_s=_TIMEOUT_S,
    )
    notes = (*_NOTES, *([] if settings.inputs else ["photos are made up"]), *busy)
    for row in compare.measured(comparison, progress):
        yield replace(row, model=Path(row.model).stem, recipe=NAME, notes=(*row.notes, *notes))


def _busy() -> Iterator[str]:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > _BUSY * cores:
        yield f"{_BUSY_NOTE} (load {load:.1f} on {cores} cores): the cloud's times are too long"


def build(
    folder: Path,
    models: Sequence[str] = tuple(NETWORKS),
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Networks and their family in a folder; what is there already is kept.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variants = []
    for network in (NETWORKS[name]() for name in models):
        file = folder / f"{network.name}.onnx"
        if not file.exists():
            progress(f"building {network.name}")
            write(network, file, seed=_SEED)
        variants.append(_variant(network, file))
    family = folder / "family.toml"
    family.write_text(_HEAD + "".join(variants), encoding="utf-8")
    return family


#: Caffe's preparation: blue first, the mean colour of ImageNet. The scale, which Caffe does not
#: have, brings random networks' activations to order one.
_HEAD = """\
# Written by `edgewise place --recipe guo2018`. Weights are random: accuracies are placeholders.
name = "guo2018"
task = "image-classification"

[input]
kind = "image"
"""
_VARIANT = """
[[variant]]
name = "{name}"
file = "{file}"
accuracy = 0.1
accuracy_source = "chance: random weights, one of 1000 classes"
output = "probabilities"
[variant.preprocess]
size = [{side}, {side}]
colour = "bgr"
layout = "nchw"
mean = [104.0, 117.0, 123.0]
scale = [58.0]
"""


def _variant(network: Network, file: Path) -> str:
    return _VARIANT.format(name=network.name, file=file.name, side=network.input.shape[-1])


# -- what comes out, beside the paper ----------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What one row says of the paper's questions.

    Ratios are the device's over the cloud's: of the first answer (the model is loaded, the
    connection opened) and of a later one. Shares are of the first answer on the device: loading,
    computing. None where a phase is not known.
    """

    model: str
    link: str
    first_time_ratio: float | None
    later_time_ratio: float | None
    first_energy_ratio: float | None
    later_energy_ratio: float | None
    load_share: float | None
    compute_share: float | None


def findings(rows: Iterable[Placement]) -> list[Finding]:
    """One finding per model and link, from the rows of warm connections."""
    return [_finding(row) for row in rows if row.connection == "warm"]


def _finding(row: Placement) -> Finding:
    here = row.on_device or DevicePhases()
    return Finding(
        model=row.model,
        link=row.link,
        first_time_ratio=row.first_time_ratio,
        later_time_ratio=row.time_ratio,
        first_energy_ratio=row.first_energy_ratio,
        later_energy_ratio=row.energy_ratio,
        load_share=_share(here.load_ms, here.first_total_ms),
        compute_share=_share(here.inference_ms, here.first_total_ms),
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def beside_paper(rows: Iterable[Placement]) -> list[PublishedFinding]:
    """The paper's statements beside what the rows say."""
    return beside(PAPER, QUERIES, [row for row in rows if row.connection == "warm"])


def _orders(what: str) -> Callable[[Statement, Sequence[Placement]], Answer]:
    """A ratio of first answers: the largest, rounded to a power of ten, beside the paper's two
    orders of magnitude."""

    def query(_stated: Statement, rows: Sequence[Placement]) -> Answer:
        found = findings(rows)
        first, later = (
            [value for one in found if (value := getattr(one, f"{when}_{what}")) is not None]
            for when in ("first", "later")
        )
        if not first:
            return Answer(None, 0, "cannot tell", "no first answers of both ways are known")
        agrees: Agreement = "yes" if round(math.log10(max(first))) == 2 else "no"
        why = (
            f"first answers {_span(first)} times, later ones {_span(later)}; device over cloud; "
            "two orders: the largest rounds to 100 as a power of ten"
        )
        busy = next((n for row in rows for n in row.notes if n.startswith(_BUSY_NOTE)), None)
        why += f"; {busy}" if busy else ""
        return Answer(max(first), len(first), agrees, why, tuple(map(_row, found)))

    return query


def _loading(_stated: Statement, rows: Sequence[Placement]) -> Answer:
    return _bottleneck(rows, "load_ms", 1)


def _computing(_stated: Statement, rows: Sequence[Placement]) -> Answer:
    return _bottleneck(rows, "inference_ms", 2)


def _bottleneck(rows: Sequence[Placement], phase: str, place: int) -> Answer:
    """The share of a phase in first answers on the device; it agrees where the phase is among the
    `place` longest for every network."""
    shares: dict[str, dict[str, float]] = {}
    for model in dict.fromkeys(row.model for row in rows):
        known = [row.on_device for row in rows if row.model == model and row.on_device is not None]
        parts = {name: [_share(getattr(one, name), one.first_total_ms) for one in known]
                 for name in _PHASES}  # fmt: skip
        means = {name: mean(values) for name, values in parts.items()}
        if means[phase] is not None:
            shares[model] = {name: value for name, value in means.items() if value is not None}
    if not shares:
        return Answer(None, 0, "cannot tell", "the phases on the device are not known")
    mine = [each[phase] for each in shares.values()]
    among = all(phase in sorted(each, key=each.__getitem__)[-place:] for each in shares.values())
    why = "; ".join(
        f"{model}: " + ", ".join(f"{_PHASES[name]} {share:.0%}" for name, share in each.items())
        for model, each in shares.items()
    )
    ours = f"{min(mine):.0%} to {max(mine):.0%}"
    details = tuple({"model": model, **each} for model, each in shares.items())
    return Answer(ours, len(shares), "yes" if among else "no", why, details)


#: Phases of a first answer on the device.
_PHASES = {
    "load_ms": "loading", "preprocess_ms": "preparing", "inference_ms": "computing",
    "postprocess_ms": "reading",
}  # fmt: skip


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2g} to {max(values):.2g}" if values else "not known"


def _row(one: Finding) -> dict[str, Any]:
    return dict(vars(one))


QUERIES: Mapping[str, Callable[[Statement, Sequence[Placement]], Answer]] = {
    "time": _orders("time_ratio"),
    "energy": _orders("energy_ratio"),
    "loading": _loading,
    "computing": _computing,
}
