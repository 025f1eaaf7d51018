"""Which of a store's measurements count: chosen by what a user knows of a target, else the best.

A device is what measured: two machines that are both called `host` are two devices, told apart by
their processors. A model is its content: the hash of its file, whatever it is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgewise.errors import UsageError
from edgewise.records import Measurement, Target
from edgewise.store import Store

#: Runs of a model that are named in a note at most.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is known of the target; None: any. Everything matches exactly, never by prefix.

    `words` are whole words of the target's description, such as `litert` or `threads=4`.
    """

    device: str | None = None
    runtime: str | None = None
    delegate: str | None = None
    threads: int | None = None
    batch: int | None = None
    words: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Wanted()

    def __str__(self) -> str:
        named = ("device", "runtime", "delegate", "threads", "batch")
        asked = [f"{name}={value}" for name in named if (value := getattr(self, name)) is not None]
        return " ".join((*asked, *self.words))

    @property
    def of_batches(self) -> bool:
        """Whether batches of a size were asked for."""
        return self.batch is not None or any(word.startswith("batch=") for word in self.words)

    @property
    def of_threads(self) -> bool:
        """Whether a number of threads was asked for."""
        return self.threads is not None or any(word.startswith("threads=") for word in self.words)

    def fits(self, target: Target) -> bool:
        """Whether a target is one of those, its device aside."""
        known = describe(target).split()
        return (
            self.runtime in (None, target.runtime)
            and self.delegate in (None, target.delegate)
            and self.threads in (None, target.threads)
            and self.batch in (None, target.batch)
            and all(word in known for word in self.words)
        )


@dataclass(frozen=True)
class Chosen:
    """The measurement that speaks for a model, on which device, and what was left out for it."""

    measurement: Measurement
    device: str
    notes: tuple[str, ...]


def describe(target: Target) -> str:
    """A target in words, to choose one by."""
    return (
        f"{target.device} {target.runtime} {target.delegate} "
        f"threads={target.threads} batch={target.batch}"
    )


def content(measurement: Measurement) -> str:
    """What a model is: its hash; a record without one is a model of its own."""
    return measurement.sha256 or f"without a hash: {measurement.model}"


def device_names(measurements: Iterable[Measurement]) -> Callable[[Measurement], str]:
    """What each measurement's device is called: as it called itself, and with its processor where
    several machines did so."""
    machines: dict[str, set[str]] = {}
    for one in measurements:
        machines.setdefault(one.target.device, set()).add(_machine(one))

    def name(one: Measurement) -> str:
        called = one.target.device
        return called if len(machines.get(called, ())) < 2 else f"{called} ({_machine(one)})"

    return name


def _machine(one: Measurement) -> str:
    context = one.context
    cores = "" if context.cores is None else f", {context.cores} cores"
    return f"{context.cpu_model or 'processor not known'}{cores}"


def choose(url: str, measured: Sequence[Measurement], wanted: Wanted) -> list[Chosen]:
    """For every model one measurement: of the targets that fit, the one with the least mean
    latency per item, batches only where none was measured one item at a time (a request is one);
    of several runs on it the last that was stored. What this leaves out is said.

    Args:
        url: the store, for messages.
        measured: its successful measurements, in the order they were stored.
        wanted: which targets count.

    Raises:
        UsageError: nothing was measured on such a target; says what there is.
    """
    name = device_names(measured)
    fitting = fitting_of(url, measured, wanted)
    models: dict[str, list[Measurement]] = {}
    for one in fitting:
        models.setdefault(content(one), []).append(one)
    paths = {content(one): one.model for one in measured}
    short = names(paths)
    alike = Counter(PurePosixPath(path).name for path in paths.values())
    return [
        _best(runs, name, wanted, file if alike[file] < 2 else short[key])
        for key, runs in models.items()
        for file in (PurePosixPath(paths[key]).name,)
    ]


