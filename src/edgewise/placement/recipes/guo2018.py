"""Tian Guo, "Cloud-based or On-device: An Empirical Study of Mobile Deep Inference" (IC2E 2018).

The paper timed AlexNet, Network-in-Network and SqueezeNet on phones and against a server in the
cloud. This repeats the question, not the numbers: the same networks by their published structures,
an emulated slow device, a server with all cores of this machine, links of the paper's kind.
What the paper is compared with is its public abstract (arXiv 1707.04610): the two findings in
`PAPER_RATIO` and `PAPER_BOTTLENECKS`; it has no figures per network.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from msgspec.structs import replace

from edgewise.devices.emulated import device_name
from edgewise.errors import UsageError
from edgewise.placement import compare, device, photos
from edgewise.placement.comparison import Comparison
from edgewise.placement.preprocess import costs
from edgewise.placement.recipes.networks import alexnet, network_in_network, squeezenet
from edgewise.placement.recipes.onnx_writer import Network, write
from edgewise.placement.server import LOCAL, Wanted
from edgewise.placement.slowed import POWER
from edgewise.records import DevicePhases, Placement

NAME = "guo2018"
LINKS = ("campus", "wifi", "lte")
#: A core of the phone whose power is counted, against a server's: an estimate that is data.
SHARE = round(1 / costs(POWER).slowdown, 3)
#: The paper's networks by name, in its order.
NETWORKS: Mapping[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "network-in-network": network_in_network,
    "squeezenet-v1.1": squeezenet,
}

#: The abstract's findings; the first one of either: response time and energy.
PAPER_RATIO = "up to two orders of magnitude"
PAPER_BOTTLENECKS = "loading and computing, the two bottlenecks (no shares in the abstract)"
PAPER: Mapping[str, str] = {
    "time_ratio": PAPER_RATIO, "energy_ratio": PAPER_RATIO, "bottlenecks": PAPER_BOTTLENECKS
}  # fmt: skip
_NOTES = (
    "weights are random: times do not depend on them, answers mean nothing",
    "the runtime is ONNX Runtime, not the paper's of 2017",
)
_SEED = 2018
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Settings:
    """How the experiment is run.

    `models` of the paper's. `inputs` are photos of one's own; empty: made up. `processes` load a
    model, `requests` are answered in each way. `share` is the emulated device's of one core.
    `server` is a URL of a service that has the models, or `local`. `capped`: as in `Usage`.
    `whole_phone`: as in `Comparison`; the paper metered the phone. `cache` keeps models and photos
    (280 MB); None: a temporary folder.

    Raises:
        UsageError: a model that is not the paper's.
    """

    models: tuple[str, ...] = tuple(NETWORKS)
    links: tuple[str, ...] = LINKS
    inputs: tuple[Path, ...] = ()
    requests: int = 10
    processes: int = 5
    share: float = SHARE
    server: str = LOCAL
    capped: bool = True
    whole_phone: bool = True
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in self.models:
            if name not in NETWORKS:
                raise UsageError(f"{NAME} has no model '{name}'", hint=", ".join(NETWORKS))


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
    family = build(folder, settings.models, progress)
    inputs = settings.inputs or tuple(photos.write_photos(folder / "photos", seed=_SEED))
    progress(f"what {device_name(settings.share)} achieves")
    comparison = Comparison(
        models=(str(family),),
        given=inputs,
        server=Wanted(settings.server, threads=os.cpu_count() or 1),
        links=settings.links,
        on=device.device(device_name(settings.share)),
        requests=settings.requests,
        processes=settings.processes,
        capped=settings.capped,
        whole_phone=settings.whole_phone,
        timeout_s=_TIMEOUT_S,
    )
    notes = _NOTES if settings.inputs else (*_NOTES, "photos are made up")
    for row in compare.measured(comparison, progress):
        yield replace(row, model=Path(row.model).stem, recipe=NAME, notes=(*row.notes, *notes))


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


# -- the two findings --------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What one row says about the paper's two findings.

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


def beside_paper(found: Sequence[Finding]) -> tuple[tuple[str, str, str], ...]:
    """The two findings: what, the paper's, ours. Empty where nothing was found."""
    if not found:
        return ()
    return (
        ("response time, device over cloud", PAPER_RATIO, _range(found, "time_ratio")),
        ("energy, device over cloud", PAPER_RATIO, _range(found, "energy_ratio")),
        ("the first answer on the device", PAPER_BOTTLENECKS, _shares(found)),
    )


def _range(found: Sequence[Finding], what: str) -> str:
    texts = []
    for when in ("first", "later"):
        known = [v for v in (getattr(one, f"{when}_{what}") for one in found) if v is not None]
        span = f"{min(known):.2g} to {max(known):.2g}" if known else "not known"
        texts.append(f"{when} answer {span}")
    return ", ".join(texts)


def _shares(found: Sequence[Finding]) -> str:
    texts = []
    for model in dict.fromkeys(one.model for one in found):
        mine = [one for one in found if one.model == model]
        load, compute = (
            [v for v in (getattr(one, name) for one in mine) if v is not None]
            for name in ("load_share", "compute_share")
        )
        if load and compute:
            texts.append(f"{model}: loading {fmean(load):.0%}, computing {fmean(compute):.0%}")
    return "; ".join(texts) or "not known"
