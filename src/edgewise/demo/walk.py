"""The main job, once, on what comes with the package: scan → inspect → bench → eval → simulate →
serve → place → report.

Each step takes what the step before it found. The store and the report stay in the folder that is
given, so that every other verb can be tried on them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from shutil import rmtree, which
from typing import TYPE_CHECKING

from edgewise.errors import UsageError
from edgewise.extras import check
from edgewise.records import (
    AccuracyRow,
    App,
    LoadRun,
    Measurement,
    Model,
    Placement,
    SimulationRow,
)

if TYPE_CHECKING:
    from edgewise.report.parts import Point
    from edgewise.store import Store

#: A folder with this file in it is a demo's.
_MARK = ".edgewise-demo"
#: The demo app's models.
_INSIDE = (
    "assets/config/start.dat", "assets/digits-s.tflite", "assets/models/digits-m.onnx",
    "res/raw/intro.mp3",
)  # fmt: skip
#: The package's own data: read in place, nothing is copied.
DATA = Path(str(files("edgewise"))) / "demo" / "data"
APP = DATA / "demo.apk"
FAMILY = DATA / "digits"
HELD_OUT = FAMILY / "heldout.npz"
#: Two networks that the family's service is simulated over, and what a request sends and gets.
NETWORKS = ("wifi", "lte")
PAYLOAD_BYTES, REPLY_BYTES = 3_000, 500
#: Requests per second, in multiples of what one worker can do with the most accurate variant.
LOAD = 1.2
#: The real service's load: requests per second over each link, for how long, and their deadline.
SERVED_PER_S, SERVED_SECONDS, SERVED_SLA_MS = 60, 3.0, 100.0
#: The comparison of both ways: fresh processes that load a model, requests each way.
PLACED_PROCESSES, PLACED_REQUESTS = 2, 3
DEADLINES_MS = tuple(float(ms) for ms in range(20, 201, 20))
POLICIES = ("fastest", "most_accurate", "mdinference", "deadline")


@dataclass(frozen=True, slots=True)
class Scanned:
    """The demo app, taken apart."""

    app: App


@dataclass(frozen=True, slots=True)
class Inspected:
    """The models of the demo family, by cost."""

    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """The app's models, read out of the package, and the family's, on this machine."""

    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How often each of the family's variants is right on the images held out of training."""

    rows: tuple[AccuracyRow, ...]


