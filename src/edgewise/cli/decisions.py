"""`simulate --decisions`: other policies on a service's decision log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.records import OffPolicyEstimate
    from edgewise.selection.profiles.targets import Wanted


def replay(
    store: str,
    names: Sequence[str],
    profiles: Sequence[str],
    target: Wanted,
    *,
    as_json: bool,
) -> None:
    """Print what each policy would have delivered on the decisions of a store.

    Without `profiles` the policies decide from those that the log itself measured.

    Raises:
        StoreError: the store cannot be read.
        InputError: it holds no decisions, or the profiles cannot be read.
        UsageError: an unknown policy, or one that a log cannot judge; several sets of profiles.
    """
    if len(profiles) > 1:
        raise UsageError("--decisions takes one --profiles", hint="or none: those of the log")
    from edgewise.records import Decision
    from edgewise.selection.engine.cases import parse_all
    from edgewise.selection.offpolicy_replay import estimate_all
    from edgewise.selection.profiles.sources import load
    from edgewise.store import Store

    policies = parse_all(names)
    decisions = Store.open(store).read(Decision)
    known = load(profiles[0], target=target).table if profiles else None
    estimates = estimate_all(decisions, policies, log=store, profiles=known)
    if as_json:
        for estimate in estimates:
            output.emit(estimate)
        return
    _print(estimates)


def _print(estimates: Sequence[OffPolicyEstimate]) -> None:
    screen = output.console()
    for family in dict.fromkeys(estimate.family for estimate in estimates):
        rows = [estimate for estimate in estimates if estimate.family == family]
        first = rows[0]
        delivered = output.percent(first.logged_effective_accuracy)
        screen.print(
            f"{family}: {first.decisions} decisions, {delivered} effective accuracy delivered",
            style="bold", markup=False,
        )  # fmt: skip
        table = output.table(
            "policy", ">effective", ">95 %", ">in time", ">effective samples", ">untried"
        )
        for row in rows:
            table.add_row(*_cells(row))
        screen.print(table)
        for row in rows:
            for why in filter(None, (row.reason, *row.notes)):
                screen.print(f"{row.policy}: {why}", markup=False)
        if first.left_out:
            counts = ", ".join(f"{count} {why}" for why, count in first.left_out.items())
            screen.print(f"left out: {counts}", markup=False)
    screen.print(
        "Each request by itself, with the queue as it was; for the queue that another policy "
        "makes: --arrivals.",
        style="dim",
    )


def _cells(row: OffPolicyEstimate) -> list[str]:
    interval = row.effective_ci95
    attainment = None if row.attainment is None else 100 * row.attainment
    return [
        row.policy,
        output.percent(row.effective_accuracy),
        f"{interval[0]:.1f} … {interval[1]:.1f}" if interval else "–",
        output.percent(attainment),
        f"{row.effective_samples:.0f}",
        output.percent(100 * row.uncovered_fraction),
    ]