def fitting_of(url: str, measured: Sequence[Measurement], wanted: Wanted) -> list[Measurement]:
    """Those that were taken on a target that is wanted.

    Raises:
        UsageError: none was; says what there is.
    """
    name = device_names(measured)
    fitting = [
        one
        for one in measured
        if wanted.fits(one.target) and wanted.device in (None, one.target.device, name(one))
    ]
    devices = dict.fromkeys(map(name, fitting))
    if not fitting or (wanted.device not in (None, *devices)):
        known = sorted({describe(one.target).replace(one.target.device, name(one), 1)
                        for one in measured})  # fmt: skip
        many = (
            f"{len(devices)} devices are called that" if fitting else "nothing was measured on it"
        )
        raise UsageError(f"{url}: no such target, {many}", hint=f"there are: {'; '.join(known)}")
    return fitting


def narrowed(store: Store, wanted: Wanted) -> Store:
    """A store of which only the measurements on targets that are wanted are read.

    Raises:
        StoreError: it cannot be read.
        UsageError: nothing was measured on such a target.
    """
    if not wanted:
        return store
    measured = store.read(Measurement, without=("samples",))
    kept = fitting_of(store.url, measured, wanted)
    targets = {(describe(one.target), _machine(one)) for one in kept}
    words = ", ".join(f"({_quoted(target)}, {_quoted(machine)})" for target, machine in targets)
    return store.narrowed({"measurements": f"({_DESCRIBED}, {_MACHINE}) in ({words})"})


#: `describe` and `_machine` as SQL over the columns of a store's measurements.
_DESCRIBED = (
    "concat_ws(' ', target.device, target.runtime, target.delegate, "
    "'threads=' || coalesce(cast(target.threads as varchar), 'None'), 'batch=' || target.batch)"
)
_MACHINE = (
    "coalesce(context.cpu_model, 'processor not known') || "
    "coalesce(', ' || context.cores || ' cores', '')"
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _best(
    runs: Sequence[Measurement],
    name: Callable[[Measurement], str],
    wanted: Wanted,
    model: str,
) -> Chosen:
    by_target: dict[str, list[Measurement]] = {}
    for one in runs:
        by_target.setdefault(f"{name(one)} {describe(one.target)}", []).append(one)
    latest = [group[-1] for group in by_target.values()]
    single = [] if wanted.of_batches else [one for one in latest if one.target.batch == 1]
    best = min(single or latest, key=_ms_per_item)
    others = len(latest) - 1
    notes = []
    if others:
        of = describe(best.target).replace(best.target.device, name(best), 1)
        notes.append(f"{model}: {of} is the fastest of {others + 1} targets")
    if best.target.batch > 1:
        notes.append(f"{model}: times are of whole batches of {best.target.batch}")
    stale = [one for one in by_target[f"{name(best)} {describe(best.target)}"] if one is not best]
    if stale:
        when = ", ".join(one.context.started_at or "no date" for one in stale[-_NAMED:])
        notes.append(f"{model}: stale, not used: {_runs(len(stale))} before the last ({when})")
        if any(_circumstances(one) != _circumstances(best) for one in stale):
            notes.append(f"{model}: the runs before were taken in another context")
    return Chosen(best, name(best), tuple(notes))


def _circumstances(one: Measurement) -> tuple[object, ...]:
    """What has to agree for two runs to be of the same thing."""
    context = one.context
    version = context.versions.get(one.target.runtime)
    return version, context.governor, context.emulated, context.kernel


def _ms_per_item(one: Measurement) -> float:
    assert one.latency_ms is not None and one.latency_ms.mean is not None
    return one.latency_ms.mean / max(1, one.target.batch)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def names(paths: dict[str, str]) -> dict[str, str]:
    """What models are called that nobody named: by content, from the path of each. The file's
    name without its ending; with as many folders before it as tell them apart.
    """
    found: dict[str, str] = {}
    for key, path in paths.items():
        parts = PurePosixPath(path.replace("!/", "/")).with_suffix("").parts
        others = [
            PurePosixPath(other.replace("!/", "/")).with_suffix("").parts
            for each, other in paths.items()
            if each != key
        ]
        depth = 1
        while depth < len(parts) and any(other[-depth:] == parts[-depth:] for other in others):
            depth += 1
        name = "/".join(part for part in parts[-depth:] if part != "/")
        twin = any(other == parts for other in others)
        found[key] = f"{name} · {key[:6]}" if twin else name
    return found
