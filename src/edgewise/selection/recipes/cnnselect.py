"""Ogden and Guo, CNNSelect (2019), with its siblings ModiPick (2019) and MDInference (IC2E 2020).

Their simulation as published (selection.md): all published networks and both servers' profiles,
10,000 requests for each deadline from 0 to 500 ms. The set-up, the profiles, `greedy` and
`mdinference` are published; the stages of `cnnselect` are reconstructed. Nothing is tuned towards
a number of theirs. `cnnselect.toml` has the statements; a query here answers each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from edgewise.network.catalogue import pairs
from edgewise.papers import Answer, Statement, beside, read_paper
from edgewise.records import Agreement, PublishedFinding, SimulationRow
from edgewise.selection.engine.simulate import sweep
from edgewise.selection.policies.registry import parse_all
from edgewise.selection.profiles.sources import load
from edgewise.selection.workload.setup import Setup

PAPER = read_paper(Path(__file__).with_suffix(".toml"))
PROFILES = ("p2", "c5")
PHONE = "pixel3"
DEADLINES_MS = tuple(10.0 * step for step in range(51))
POLICIES = ("cnnselect", "greedy", "mdinference", "fastest", "most_accurate")
#: What the device runs beside the cloud, as MDInference's second run of a request.
DUPLICATE = "SqueezeNet"
#: Points of accuracy that are called comparable, and a fall that is no smooth one.
_COMPARABLE, _FALL = 5.0, 1.0
#: A share in percent is called the same up to here: sampling alone moves it by half a point.
_SAME = 1.0
_IN_TIME = 0.9
#: MDInference's target latency.
_TARGET_MS = 250.0
#: Beginnings of the names of networks that were made for phones.
_MOBILE = ("mobilenet", "squeezenet", "nasnet mobile")

#: Rows of one network and set of profiles by deadline, then policy.
Curve = Mapping[float, Mapping[str, SimulationRow]]


class Simulated(NamedTuple):
    """What was simulated: the curves by profiles and network, and the runs with a duplicate."""

    curves: Mapping[tuple[str, str], Curve]
    duplicated: Mapping[tuple[str, str], Mapping[str, SimulationRow]]


def run(requests: int = 10_000, seed: int = 0, jobs: int = 1) -> Iterator[SimulationRow]:
    """The rows of the simulation: every deadline alone, then the target with the duplicate.

    Raises:
        UsageError: no requests, or a seed that is none.
    """
    policies = parse_all(POLICIES)
    table = load(PHONE).table
    here = table.profiles[table.index(DUPLICATE)]
    alone = [
        Setup(load(name).table, network, published=True, requests=requests, seed=seed)
        for name in PROFILES
        for network in pairs().values()
    ]
    both = [
        Setup(one.table, one.network, one.published, one.requests, one.seed, duplicate=here)
        for one in alone
    ]
    yield from sweep(alone, policies, DEADLINES_MS, jobs)
    yield from sweep(both, policies, [_TARGET_MS], jobs)


def findings(rows: Iterable[SimulationRow]) -> list[PublishedFinding]:
    """The statements beside what the rows of `run` say."""
    curves: dict[tuple[str, str], dict[float, dict[str, SimulationRow]]] = defaultdict(dict)
    duplicated: dict[tuple[str, str], dict[str, SimulationRow]] = defaultdict(dict)
    for row in rows:
        key = str(row.profiles), row.network
        at = duplicated[key] if row.duplicate else curves[key].setdefault(row.sla_ms, {})
        at[row.policy] = row
    return beside(PAPER, QUERIES, Simulated(curves, duplicated))


class Gain(NamedTuple):
    """`cnnselect` less `greedy` over the deadlines, in points of attainment: where most, at what
    loss of accuracy, and of all deadlines together in percent (None: `greedy` is never in time)."""

    profiles: str
    network: str
    peak_points: float
    peak_at_ms: float
    accuracy_at_peak_points: float
    all_deadlines_percent: float | None
    deadlines_ms: tuple[float, ...]
    points: tuple[float, ...]


def gains(of: Simulated) -> list[Gain]:
    """The whole curve and its peak, by profiles and network."""
    return [_gain(*key, curve) for key, curve in of.curves.items()]


def _gain(profiles: str, network: str, curve: Curve) -> Gain:
    deadlines = sorted(curve)
    ours, theirs = ([curve[at][name] for at in deadlines] for name in ("cnnselect", "greedy"))
    points = tuple(100 * (a.attainment - b.attainment) for a, b in zip(ours, theirs, strict=True))
    peak = max(range(len(points)), key=points.__getitem__)
    total = sum(row.attainment for row in theirs)
    return Gain(
        profiles, network, points[peak], deadlines[peak], _accuracy_points(curve[deadlines[peak]]),
        100 * (sum(row.attainment for row in ours) / total - 1) if total else None,
        tuple(deadlines), points,
    )  # fmt: skip


def _accuracy_points(at: Mapping[str, SimulationRow]) -> float:
    return (at["cnnselect"].accuracy or 0.0) - (at["greedy"].accuracy or 0.0)


def _span(values: Iterable[float], digits: int = 1) -> str:
    found = list(values)
    return f"{min(found):.{digits}f} to {max(found):.{digits}f}"


def _cells(of: Simulated) -> int:
    return sum(map(len, of.curves.values()))


def _headline(_stated: Statement, of: Simulated) -> Answer:
    found = gains(of)
    pooled = [one.all_deadlines_percent for one in found if one.all_deadlines_percent is not None]
    ours = f"{_span(one.peak_points for one in found)} points more in time at the peaks"
    why = (
        f"{len(found)} pairs of profiles and network; all deadlines together {_span(pooled, 0)} % "
        "more requests in time; at one deadline the gain in percent has no bound, as greedy may "
        "be in time for none"
    )
    return Answer(ours, _cells(of), "cannot tell", why, tuple(one._asdict() for one in found))


def _smooth(_stated: Statement, of: Simulated) -> Answer:
    falls = {key: _largest_fall(curve) for key, curve in of.curves.items()}
    varying = [fall for (_, network), fall in falls.items() if pairs()[network].std_ms > 0]
    fixed = [fall for (_, network), fall in falls.items() if pairs()[network].std_ms == 0]
    agrees: Agreement = "yes" if max(varying) <= _FALL else "no"
    why = (
        "the largest fall of the accuracy from one deadline to the next, over networks that vary; "
        f"over `perfect`, which does not, {max(fixed):.1f}: exploring takes models that are "
        f"slower and less accurate; smooth: up to {_FALL:g}"
    )
    details = tuple(
        {"profiles": profiles, "network": network, "largest_fall_points": fall}
        for (profiles, network), fall in falls.items()
    )
    return Answer(max(varying), _cells(of), agrees, why, details)


def _largest_fall(curve: Curve) -> float:
    accuracies = [curve[at]["cnnselect"].accuracy or 0.0 for at in sorted(curve)]
    return max(0.0, *(a - b for a, b in pairwise(accuracies)))


def _comparable(_stated: Statement, of: Simulated) -> Answer:
    at_ease = [
        _accuracy_points(at)
        for curve in of.curves.values()
        for at in curve.values()
        if at["greedy"].attainment >= _IN_TIME
    ]
    peaks = [one.accuracy_at_peak_points for one in gains(of)]
    agrees: Agreement = "yes" if min(at_ease + peaks) >= -_COMPARABLE else "no"
    ours = f"{_span(at_ease)} points where greedy is in time, {_span(peaks)} where the gain is most"
    why = f"in time: for {_IN_TIME:.0%} of the requests; comparable: within {_COMPARABLE:g} points"
    return Answer(ours, _cells(of), agrees, why)


def _target(network: str) -> Callable[[Statement, Simulated], Answer]:
    """Requests that the cloud's more accurate answer reaches within the target."""

    def query(stated: Statement, of: Simulated) -> Answer:
        row = of.curves["p2", network][_TARGET_MS]["mdinference"]
        ours = 100 * row.attainment
        agrees: Agreement = "yes" if abs(ours - float(stated.theirs)) <= _SAME else "no"
        why = f"`mdinference`, p2 over `{network}`; the same: within a point"
        return Answer(ours, row.requests, agrees, why)

    return query


