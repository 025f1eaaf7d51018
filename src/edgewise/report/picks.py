"""What each policy chooses for one request, worked out beforehand by the policies themselves over a
grid of deadlines and networks: the page's sliders only look it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.selection.policies.protocol import Chooser
    from edgewise.selection.profiles.table import Floats, ProfileTable

#: The policies that are asked, the one that the page speaks of first.
POLICIES = ("deadline", "mdinference", "cnnselect", "most_accurate", "fastest")
#: What is chosen where a request is refused.
REFUSED = -1
#: Networks that always take the same time (ms, there and back), beside those that have names.
_STEADY_MS = (0.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_SEED = 0
#: Round numbers of a decade that deadlines are set at: below the least of networks fewer.
_ROUND, _ROUND_BELOW = (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5)
_LEAST_MS = 0.01


@dataclass(frozen=True)
class Condition:
    """A network as one request finds it: what it is expected to take both ways, and how far the
    reply is off that (sorted sample of actual − expected), None where it always takes the same."""

    name: str
    expected_ms: float
    error_ms: Floats | None

    @property
    def label(self) -> str:
        """Its name and its time."""
        time = "no network" if self.expected_ms == 0 else f"{_short(self.expected_ms)} ms"
        return f"{self.name}, {time}" if self.name else time


@dataclass(frozen=True)
class Pick:
    """What a policy does with one request: models (places in the table, or REFUSED) with their
    probabilities, the probability of an answer in time, and the expected accuracy of such in
    percent: a late or refused answer counts 0."""

    models: tuple[tuple[int, float], ...]
    in_time: float
    effective: float


@dataclass(frozen=True)
class Picks:
    """`picks[p][n][d]` is of policy p, on network n, with deadline d."""

    models: tuple[str, ...]
    accuracy: tuple[float, ...]
    median_ms: tuple[float, ...]
    deadlines_ms: tuple[float, ...]
    conditions: tuple[Condition, ...]
    policies: tuple[str, ...]
    picks: tuple[tuple[tuple[Pick, ...], ...], ...]

    def start(self) -> tuple[int, int]:
        """A network and a deadline to begin with: LTE, and the shortest that is mostly met."""
        names = [condition.name for condition in self.conditions]
        network = names.index("lte") if "lte" in names else len(names) // 2
        row = self.picks[0][network]
        met = (place for place, pick in enumerate(row) if pick.in_time >= 0.9)
        return network, next(met, len(row) - 1)

    def data(self) -> dict[str, Any]:
        """As the page's script reads it; a pick is its chance in time, its effective accuracy, and
        models and probabilities in turn."""
        network, deadline = self.start()
        return {
            "models": self.models,
            "accuracy": self.accuracy,
            "median": self.median_ms,
            "deadlines": self.deadlines_ms,
            "networks": [
                {"name": condition.label, "ms": round(condition.expected_ms, 3)}
                for condition in self.conditions
            ],
            "policies": self.policies,
            "network": network,
            "deadline": deadline,
            "picks": [
                [[_packed(pick) for pick in row] for row in by_network] for by_network in self.picks
            ],
        }

    def rows(self, policy: int) -> Iterator[tuple[Any, ...]]:
        """Of one policy, for people: network, its time, deadline, the likeliest model and how
        likely it is, its accuracy, in time, effective accuracy."""
        for condition, row in zip(self.conditions, self.picks[policy], strict=True):
            for deadline_ms, pick in zip(self.deadlines_ms, row, strict=True):
                model, share = pick.models[0]
                yield (
                    condition.label, condition.expected_ms, deadline_ms, self.called(model), share,
                    None if model == REFUSED else self.accuracy[model], pick.in_time,
                    pick.effective,
                )  # fmt: skip

    def called(self, model: int) -> str:
        """A model's name."""
        return "refused" if model == REFUSED else self.models[model]


def _packed(pick: Pick) -> list[float]:
    return [pick.in_time, pick.effective, *(each for pair in pick.models for each in pair)]


