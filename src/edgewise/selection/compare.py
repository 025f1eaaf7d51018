"""Where one policy beats another, and by how much, per network and profile set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from edgewise.errors import UsageError
from edgewise.records import PolicyComparison, SimulationRow


def compare(rows: Iterable[SimulationRow], policy: str, baseline: str) -> list[PolicyComparison]:
    """`policy` less `baseline` over the deadlines, one result per network and profile set.

    Raises:
        UsageError: the rows have no such policy.
    """
    by_set: dict[tuple[str, str | None], dict[float, dict[str, SimulationRow]]] = defaultdict(dict)
    for row in rows:
        by_set[row.network, row.profiles].setdefault(row.sla_ms, {})[row.policy] = row
    results = []
    for (network, profiles), by_deadline in by_set.items():
        pairs = []
        for sla_ms, found in sorted(by_deadline.items()):
            for name in (policy, baseline):
                if name not in found:
                    raise UsageError(f"no policy '{name}' was simulated")
            pairs.append((sla_ms, found[policy], found[baseline]))
        results.append(_compared(network, profiles, policy, baseline, pairs))
    return results


def _compared(
    network: str,
    profiles: str | None,
    policy: str,
    baseline: str,
    pairs: list[tuple[float, SimulationRow, SimulationRow]],
) -> PolicyComparison:
    attainment = [(100 * (a.attainment - b.attainment), sla_ms) for sla_ms, a, b in pairs]
    effective = [(a.effective_accuracy - b.effective_accuracy, sla_ms) for sla_ms, a, b in pairs]
    ahead = [sla_ms for gain, sla_ms in effective if gain > 0]
    most_attained, best = max(attainment), max(effective)
    least_attained, worst = min(attainment), min(effective)
    return PolicyComparison(
        policy=policy,
        baseline=baseline,
        network=network,
        profiles=profiles,
        deadlines=len(pairs),
        deadlines_ahead=len(ahead),
        ahead_from_ms=ahead[0] if ahead else None,
        ahead_to_ms=ahead[-1] if ahead else None,
        attainment_peak_points=most_attained[0],
        attainment_peak_at_ms=most_attained[1],
        attainment_worst_points=least_attained[0],
        attainment_worst_at_ms=least_attained[1],
        effective_peak_points=best[0],
        effective_peak_at_ms=best[1],
        effective_worst_points=worst[0],
        effective_worst_at_ms=worst[1],
    )
