"""What `import edgewise` offers beside the client: the verbs as functions that give records.

Each takes what the verb of its name takes and prints nothing. What one file or app ends in is in
its record, as on the command line; what was asked for wrongly raises an `EdgewiseError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgewise.errors import InputError, UsageError
from edgewise.results import Records

if TYPE_CHECKING:
    from edgewise.archive import File
    from edgewise.records import (
        App,
        Measurement,
        Model,
        Placement,
        Recommendation,
        SimulationRow,
    )
    from edgewise.selection.workload.setup import Setup

Path = str | os.PathLike[str]


def scan(*paths: Path, jobs: int | None = None) -> Records[App]:
    """Which models app packages ship: one record per app, in the order asked for.

    Args:
        paths: packages, folders of them, or URLs.
        jobs: apps at a time, each in a process of its own; None: as many as there are cores. With
            several apps, call it from a script's `if __name__ == "__main__"`.

    Returns:
        Apps. One that cannot be read has `error`.
    """
    from edgewise.apps import corpus

    work = corpus.planned(_names(paths))
    found = sorted(corpus.run(work, jobs=jobs), key=lambda done: done.number) if work else []
    return Records(done.app for done in found)


def inspect(
    *paths: Path,
    layers: bool = False,
    weights: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Records[Model]:
    """What models are and cost, without running them.

    Args:
        paths: model files, folders to search, or files inside packages (`app.apk!/a.tflite`).
        layers: fill `layer_table`.
        weights: read the weights and fill their statistics.
        shapes: shapes of inputs by name, instead of the file's.

    Returns:
        Models. One that cannot be read has the status `rejected` or `opaque`, and a `reason`.

    Raises:
        UsageError: `shapes` does not suit a model.
    """
    from edgewise.analysis.summary import summarise
    from edgewise.formats.candidates import model_files
    from edgewise.records import Model

    def rejected(path: str, error: InputError) -> Model:
        return Model(path=path, format=None, status="rejected", reason=str(error))

    def one(file: File) -> Model:
        try:
            return summarise(file, layers=layers, weights=weights, shapes=shapes)
        except InputError as error:  # the others of its folder are still to be read
            return rejected(file.path, error)

    found: Records[Model] = Records()
    for path in _names(paths):
        try:
            found.extend(map(one, model_files(path)))
        except InputError as error:
            found.append(rejected(path, error))
    return found


def bench(*paths: Path, quick: bool = True, **settings: Any) -> Records[Measurement]:
    """Measure models in fresh worker processes: one record per model and target.

    Args:
        paths: as `inspect`.
        quick: a first look in seconds; else as thoroughly as the verb does without `--quick`.
        settings: fields of `bench.plan.Plan` (`devices`, `runtimes`, `delegates`, `threads`,
            `batches`, `shapes`, …: sequences) and of `bench.plan.Settings` (`processes`, `runs`,
            `min_time_s`, `seed`, …).

    Returns:
        Measurements. What crashed or was refused has the status `failed`, and a `reason`.

    Raises:
        UsageError: a setting that there is not, or that cannot be.
    """
    from dataclasses import fields

    from edgewise.bench.plan import QUICK, Plan, Settings
    from edgewise.bench.run import measure

    planned = {each.name for each in fields(Plan)} - {"paths", "settings"}
    if unknown := settings.keys() - planned - {each.name for each in fields(Settings)}:
        raise UsageError(f"bench has no setting {min(unknown)!r}", hint="see bench.plan.Plan")
    plan = Plan(
        paths=tuple(_names(paths)),
        settings=QUICK if quick else Settings(),
        **{name: value for name, value in settings.items() if name in planned},
    )
    others = {name: each for name, each in settings.items() if name not in planned}
    return Records(measure(plan.with_settings(**others)))


def place(
    *models: str,
    profiles: str,
    server: str = "p2",
    links: Iterable[str] = ("wifi", "lte"),
    device: str | None = None,
) -> Records[Placement]:
    """On the device or in the cloud, computed from profiles: one record per model and link, for
    a photo of 4032×3024 and models that take 224×224.

    Args:
        models: names in the profiles; none: all that both sides have.
        profiles: what the device takes: a published set, a CSV file, or a store.
        server: what the server takes, likewise.
        links: names as `edgewise links` lists them, or files.
        device: which of a store's devices.

    Raises:
        UsageError, InputError: something named is none.
    """
    from edgewise.network import catalogue
    from edgewise.placement import preprocess
    from edgewise.placement.model import table
    from edgewise.placement.sent import Sent
    from edgewise.placement.sides import machine

    sent = Sent(
        photo=preprocess.photo(4032, 3024, None), input_size=(224, 224), size_assumed=True,
        photo_assumed=True,
    )  # fmt: skip
    here, there = machine(profiles, name=device), machine(server)
    return Records(table([here], [there], [catalogue.link(name) for name in links], sent,
                         models=models or None))  # fmt: skip


def simulate(
    *policies: str,
    profiles: str = "p2",
    network: str = "artificial",
    sla_ms: Iterable[float] = (100.0, 200.0, 300.0),
    requests: int = 10_000,
    seed: int = 0,
) -> Records[SimulationRow]:
    """What policies deliver: one record per deadline and policy, without queueing.

    Args:
        policies: by name; none: `deadline`, `greedy` and `fastest`.
        profiles: a published set, a CSV file, samples, or a store.
        network: a published pair, a link by name, one-way ms as `50,25`, or a trace.
        sla_ms: deadlines, in ms.
        requests: per deadline. Same `seed`, same result.

    Raises:
        UsageError, InputError: something named is none.
    """
    from edgewise.selection.engine.simulate import sweep
    from edgewise.selection.policies.registry import parse_all

    setup = _setup(profiles, network, requests, seed)
    names = policies or ("deadline", "greedy", "fastest")
    return Records(sweep([setup], parse_all(names), list(sla_ms)))


def recommend(
    *,
    profiles: str = "p2",
    network: str = "artificial",
    sla_ms: float | None = None,
    attainment: float = 0.0,
    accuracy: float = 0.0,
    requests: int = 20_000,
    seed: int = 0,
) -> Recommendation:
    """Which variants to keep and which policy to run, without queueing.

    Args:
        profiles: as `simulate`; `network`, `requests` and `seed` too.
        sla_ms: the deadline in ms; None: the shortest that meets the objective.
        attainment: least share of all requests answered in time, 0 to 1.
        accuracy: least mean accuracy of the answers, in percent.

    Raises:
        UsageError, InputError: something named is none, or half an objective.
    """
    from edgewise.selection.recommend import Objective
    from edgewise.selection.recommend import recommend as find

    objective = Objective(sla_ms, attainment, accuracy)
    return find(_setup(profiles, network, requests, seed), objective)


def _names(paths: Iterable[Path]) -> list[str]:
    return [os.fspath(path) for path in paths]


def _setup(profiles: str, network: str, requests: int, seed: int) -> Setup:
    from edgewise.network.catalogue import Carried, resolve
    from edgewise.network.link import Pair
    from edgewise.selection.profiles.sources import load
    from edgewise.selection.workload.setup import Setup

    source, path = load(profiles), resolve(network, Carried())
    return Setup(
        table=source.table, network=path, published=isinstance(path, Pair), requests=requests,
        seed=seed, samples=source.samples,
    )  # fmt: skip
