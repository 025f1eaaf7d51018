"""From sightings to evidence: one row for each thing and grade, with the surest reach of all.

What needs the whole app is decided here: a class used in one dex is there if another defines it; a
library is reached by who loads it or links it; a text says nothing more where the class is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from edgewise.apps.evidence.contract import Key, Library, Sightings, Trace
from edgewise.apps.evidence.dex_extractor import NO_NATIVE
from edgewise.records import Evidence, Grade, Owner, Reach

_REACHES: tuple[Reach, ...] = ("unreferenced", "referenced", "loaded")
_OWNERS: tuple[Owner | None, ...] = (None, "sdk", "app")
_GRADES: tuple[Grade, ...] = ("class", "native_lib", "manifest", "asset", "url", "string")
#: Places of one row that are listed.
_PLACES = 6


def evidence(found: Sightings) -> tuple[Evidence, ...]:
    """The evidence of an app, in order of kind, name and grade."""
    groups: defaultdict[tuple[Key, Grade], list[Trace]] = defaultdict(list)
    for trace in found.traces:
        groups[trace.key, trace.grade].append(trace)
    present = {
        (key, grade) for (key, grade), traces in groups.items()
        if any(trace.present for trace in traces)
    }  # fmt: skip
    rows = []
    for (key, grade), traces in groups.items():
        if (key, grade) not in present:
            rows += _absent(traces)
        elif not (grade == "string" and (key, "class") in present):
            rows.append(_row(traces, found, present))
    return tuple(sorted(rows, key=_order))


def _order(row: Evidence) -> tuple[str, str, int]:
    return row.kind, row.name, _GRADES.index(row.grade)


def _absent(traces: list[Trace]) -> list[Evidence]:
    """Classes that code uses and no part here defines."""
    first = traces[0]
    if first.kind == "packer":
        return []
    return [
        Evidence(
            kind=first.kind, name=first.name, grade="string", reach=_best_reach(traces),
            owner=_best_owner(traces), where=_where(traces),
            detail="its classes are used but are in no part of the app that is here",
        )
    ]  # fmt: skip


def _row(traces: list[Trace], found: Sightings, present: set[tuple[Key, Grade]]) -> Evidence:
    first = traces[0]
    reach, owner = _best_reach(traces), _best_owner(traces)
    details = [d for d in dict.fromkeys(t.detail for t in traces if t.present) if d]
    match first.grade:
        case "class":
            if reach is None and found.code_read and first.kind != "packer":
                reach = "unreferenced"
            details = _class_details(first.key, traces, details, present)
        case "native_lib":
            holders = [lib for lib in found.libraries if first.key in lib.holds]
            if (first.key, "class") not in present and found.code_read:
                reach, owner = _library_reach(first.key, holders, found)
            details += _sizes(holders)
        case "asset":
            reach, owner, pages = _page_reach(traces, found, reach, owner)
            traces = [*traces, *pages]
    return Evidence(
        kind=first.kind, name=first.name, grade=first.grade, reach=reach, owner=owner,
        where=_where(traces), detail="; ".join(details[:_PLACES]),
    )  # fmt: skip


def _class_details(
    key: Key, traces: list[Trace], details: list[str], present: set[tuple[Key, Grade]]
) -> list[str]:
    """Classes without native methods and without a library are a stub that does nothing."""
    natives = [trace for trace in traces if trace.present]
    is_stub = all(trace.detail == NO_NATIVE for trace in natives)
    others = [detail for detail in details if detail != NO_NATIVE]
    if is_stub and (key, "native_lib") not in present:
        return ["a stub: no native methods and no native library", *others]
    return others


def _library_reach(
    key: Key, holders: list[Library], found: Sightings
) -> tuple[Reach, Owner | None]:  # fmt: skip
    """Who loads a library by its name, or links it and is loaded itself."""
    owners: set[Owner] = set()
    for library in holders:
        direct = key in library.named or key[0] != "accelerator"
        if direct:
            owners |= _loaders(library, found)
        for other in found.libraries:
            if other is library or not library.names.intersection(other.needed):
                continue
            if key in other.imported or direct:
                owners |= {other.owner} if other.owner else _loaders(other, found) or {"sdk"}
    if not owners:
        return "unreferenced", None
    return "referenced", "app" if "app" in owners else "sdk"


def _loaders(library: Library, found: Sightings) -> set[Owner]:
    return set().union(*(found.loads.get(stem, ()) for stem in map(stem_of, library.names)))


def stem_of(name: str) -> str:
    """`libx.so` as code loads it: `x`."""
    return name.rpartition("/")[2].removeprefix("lib").removesuffix(".so")


def _sizes(holders: list[Library]) -> list[str]:
    """Bytes of a thing's libraries by ABI."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for library in holders:
        sizes[library.abi] += library.size
    return [", ".join(f"{abi} {size:,} bytes" for abi, size in sorted(sizes.items()))]


def _page_reach(
    traces: list[Trace], found: Sightings, reach: Reach | None, owner: Owner | None
) -> tuple[Reach | None, Owner | None, list[Trace]]:
    """A script that a page of the app asks for is used by the app."""
    pages = []
    for trace in traces:
        name = trace.where.rpartition("/")[2]
        pages += [
            trace._replace(where=page) for page, text in found.pages.items()
            if name and name in text and page != trace.where
        ]  # fmt: skip
    if pages:
        return "referenced", "app", pages
    return reach, owner, []


def _best_reach(traces: Iterable[Trace]) -> Reach | None:
    known = [trace.reach for trace in traces if trace.reach is not None]
    return max(known, key=_REACHES.index, default=None)


def _best_owner(traces: Iterable[Trace]) -> Owner | None:
    return max((trace.owner for trace in traces), key=_OWNERS.index, default=None)


def _where(traces: Iterable[Trace]) -> str:
    places = list(dict.fromkeys(trace.where for trace in traces))
    more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
    return ", ".join(places[:_PLACES]) + more
