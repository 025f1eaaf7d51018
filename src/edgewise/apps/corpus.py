"""Many apps: what is to be done, what a store has already, and who does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgewise.apps.evidence import signatures
from edgewise.apps.scan import Target, targets
from edgewise.apps.workers import Bounds, Known, one, scan_many
from edgewise.records import ANALYSIS_VERSION, App
from edgewise.store import Store


@dataclass(frozen=True, slots=True)
class Work:
    """A target, and the argument of the command that named it."""

    named: str
    target: Target


@dataclass(frozen=True, slots=True)
class Done:
    """One app of a run: its number in the order asked for, and whether it was looked at now."""

    number: int
    app: App
    new: bool


def planned(paths: Iterable[str]) -> list[Work]:
    """What there is to scan at some paths, in order."""
    return [Work(path, target) for path in paths for target in targets(path)]


def run(
    work: list[Work], *, store: Store | None = None, jobs: int | None = None,
    bounds: Bounds | None = None, again: bool = False, ray: str | None = None,
    weights: bool = False,
) -> Iterator[Done]:  # fmt: skip
    """Scan apps, and pass over those that the store has with this analysis. A single app is scanned
    in this process. In order of completion.

    `ray` is the address of a Ray cluster that does the work instead, empty for a local one.
    `weights`: read the models' weights as well; an app that is stored without is scanned again.
    """
    known, stale = ({}, []) if store is None or again else _stored(store, work)
    if weights:
        known = {path: each for path, each in known.items() if _has_weights(each.app)}
    todo = [each.target for each in work]
    if ray is not None:
        from edgewise.apps.corpus_ray import scan_on_ray

        yield from (Done(*done) for done in scan_on_ray(todo, ray, known, bounds, weights))
    elif len(todo) == 1:
        (target,) = todo
        app = one(target, known=_hash_of(known.get(target.path)), weights=weights)
        yield Done(0, known[target.path].app if app is None else app, app is not None)
    else:
        found = scan_many(
            todo, jobs=jobs, bounds=bounds, known=known, models_of=stale, weights=weights
        )
        for done in found:
            yield Done(*done)


def _has_weights(app: App) -> bool:
    """Whether an app's models were read with their weights, as far as they can be."""
    parsed = [model for model in app.models if model.status == "parsed"]
    return not parsed or any(model.fingerprint is not None for model in parsed)


def _hash_of(known: Known | None) -> str | None:
    return None if known is None else known.sha256


def _stored(store: Store, work: list[Work]) -> tuple[dict[str, Known], list[App]]:
    """Apps of these paths that need no new look; and, in full, those that only new signatures
    ask for, whose models need not be read again."""
    wanted = {each.target.path for each in work}
    stored = store.read(App, without=("layers", "tensors"))
    mine = [app for app in stored if app.path in wanted]
    if all(current(app) for app in mine):
        return known_apps(mine), []
    stale = [
        app for app in store.read(App)
        if app.path in wanted and not current(app) and app.analysis_version == ANALYSIS_VERSION
    ]  # fmt: skip
    return known_apps(mine), stale


def current(app: App) -> bool:
    """Whether a stored app was looked at with this analysis and these signatures."""
    return (
        app.error is None
        and app.analysis_version == ANALYSIS_VERSION
        and app.signatures == signatures.version()
    )


def known_apps(stored: Iterable[App]) -> dict[str, Known]:
    """Apps of a store that are as this version would see them, by their path."""
    return {app.path: Known(app.sha256, app) for app in stored if app.sha256 and current(app)}