@dataclass(frozen=True, slots=True)
class Simulated:
    """The family served by one worker that is a fifth too slow for its best variant."""

    rows: tuple[SimulationRow, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The family served for real, and loaded over shaped links."""

    runs: tuple[LoadRun, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """The app's models on this machine against the same service, over the same links."""

    rows: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """Where the report and the store are, and what the report says in short."""

    report: Path
    store: Path
    findings: tuple[Point, ...]


Step = Scanned | Inspected | Measured | Evaluated | Simulated | Loaded | Placed | Reported


def walk(folder: Path, advance: Callable[[str], None] = lambda _: None) -> Iterator[Step]:
    """Do the steps one by one and yield what each found.

    Args:
        folder: where `store` and `report.html` go; made if missing.
        advance: told what is being done now.

    Raises:
        MissingExtra: parts that the demo needs are not installed: all of them are named.
        StoreError: the folder cannot be written.
        UsageError: it holds a store that no demo made.
    """
    check(("litert", "onnx", "serve", "report"), "the demo")
    store = _fresh(folder)
    advance("scan")
    app = _scan()
    store.append(app)
    yield Scanned(app)
    advance("inspect")
    models = _inspect()
    store.append(models)
    yield Inspected(models)
    advance("bench")
    measurements = _bench(_once_each(app.models, models), store.append)
    yield Measured(tuple(measurements))
    advance("eval")
    accuracies = _evaluate()
    store.append(accuracies)
    yield Evaluated(accuracies)
    advance("simulate")
    simulations = _simulate(store.url)
    store.append(simulations)
    yield Simulated(simulations)
    advance("serve")
    with _service() as url:
        loads = _load(url)
        store.append(loads)
        yield Loaded(loads)
        advance("place")
        placed = _place(url, app, models)
        store.append(placed)
        yield Placed(placed)
    advance("report")
    report = folder / "report.html"
    yield Reported(report, folder / "store", _report(store, report))


def _scan() -> App:
    from edgewise.apps.scan import scan_package

    return scan_package(str(APP))


def _inspect() -> tuple[Model, ...]:
    from edgewise.analysis.summary import summarise
    from edgewise.archive import DiskFile

    suffixes = (".tflite", ".onnx")
    paths = [path for path in FAMILY.iterdir() if path.suffix in suffixes]
    models = [summarise(DiskFile(path), layers=True, weights=True) for path in paths]
    return tuple(sorted(models, key=lambda model: (model.macs or 0, model.path)))


def _once_each(*groups: Sequence[Model]) -> list[str]:
    """Paths of the models that parsed, one for each content: the app ships some of the family."""
    paths = {
        model.sha256: model.path for group in groups for model in group if model.status == "parsed"
    }
    for model in groups[0]:
        if model.sha256 in paths:
            paths[model.sha256] = model.path
    return list(paths.values())


def _bench(paths: Sequence[str], keep: Callable[[Measurement], None]) -> list[Measurement]:
    from edgewise.bench.plan import QUICK, Plan
    from edgewise.bench.run import measure

    return measure(Plan(paths=tuple(paths), settings=QUICK), on_result=keep)


def _evaluate() -> tuple[AccuracyRow, ...]:
    from edgewise.bench.accuracy import evaluate
    from edgewise.family import Preprocess

    found = evaluate(str(FAMILY / "family.toml"), HELD_OUT, Preprocess())
    return tuple(one.row for one in found)


def _simulate(store: str) -> tuple[SimulationRow, ...]:
    """The measured profiles under load, over both networks."""
    from edgewise.network.catalogue import Carried, resolve
    from edgewise.selection.engine import queueing
    from edgewise.selection.profiles.stored import read_store
    from edgewise.selection.workload.arrivals import parse
    from edgewise.selection.workload.setup import Setup

    table = read_store(store)
    best = max(table.profiles, key=lambda profile: profile.accuracy or 0.0)
    load = queueing.Load(parse(f"poisson:{LOAD * 1000 / best.mean_ms:.0f}"), workers=1)
    cases = [(queueing.parse(name), sla_ms, load) for sla_ms in DEADLINES_MS for name in POLICIES]
    carried = Carried(payload_bytes=PAYLOAD_BYTES, reply_bytes=REPLY_BYTES)
    rows: list[SimulationRow] = []
    for name in NETWORKS:
        setup = Setup(
            table=table, network=resolve(name, carried), published=False, requests=10_000, seed=0
        )
        rows += queueing.run_many(setup, cases, 1)
    return tuple(rows)


@contextmanager
def _service() -> Iterator[str]:
    """The family served by a process of its own; where it listens."""
    from edgewise.server.spawned import spawned

    with spawned([FAMILY / "family.toml"], ["--workers", "1", "--log", "off"]) as service:
        yield service.http


def _load(url: str) -> tuple[LoadRun, ...]:
    """The service's callers behind links of their own."""
    from edgewise.load.run import drive
    from edgewise.load.settings import LoadSettings

    settings = LoadSettings(
        url=url,
        model="digits",
        inputs=(HELD_OUT,),
        arrivals=f"poisson:{SERVED_PER_S}",
        seconds=SERVED_SECONDS,
        warmup_s=1.0,
        sla_ms=SERVED_SLA_MS,
        clients=4,
    )
    return tuple(drive(replace(settings, links=(name,))) for name in NETWORKS)


def _place(url: str, app: App, family: Sequence[Model]) -> tuple[Placement, ...]:
    """Every model of the app that the service has too: its variant with the same content."""
    from edgewise.family import load_family
    from edgewise.placement.compare import measured
    from edgewise.placement.comparison import Comparison
    from edgewise.placement.server import Wanted

    variants = {Path(str(v.file)).name: v for v in load_family(FAMILY / "family.toml").variant}
    served = {each.sha256: variants[Path(each.path).name] for each in family}
    rows: list[Placement] = []
    for model in app.models:
        variant = served.get(model.sha256)
        if variant is not None:
            rows += measured(
                Comparison(
                    models=(model.path,),
                    given=(HELD_OUT,),
                    how=variant.preprocess,
                    server=Wanted(url, variant.name),
                    links=NETWORKS,
                    requests=PLACED_REQUESTS,
                    processes=PLACED_PROCESSES,
                    prepared_by="cloud",
                )
            )
    return tuple(rows)


def _report(store: Store, to: Path) -> tuple[Point, ...]:
    from edgewise.report import write
    from edgewise.report.parts import Ask
    from edgewise.report.verdict import findings

    write(store, to)
    with Ask(store) as ask:
        return tuple(findings(ask))


def _fresh(folder: Path) -> Store:
    """An empty store; that of an earlier demo, which says so itself, makes way.

    Raises:
        UsageError: a store is there that is nobody's demo.
    """
    from edgewise.store import Store

    store, mark = folder / "store", folder / _MARK
    if store.exists():
        if not mark.exists():
            raise UsageError(f"{store} is not of a demo", hint="-o another folder")
        rmtree(store)
    opened = Store.open(str(store), create=True)
    mark.touch()
    return opened


def commands(folder: Path) -> dict[type, str]:
    """What one would type for each step, from where one is; with the demo's own settings."""
    command = _typed()
    data, store = _near(DATA), f"--store {_near(folder / 'store')}"
    inside = " ".join(f"'{data}/demo.apk!/{name}'" for name in _INSIDE)
    deadlines = f"{DEADLINES_MS[0]:g}:{DEADLINES_MS[-1]:g}:{DEADLINES_MS[1] - DEADLINES_MS[0]:g}"
    served = f"{command} serve {data}/digits/family.toml --workers 1 --log off"
    url = "http://127.0.0.1:8080"
    links = ",".join(NETWORKS)
    return {
        Scanned: f"{command} scan {data}/demo.apk {store}",
        Inspected: f"{command} inspect {data}/digits --layers --weights {store}",
        Measured: f"{command} bench --quick {inside} {data}/digits {store}",
        Evaluated: f"{command} eval {data}/digits/family.toml --data {data}/digits/heldout.npz "
        f"{store}",
        Simulated: f"{command} simulate --profiles {_near(folder / 'store')} --network {links} "
        f"--sla {deadlines} --policy {','.join(POLICIES)} --arrivals poisson:RATE --workers 1 "
        f"--payload {PAYLOAD_BYTES} --reply {REPLY_BYTES} {store}",
        Loaded: f"{served} &\n{command} load {url} --model digits "
        f"--input {data}/digits/heldout.npz --arrivals poisson:{SERVED_PER_S} "
        f"--seconds {SERVED_SECONDS:g} --sla {SERVED_SLA_MS:g} --clients 4 --link LINK {store}",
        Placed: f"{command} place {inside} --input {data}/digits/heldout.npz --server {url} "
        f"--link {links} --quick --prepare cloud {store}",
        Reported: f"{command} report {_near(folder / 'store')} -o {_near(folder / 'report.html')}",
    }


def _typed() -> str:
    """How the command that runs is reached from here."""
    if which("edgewise"):
        return "edgewise"
    script = Path(sys.argv[0])
    return "python -m edgewise" if script.suffix == ".py" else _near(script.absolute())


def _near(path: Path) -> str:
    """As it is written from here, where that is shorter."""
    near = os.path.relpath(path)
    return near if len(near) < len(str(path)) or not path.is_absolute() else str(path)
