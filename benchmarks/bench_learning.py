"""What learning rules cost, and what exploration costs and buys, by simulation.

    python benchmarks/bench_learning.py [DEADLINE_MS]

One client after the other asks for an answer in 250 ms (or DEADLINE_MS) over `artificial`, from the
models of `p2`. Real service times are lognormal around the published means, with a coefficient of
variation of 0.3, and unknown to the policy, which learns them from the answers that it caused. In
the second of three phases the most accurate four models take three times as long; then they
recover. Everything is averaged over seeds; the standard error of a cell is printed at the end.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgewise.network.catalogue import resolve
from edgewise.selection.policies.registry import parse
from edgewise.selection.profiles.learning import Learners, Learning
from edgewise.selection.profiles.sources import load
from smoke import SMOKE, fewer

SLA_MS = float(sys.argv[1]) if len(sys.argv) > 1 and not SMOKE else 250.0
PHASE = fewer(2000, 100)
#: A service would refresh its table about as often.
REFRESH = 20
VARIATION = 0.3
SLOWED, FACTOR = 4, 3.0
SEEDS = fewer(4, 2)
POLICIES = ("mdinference", "cnnselect", "cnnselect:threshold=20")
RULES = {
    "α = 0.5": Learning("ewma", alpha=0.5),
    "α = 0.1": Learning("ewma", alpha=0.1),
    "window 100": Learning("window", window=100),
    "history": Learning("history"),
    "truth": None,
}


@dataclass
class World:
    """The models as they really are, and the requests of one seed."""

    seed: int

    def __post_init__(self) -> None:
        self.table = load("p2").table
        rng = np.random.default_rng(self.seed)
        pair = resolve("artificial")
        n = 3 * PHASE
        self.left_ms = SLA_MS - 2 * pair.transfers(n, rng).upload_ms
        spread = math.sqrt(math.log1p(VARIATION**2))
        self.luck = np.exp(rng.normal(-(spread**2) / 2, spread, n))
        self.draws = rng.random(n)

    def service_ms(self, request: int, model: int) -> float:
        """What the model really takes for this request."""
        slow = FACTOR if self.slowed(request) and model < SLOWED else 1.0
        return float(self.table.mean_ms[model] * slow * self.luck[request])

    @staticmethod
    def slowed(request: int) -> bool:
        """Whether it falls into the second phase."""
        return PHASE <= request < 2 * PHASE


def truth(world: World, request: int) -> Learners:
    """Priors that know the models as they are now."""
    import msgspec

    profiles = [
        msgspec.structs.replace(
            profile,
            mean_ms=profile.mean_ms * (FACTOR if world.slowed(request) and i < SLOWED else 1.0),
            std_ms=profile.mean_ms
            * VARIATION
            * (FACTOR if world.slowed(request) and i < SLOWED else 1.0),
        )
        for i, profile in enumerate(world.table.profiles)
    ]
    from edgewise.selection.profiles.table import table

    return Learners(table("truth", profiles))


def run(policy: str, how: Learning | None, seed: int) -> list[float]:
    """Effective accuracy of the three phases, in percent."""
    world = World(seed)
    learners = Learners(truth(world, 0).table(), how)
    worth = np.zeros(3)
    for request in range(3 * PHASE):
        if request % REFRESH == 0:
            if how is None:
                learners = truth(world, request)
            table = learners.table()
            chooser = parse(policy).on(table)
        left_ms, draw = float(world.left_ms[request]), float(world.draws[request])
        model = table.models[chooser.choose(SLA_MS, left_ms, draw)]
        actual = world.table.index(model)
        took_ms = world.service_ms(request, actual)
        if how is not None:
            learners.observe(model, took_ms)
        if took_ms <= left_ms:
            worth[request // PHASE] += world.table.accuracy[actual]
    return list(worth / PHASE)


def main() -> None:
    """Print effective accuracy per policy, rule and phase."""
    print(f"{'policy':26}{'rule':14}{'before':>10}{'slowed':>10}{'recovered':>11}{'all':>10}")
    errors = []
    for policy, (rule, how) in product(POLICIES, RULES.items()):
        runs = np.array([run(policy, how, seed) for seed in range(SEEDS)])
        errors.append(runs.std(axis=0, ddof=1).max() / SEEDS**0.5)
        before, slowed, recovered = runs.mean(axis=0)
        line = f"{policy:26}{rule:14}{before:10.2f}{slowed:10.2f}{recovered:11.2f}"
        print(f"{line}{runs.mean():10.2f}", flush=True)
    print(f"standard error of a cell: at most {max(errors):.2f} (the same requests in all rows)")


if __name__ == "__main__":
    main()