def picks_of(table: ProfileTable, payload_bytes: float, reply_bytes: float) -> Picks:
    """What the policies choose from a table of profiles, without load.

    Args:
        payload_bytes, reply_bytes: what a request sends and gets over the networks with names.
    """
    from edgewise.selection.policies.deadline import with_error
    from edgewise.selection.policies.registry import parse

    networks = conditions(payload_bytes, reply_bytes)
    deadlines = deadlines_of(table, networks)
    found: list[list[tuple[Pick, ...]]] = [[] for _ in POLICIES]
    for network in networks:
        late_ms = with_error(table.quantiles_ms, network.error_ms)
        for place, written in enumerate(POLICIES):
            chooser = parse(written).on(table, network.error_ms)
            found[place].append(
                tuple(_pick(chooser, table, late_ms, each, network.expected_ms)
                      for each in deadlines)
            )  # fmt: skip
    return Picks(
        models=table.models,
        accuracy=tuple(table.accuracy.tolist()),
        median_ms=tuple(table.quantiles_ms[:, table.quantiles_ms.shape[1] // 2].tolist()),
        deadlines_ms=tuple(deadlines),
        conditions=tuple(networks),
        policies=POLICIES,
        picks=tuple(map(tuple, found)),
    )


def _pick(
    chooser: Chooser, table: ProfileTable, late_ms: Floats, sla_ms: float, network_ms: float
) -> Pick:
    """`late_ms`: quantiles of service and error, of which those strictly below the budget count as
    met, as `deadline` counts them."""
    budget_ms = sla_ms - network_ms
    chances = chooser.probabilities(sla_ms, budget_ms)
    in_time = effective = 0.0
    for model, share in chances.items():
        if model != REFUSED:
            met = share * float((late_ms[model] < budget_ms).mean())
            in_time += met
            effective += met * float(table.accuracy[model])
    likeliest = sorted(chances.items(), key=lambda pair: (-pair[1], pair[0]))
    # To as many digits as the page shows, so that its script shows the same.
    shares = tuple((model, round(share, 3)) for model, share in likeliest)
    return Pick(shares, round(in_time, 3), round(effective, 1))


def conditions(payload_bytes: float, reply_bytes: float) -> list[Condition]:
    """The networks, the fastest first: those that always take the same, and the links by name, as
    the simulator has them: the upload is measured (here its median), the reply is predicted."""
    import numpy as np

    from edgewise.network.catalogue import Carried, links, resolve
    from edgewise.selection.workload.setup import HISTORY, generator, predictor

    found = [Condition("", ms, None) for ms in _STEADY_MS]
    for name in links():
        carried = Carried(payload_bytes=payload_bytes, reply_bytes=reply_bytes)
        network = resolve(f"link:{name}", carried)
        upload_ms, _ = network.transfers(HISTORY, generator(_SEED, "history"))
        middle_ms = np.median(upload_ms, keepdims=True)
        expected = predictor(network, _SEED)
        both_ms = float((middle_ms + expected.download_ms(middle_ms))[0])
        found.append(Condition(name, both_ms, expected.errors_ms))
    return sorted(found, key=lambda each: each.expected_ms)


def deadlines_of(table: ProfileTable, networks: Sequence[Condition]) -> list[float]:
    """Round deadlines, evenly spread by their logarithm, from what the fastest model needs without
    a network to what the slowest needs over the slowest one."""
    import math

    low = max(_LEAST_MS, float(table.mean_ms.min()))
    high = 1.2 * (float(table.quantiles_ms[:, -8].max()) + networks[-1].expected_ms)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [
        float(f"{step}e{power}")
        for power in powers
        for step in (_ROUND if power > 0 else _ROUND_BELOW)
    ]
    first = max((place for place, each in enumerate(every) if each <= low), default=0)
    last = next((place for place, each in enumerate(every) if each >= high), len(every) - 1)
    return every[first : last + 1]


def _short(ms: float) -> str:
    return f"{ms:.3g}" if ms < 1000 else f"{ms:,.0f}"