def _static(stated: Statement, of: Simulated) -> Answer:
    rows = [of.duplicated["p2", network] for network in ("campus", "home")]
    over = {
        policy: [100 * (_worth(at["mdinference"]) / _worth(at[policy]) - 1) for at in rows]
        for policy in ("fastest", "most_accurate")
    }
    late = [at["mdinference"].attainment for at in rows]
    agrees: Agreement = "no"
    if min(over["fastest"]) > float(stated.theirs) and min(late) == 1:
        agrees = "yes"
    ours = (
        f"{_span(over['fastest'], 0)} % over the fastest, "
        f"{_span(over['most_accurate'], 0)} % over the most accurate"
    )
    why = (
        f"p2 over `campus` and `home` at {_TARGET_MS:g} ms, {DUPLICATE} of the {PHONE} beside the "
        f"cloud, {min(late):.1%} in time; compared with the fastest, the one static choice that "
        "keeps deadlines where any does"
    )
    return Answer(ours, rows[0]["mdinference"].requests, agrees, why)


def _worth(row: SimulationRow) -> float:
    return row.effective_accuracy


def _phone() -> tuple[list[float], list[float]]:
    """Times in ms on the phone: of networks made for phones, and of the others."""
    profiles = load(PHONE).table.profiles
    mobile = [one.mean_ms for one in profiles if one.model.lower().startswith(_MOBILE)]
    return mobile, [one.mean_ms for one in profiles if not one.model.lower().startswith(_MOBILE)]


