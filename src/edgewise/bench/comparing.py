"""Measurements against the first of them: a ratio with its interval, and "can't tell"."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgewise.bench.statistics import COMPARE_CONFIDENCE, Verdict, compare
from edgewise.devices.context import context_key
from edgewise.errors import UsageError
from edgewise.records import Context, Measurement, Target

#: Rounds that find a difference of 3 % on a machine that others use too (benchmarks/).
ROUNDS = 10


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Of `model` on `target` against the baseline: a `ratio` above 1 takes longer.

    `low` and `high` are its interval at `confidence`, None where too few processes ran; `rounds` in
    which both ran, 0 where their processes were not paired.
    """

    baseline_model: str
    baseline_target: Target
    model: str
    target: Target
    ratio: float | None
    low: float | None
    high: float | None
    confidence: float
    verdict: Verdict
    rounds: int
    notes: tuple[str, ...] = ()


def against_first(found: Sequence[Measurement]) -> list[Compared]:
    """Every good measurement against the first good one.

    Raises:
        UsageError: there are fewer than two.
    """
    good = [each for each in found if each.status == "ok"]
    if len(good) < 2:
        raise UsageError(
            "--compare needs two measurements that worked",
            hint="two files, or several of --runtime, --delegate, --threads, --batch, --cpus",
        )
    return [_compared(good[0], each) for each in good[1:]]


def _compared(first: Measurement, other: Measurement) -> Compared:
    notes = list(_differences(first.context, other.context))
    notes += [
        f"{each.target.runtime}: {each.stability}: {each.stability_reason}"
        for each in (first, other)
        if each.stability != "stable"
    ]
    try:
        answer = compare(first, other)
    except UsageError as error:
        return _row(first, other, None, None, None, "can't tell", 0, (error.message, *notes))
    if answer.pairs and answer.pairs < ROUNDS:
        notes.append(f"{answer.pairs} rounds find large differences only; {ROUNDS} find 3 %")
    return _row(
        first, other, answer.ratio, answer.low, answer.high, answer.verdict, answer.pairs, notes
    )


def _row(
    first: Measurement,
    other: Measurement,
    ratio: float | None,
    low: float | None,
    high: float | None,
    verdict: Verdict,
    rounds: int,
    notes: Sequence[str],
) -> Compared:
    return Compared(
        baseline_model=first.model, baseline_target=first.target, model=other.model,
        target=other.target, ratio=ratio, low=low, high=high, confidence=COMPARE_CONFIDENCE,
        verdict=verdict, rounds=rounds, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _differences(a: Context, b: Context) -> list[str]:
    """What differs of the circumstances, but for the versions of different runtimes."""
    shared = a.versions.keys() & b.versions.keys()
    trimmed = [
        msgspec.structs.replace(each, versions={key: each.versions[key] for key in shared})
        for each in (a, b)
    ]
    if context_key(trimmed[0]) == context_key(trimmed[1]):
        return []
    names = [
        name
        for name in ("cpu_model", "cores", "governor", "memory_bytes", "os", "kernel", "container",
                     "python", "versions", "emulated")
        if getattr(trimmed[0], name) != getattr(trimmed[1], name)
    ]  # fmt: skip
    return [f"not of the same circumstances: {', '.join(names) or 'affinity'} differ"]
