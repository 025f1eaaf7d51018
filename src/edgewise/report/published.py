"""Accuracy as published, of files that are well-known networks by their structure: beside what was
measured, never mixed with it."""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from edgewise.report.charts import by_log, category, dot_names, tooltip
from edgewise.report.names import DEVICE, NAMED, TARGET
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

#: Devices that are drawn at most.
_DEVICES = 3
#: How far a file's parameters and work may be off the published ones: heads and counts differ.
_PARAMETERS, _MACS = 0.03, 1.25
_SOURCES = {
    "slim": "README of MobileNets in TensorFlow Slim",
    "torchvision": "torchvision's table of weights",
    "bvlc": "Caffe's model zoo (BVLC)", "he": "deep residual networks, single-crop errors",
}  # fmt: skip
_MODELS = f"""
    with {NAMED},
    timed as (
      select sha256, {DEVICE} as device, min(latency_ms.p50) as p50_ms,
        arg_min({TARGET}, latency_ms.p50) as target, arg_min(latency_ms.n, latency_ms.p50) as runs,
        arg_min(origin, latency_ms.p50) as origin
      from measurements
      where status = 'ok' and target.batch = 1 and latency_ms.p50 > 0 and sha256 is not null
      group by all)
    select label as model, architecture, quantization, parameters, macs, device, p50_ms, target,
      runs, origin, sha256 in (select sha256 from models where app_key is not null) as in_app
    from named left join timed using (sha256)
    where architecture is not null and parameters > 0 and macs > 0
    order by p50_ms nulls last, label
"""

#: Files that were evaluated here on the same data.
_EVALUATED = f"""
    with {NAMED},
    timed as (
      select sha256, {DEVICE} as device, min(latency_ms.p50) as p50_ms,
        arg_min({TARGET}, latency_ms.p50) as target, arg_min(latency_ms.n, latency_ms.p50) as runs
      from measurements
      where status = 'ok' and target.batch = 1 and latency_ms.p50 > 0 group by all)
    select coalesce(e.model, label) as model, accuracy, n as inputs, device, p50_ms, target, runs
    from accuracies e join timed using (sha256) left join named using (sha256)
    where accuracy is not null and regexp_matches(lower(data), 'imagenet|ilsvrc')
"""

_COLUMNS = (
    "model", "architecture", "published_as", "accuracy", "source", "device", "p50_ms", "target",
    "runs",
)  # fmt: skip
_BETTER = (
    "model", "in_an_app", "published_as", "accuracy", "macs", "parameters", "better",
    "better_accuracy", "better_macs", "better_parameters", "accuracy_points", "macs_ratio",
    "sources",
)  # fmt: skip
_DRAWN = ("model", "accuracy", "known", "published_as", "p50_ms", "target", "runs", "frontier")


@dataclass(frozen=True)
class Fact:
    """A network's published accuracy in percent; parameters and MACs in millions."""

    architecture: str
    name: str
    quantized: bool
    parameters_m: float
    macs_m: float
    accuracy: float
    source: str


@functools.cache
def facts() -> tuple[Fact, ...]:
    """The published accuracies that come with the package."""
    text = files("edgewise.report").joinpath("data/published.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Fact(
            row["architecture"], row["name"], row["quantized"] == "yes",
            float(row["parameters_m"]), float(row["macs_m"]), float(row["accuracy"]), row["source"],
        )
        for row in rows
    )  # fmt: skip


def published(
    architecture: str, quantization: str | None, parameters: int, macs: int
) -> Fact | None:
    """The published network that a file is: of its architecture, in integers or not, of its size,
    and of these the nearest in work; None where none is near."""

    def off(fact: Fact) -> float:
        return abs(math.log(macs / 1e6 / fact.macs_m))

    integers = quantization in ("full", "mixed")
    near = [
        fact
        for fact in facts()
        if fact.architecture == architecture
        and fact.quantized == integers
        and abs(parameters / 1e6 / fact.parameters_m - 1) <= _PARAMETERS
        and off(fact) <= math.log(_MACS)
    ]
    return min(near, key=off, default=None)


def better(fact: Fact) -> Fact | None:
    """Of the published networks with less work, fewer parameters, and numbers of the same kind, the
    most accurate; None where none is more accurate than this one."""
    cheaper = [
        each
        for each in facts()
        if each.quantized == fact.quantized
        and each.macs_m < fact.macs_m
        and each.parameters_m < fact.parameters_m
        and each.accuracy > fact.accuracy
    ]
    return max(cheaper, key=lambda each: each.accuracy, default=None)


def _known(ask: Ask) -> list[tuple[dict[str, Any], Fact]]:
    return [
        (row, fact)
        for row in ask.numbers(_MODELS, 10_000).objects()
        if (fact := published(row["architecture"], row["quantization"], row["parameters"],
                              row["macs"]))
    ]  # fmt: skip


