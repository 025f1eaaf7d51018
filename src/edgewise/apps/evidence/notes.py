"""What the evidence adds up to, and what it cannot tell, in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from edgewise.apps.evidence.contract import Key, Library, Sightings
from edgewise.apps.manifest import Identity
from edgewise.records import Evidence, Model

#: Share of short class names from which on code was renamed, and classes needed to say so.
_RENAMED, _ENOUGH = 0.3, 50
#: ABIs that phones in use run; an app of 32-bit code only runs on most of them too.
_DELIVERY = {
    "com.google.mlkit.vision.DEPENDENCIES": "Google Play services",
    "com.google.firebase.ml.vision.DEPENDENCIES": "Google Play services",
    "com.huawei.hms.ml.DEPENDENCY": "Huawei Mobile Services",
}
_RUNNING = ("framework", "llm")


def notes(
    rows: tuple[Evidence, ...], models: tuple[Model, ...], found: Sightings, parts: list[Identity]
) -> Iterator[str]:
    """All notes, each a sentence."""
    yield from dict.fromkeys(found.notes)
    yield from _packed(rows)
    yield from _renamed(found)
    yield from _delivered(parts)
    yield from _splits(parts)
    yield from _missing_abis(found)
    yield from _halves(rows, models)


def _packed(rows: tuple[Evidence, ...]) -> Iterator[str]:
    names = sorted({row.name for row in rows if row.kind == "packer"})
    if names:
        yield (
            f"packed with {', '.join(names)}: its code is hidden until it runs, "
            "so that evidence which is absent means nothing"
        )


def _renamed(found: Sightings) -> Iterator[str]:
    if found.classes >= _ENOUGH and found.short_classes / found.classes >= _RENAMED:
        share = round(100 * found.short_classes / found.classes)
        yield (
            f"{share} % of the classes have names of one or two letters: renamed code hides "
            "frameworks that have no native library"
        )


def _delivered(parts: list[Identity]) -> Iterator[str]:
    for name, value in dict.fromkeys(pair for part in parts for pair in part.declared):
        if name in _DELIVERY and value:
            models = ", ".join(each.strip() for each in value.split(","))
            yield f"models come at install time from {_DELIVERY[name]}: {models}"


def _splits(parts: list[Identity]) -> Iterator[str]:
    if any(part.needs_splits for part in parts) and not any(part.split for part in parts):
        yield (
            "the base of a split app without its splits: native libraries and models may be in "
            "parts that are not here"
        )


def _missing_abis(found: Sightings) -> Iterator[str]:
    """Libraries that are there for some of the package's ABIs only."""
    every = {library.abi for library in found.libraries if _is_packaged(library)}
    holders: defaultdict[Key, dict[str, str]] = defaultdict(dict)
    for library in found.libraries:
        if _is_packaged(library):
            for key in library.holds:
                holders[key][library.abi] = library.where.rpartition("/")[2]
    for (_, name), names in sorted(holders.items()):
        if missing := sorted(every - names.keys()):
            files = ", ".join(sorted(set(names.values())))
            there = ", ".join(sorted(names))
            yield f"{name}: {files} is there for {there} only, not for {', '.join(missing)}"


def _is_packaged(library: Library) -> bool:
    folder = library.where.rpartition("!/")[2].rpartition("/")[0]
    return folder.rpartition("/")[2] == library.abi


def _halves(rows: tuple[Evidence, ...], models: tuple[Model, ...]) -> Iterator[str]:
    """A framework without a model, a model without its framework."""
    running = sorted(
        {r.name for r in rows if r.kind in _RUNNING and r.grade in ("class", "native_lib", "asset")}
    )
    shipped = [model for model in models if model.status != "rejected"]
    if running and not shipped:
        yield f"{', '.join(running)} without a model: it may be fetched later, or hidden"
    if shipped and not running:
        count = "a model" if len(shipped) == 1 else f"{len(shipped)} models"
        yield (
            f"{count} without a framework that could run them: unused, run by code "
            "that was not recognised, or by a part that is not here"
        )