def _mobile(_stated: Statement, _of: Simulated) -> Answer:
    mobile, _ = _phone()
    agrees: Agreement = "yes" if max(mobile) <= _TARGET_MS else "no"
    why = f"networks made for phones on a Pixel 3 of 2018; reasonable: within {_TARGET_MS:g} ms"
    return Answer(f"{_span(mobile)} ms", len(mobile), agrees, why)


def _complex(_stated: Statement, _of: Simulated) -> Answer:
    _, others = _phone()
    cloud = max(one.mean_ms for one in load("p2").table.profiles)
    away = 2 * max(pairs()[name].mean_ms for name in ("campus", "home"))
    slower = sum(time > cloud + away for time in others)
    agrees: Agreement = "yes" if slower > len(others) / 2 else "no"
    why = (
        f"the other networks on the same phone; {slower} of {len(others)} take longer there than "
        f"p2's slowest over the slower of `campus` and `home`, {cloud + away:.0f} ms; no profile "
        "of an older phone comes with the package"
    )
    return Answer(f"{_span(others, 0)} ms", len(others), agrees, why)


def _variable(_stated: Statement, of: Simulated) -> Answer:
    steady, varying = (
        of.curves["p2", network][DEADLINES_MS[-1]]["most_accurate"]
        for network in ("home", "home-high-sigma")
    )
    if steady.p99_ms is None or varying.p99_ms is None:
        return Answer(
            None, steady.requests, "cannot tell", "too few requests for a 99th percentile"
        )
    ours = varying.p99_ms / steady.p99_ms
    agrees: Agreement = "yes" if ours > 1 + _SAME / 100 else "no"
    why = (
        f"one model over `home` and `home-high-sigma`, of the same mean: 99 % are answered in "
        f"{steady.p99_ms:.0f} and {varying.p99_ms:.0f} ms; within 500 ms "
        f"{steady.attainment:.1%} and {varying.attainment:.1%}"
    )
    return Answer(ours, steady.requests, agrees, why)


QUERIES: Mapping[str, Callable[[Statement, Simulated], Answer]] = {
    "headline": _headline,
    "smooth": _smooth,
    "comparable": _comparable,
    "university": _target("campus"),
    "residential": _target("home"),
    "static": _static,
    "mobile": _mobile,
    "complex": _complex,
    "variable": _variable,
}


def bars(points: Sequence[float]) -> str:
    """A curve in eighths of a letter's height, 100 points high."""
    return "".join(" ▁▂▃▄▅▆▇█"[min(8, max(0, round(value / 12.5)))] for value in points)


def curves(found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """The gains of the headline's details for people: profiles, network, peak, curve."""
    for one in found:
        peak = f"{one['peak_points']:+.1f} at {one['peak_at_ms']:g} ms"
        yield one["profiles"], one["network"], peak, bars(one["points"])