def outdone(ask: Ask) -> list[dict[str, Any]]:
    """Files whose network has a published one that costs less and is more accurate: those that apps
    ship first, then by how much more accurate."""
    found = {row["model"]: (row, fact) for row, fact in _known(ask)}
    rows = [
        (row["model"], row["in_app"], fact.name, fact.accuracy, row["macs"], row["parameters"],
         best.name, best.accuracy, round(best.macs_m * 1e6), round(best.parameters_m * 1e6),
         round(best.accuracy - fact.accuracy, 2), best.macs_m * 1e6 / row["macs"],
         "; ".join(dict.fromkeys(_SOURCES[each.source] for each in (fact, best))))
        for row, fact in found.values()
        if (best := better(fact)) is not None
    ]  # fmt: skip
    rows.sort(key=lambda row: (not row[1], -row[10], row[0]))
    return [dict(zip(_BETTER, row, strict=True)) for row in rows]


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no file is a network whose accuracy is known."""
    known = _known(ask)
    if not known:
        return []
    rows = [
        (row["model"], row["architecture"], fact.name, fact.accuracy, _SOURCES[fact.source],
         row["device"], row["p50_ms"], row["target"], row["runs"])
        for row, fact in known
    ]  # fmt: skip
    rows.sort(key=lambda row: (-row[3], row[6] is None, row[6] or 0.0, row[0]))
    numbers = Numbers(_COLUMNS, rows[:TABLE_ROWS], len(rows), "")
    devices = list(dict.fromkeys(row["device"] for row, _ in known if row["device"]))
    here = ask.numbers(_EVALUATED, 1000).objects()
    return [
        *(_figure(device, known, [row for row in here if row["device"] == device])
          for device in devices[:_DEVICES]),
        Table("Accuracy as published", _NOTE, numbers),
        *_outdone(outdone(ask)),
    ]  # fmt: skip


def _outdone(rows: list[dict[str, Any]]) -> list[Table]:
    if not rows:
        return []
    numbers = Numbers(_BETTER, [tuple(row.values()) for row in rows], len(rows), "")
    return [Table("Cheaper and more accurate, as published", _BETTER_NOTE, numbers)]


_BETTER_NOTE = (
    "For each of these networks the most accurate published one with fewer multiply-accumulates "
    "and parameters, in numbers of the same kind. Another task or other data may decide otherwise."
)


_NOTE = (
    "Top-1 on ImageNet, in percent, of the network that the file is by its structure and size, as "
    "its authors trained it. This file's weights were not evaluated: they may be others."
)


def _figure(
    device: str, known: list[tuple[dict[str, Any], Fact]], here: list[dict[str, Any]]
) -> Figure:
    measured = {row["model"] for row in here}
    dots: list[tuple[Any, ...]] = [
        (row["model"], row["accuracy"], f"measured on {row['inputs']:,} inputs", None,
         row["p50_ms"], row["target"], row["runs"])
        for row in here
    ]  # fmt: skip
    dots += [
        (row["model"], fact.accuracy, "published", fact.name, row["p50_ms"], row["target"],
         row["runs"])
        for row, fact in known
        if row["device"] == device and row["model"] not in measured
    ]  # fmt: skip
    dots.sort(key=lambda dot: (dot[4], -dot[1], dot[0]))
    best = -1.0
    rows = []
    for dot in dots:
        rows.append((*dot, dot[1] > best))
        best = max(best, dot[1])
    numbers = Numbers(_DRAWN, rows, len(rows), "")
    kinds = "Filled: measured here. " if here else ""
    return Figure(
        f"Published accuracy against latency on {device}",
        f"Time measured here, accuracy as published for ImageNet (hollow). {kinds}The dashed line "
        "joins those that none of the others beats; all are top-1 on ImageNet. What was measured "
        "on other data does not compare, and is drawn by itself.",
        f"Dots of published accuracy over median latency for {many(len(rows), 'model')} on "
        f"{device}; on the frontier: {', '.join(row[0] for row in rows if row[7])}.",
        _spec(numbers.objects()),
        numbers,
        unit="percent over ms",
        origin="accuracy published, time measured" + (", some of both measured" if here else ""),
        n=many(len(rows), "model"),
    )


def _spec(rows: list[dict[str, Any]]) -> Spec:
    x = by_log("p50_ms", "median latency, ms", (row["p50_ms"] for row in rows), "~g")
    y: Spec = {
        "field": "accuracy", "type": "quantitative", "scale": {"zero": False},
        "axis": {"title": "top-1 on ImageNet, %", "tickCount": 6},
    }  # fmt: skip
    tip = tooltip(
        ("model", "model"), ("published_as", "published as"), ("accuracy", "top-1, %", ".2f"),
        ("known", "accuracy"), ("p50_ms", "median, ms", ".4~g"), ("target", "target"),
        ("runs", "runs", ",d"),
    )  # fmt: skip
    both = any(row["known"] != "published" for row in rows)
    colour = category("how", "", ["published", "measured"])
    colour["legend"] = {"symbolStrokeWidth": 2} if both else None
    mark: Spec = {"type": "point", "size": 110, "strokeWidth": 2, "opacity": 1}

    def dots(how: str, **more: Any) -> Spec:
        return {
            "transform": [{"filter": f"datum.how == '{how}'"}],
            "mark": mark | more,
            "encoding": {"color": colour, "tooltip": tip},
        }

    layers = [dots("published", shape="diamond", filled=False)]
    if both:
        layers.append(dots("measured", filled=True))
    how = "datum.known == 'published' ? 'published' : 'measured'"
    return {
        "height": 340,
        "transform": [{"calculate": how, "as": "how"}],
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.frontier"}],
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2,
                         "strokeDash": [5, 4], "color": "#8c93a0", "opacity": 0.8},
            },
            dot_names("model", x, y, rows, first="frontier"),
            *layers,
        ],
    }  # fmt: skip
