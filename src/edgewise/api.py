"""The functions of `import edgewise`: one per command, each returning records.

A function takes the main arguments of the command of its name and prints nothing. A file or app
that cannot be processed has a record that says why; a wrong argument raises an `EdgewiseError`.
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
    """Find the models that app packages ship, and what their code uses.

    Args:
        paths: app packages, folders of them, or URLs.
        jobs: how many apps are scanned at a time, each in its own process; None: one per core.
            With several apps, call it under `if __name__ == "__main__"`.

    Returns:
        One record per app, in the order of `paths`. An app that cannot be read has `error` set.
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
    """Read models and compute their cost, without running them.

    Args:
        paths: model files, folders to search, or files inside packages (`app.apk!/a.tflite`).
        layers: also return a row per layer (`layer_table`).
        weights: also read the weights and return statistics of them (`tensors`).
        shapes: input shapes by input name, such as `{"x": (1, 3, 224, 224)}`, that replace the
            file's.

    Returns:
        One record per model: multiply-accumulates and FLOPs of one inference, parameters, peak
        activation memory in bytes. A file that cannot be read has the status `rejected` or
        `opaque`, and a `reason`.

    Raises:
        UsageError: `shapes` does not fit a model.
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
    """Measure latency and memory of models, in fresh worker processes.

    Args:
        paths: as for `inspect`.
        quick: few processes and runs, which takes seconds; False: as many as `edgewise bench`.
        settings: fields of `bench.plan.Plan` (`devices`, `runtimes`, `delegates`, `threads`,
            `batches`, `shapes`, …: sequences) and of `bench.plan.Settings` (`processes`, `runs`,
            `min_time_s`, `seed`, …).

    Returns:
        One record per model and target, with times in ms and memory in bytes. A measurement that
        crashed or was refused has the status `failed`, and a `reason`.

    Raises:
        UsageError: an unknown setting, or a value out of its range.
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
    """Compare running models on the device with running them in the cloud, from profiles.

    A request is one photo of 4032×3024 pixels; models take images of 224×224.

    Args:
        models: names in the profiles; none: all models that both sides have.
        profiles: service times on the device: a published set, a CSV file, or a store.
        server: service times on the server, in the same forms.
        links: network links by name (`edgewise links` lists them), or files.
        device: the device, where `profiles` is a store that has several.

    Returns:
        One record per model and link: the phases of both ways in ms, energy in J where a power
        model is known, which way is faster and which takes less energy.

    Raises:
        UsageError, InputError: an unknown model, profile set, link or device.
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
    """Simulate policies that choose a model variant per request, without queueing.

    Args:
        policies: names of policies; none: `deadline`, `greedy` and `fastest`.
        profiles: service times and accuracies: a published set, a CSV file, samples, or a store.
        network: a published pair, a link by name, mean and deviation of the one-way time in ms
            such as `50,25`, or a trace file.
        sla_ms: deadlines in ms.
        requests: requests simulated per deadline.
        seed: of the random numbers; the same seed gives the same result.

    Returns:
        One record per deadline and policy: `attainment` (share of requests in time, 0 to 1),
        `accuracy` of the answers and `effective_accuracy` (of all requests, late ones count 0), in
        percent, and latencies in ms.

    Raises:
        UsageError, InputError: an unknown policy, profile set or network.
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
    """Recommend which variants to deploy and which policy to run, without queueing.

    Args:
        profiles: as for `simulate`, like `network`, `requests` and `seed`.
        sla_ms: the deadline in ms; None: the shortest that meets the objective.
        attainment: least share of all requests answered in time, 0 to 1.
        accuracy: least mean accuracy of the answers, in percent.

    Returns:
        The variants, the policy, what it delivers (with intervals), and the alternatives.

    Raises:
        UsageError, InputError: an unknown profile set or network, or an incomplete objective.
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
