"""`cascade` on real photos: accuracy and time with intervals, the guarantee, and its end.

python benchmarks/bench_cascade.py ../shared/data/phone_inference.csv.gz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edgewise.selection.policies.cascade import (
    Cascade,
    Fitted,
    Rows,
    calibrate,
    confidence_of,
    cross_fitted,
    fit,
    halves,
    serve,
    threshold,
)
from edgewise.selection.profiles.sources import Samples, load

CHEAP, COSTLY = "mobilenet_1.0_160", "inception_v3"
_BLOCK, _RESAMPLES = 20, 2000

#: The reference data beside the checkout.
REFERENCE = Path(__file__).resolve().parents[2] / "shared/data/phone_inference.csv.gz"


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of a mean by the moving-block bootstrap: neighbours in time are alike."""
    n = len(values)
    starts = rng.integers(0, n - _BLOCK + 1, (_RESAMPLES, -(-n // _BLOCK)))
    rows = (starts[:, :, None] + np.arange(_BLOCK)).reshape(_RESAMPLES, -1)[:, :n]
    low, high = np.quantile(values[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def show(name: str, values: np.ndarray, unit: str, rng: np.random.Generator) -> str:
    low, high = interval(values, rng)
    return f"{name} {values.mean():.1f} {unit} [{low:.1f}, {high:.1f}]"


def prototype(samples: Samples) -> None:
    """The specification's fixed threshold of 0.95."""
    rng = np.random.default_rng(0)
    table = samples.table
    cheap, costly = table.index(CHEAP), table.index(COSTLY)
    sure = confidence_of(samples)[:, cheap]
    fixed = Fitted(
        cheap,
        costly,
        0.95,
        calibrate(sure, samples.correct[:, cheap]),
        calibrate(sure, samples.correct[:, costly]),
        np.sort(samples.service_ms[:, costly]),
    )
    even, odd = halves(len(samples))
    last = np.arange(len(samples) // 2, len(samples))
    print(f"{CHEAP}, below a confidence of 0.95 also {COSTLY}; 95 % intervals over blocks")
    for name, rows in (("even photos", even), ("odd photos", odd), ("last half in time", last)):
        compare(name, samples, fixed, rows, rng)


def compare(
    name: str, samples: Samples, fitted: Fitted, rows: Rows, rng: np.random.Generator
) -> None:
    done = serve(samples, fitted, rows)
    alone = samples.correct[rows, fitted.costly]
    difference = 100.0 * (done.right.astype(float) - alone)
    print(
        f"  {name:18} {show('right', 100.0 * done.right, '%', rng)}  "
        f"{show('alone', 100.0 * alone, '%', rng)}  {show('difference', difference, '', rng)}\n"
        f"  {'':18} {show('time', done.time_ms, 'ms', rng)}  "
        f"{show('alone', samples.service_ms[rows, fitted.costly], 'ms', rng)}  "
        f"escalated {done.escalated.mean():.1%}"
    )


def chosen(samples: Samples) -> None:
    """Thresholds by conformal risk control, each half calibrated on the other."""
    rng = np.random.default_rng(1)
    print("\nthe threshold chosen for a risk, each interleaved half calibrated on the other")
    for risk in (0.5, 1.0, 2.0, 5.0):
        cascade = Cascade(CHEAP, COSTLY, risk)
        n = len(samples)
        right, time_ms, gone = np.empty(n), np.empty(n), np.empty(n)
        for rows, fitted in zip(halves(n), cross_fitted(samples, cascade), strict=True):
            done = serve(samples, fitted, rows)
            right[rows], time_ms[rows] = 100 * done.right, done.time_ms
            gone[rows] = 100 * (~done.right & samples.correct[rows, fitted.costly])
        print(
            f"  risk {risk:3} %   {show('right', right, '%', rng)}   "
            f"{show('lost', gone, '%', rng)}   {show('time', time_ms, 'ms', rng)}"
        )


def guarantee(samples: Samples) -> None:
    """Mean loss over random halves, and with photos that are harder than the calibration's."""
    rng = np.random.default_rng(2)
    table = samples.table
    cheap, costly = table.index(CHEAP), table.index(COSTLY)
    sure, right = confidence_of(samples)[:, cheap], samples.correct[:, cheap]
    gone = ~right & samples.correct[:, costly]
    n = len(samples)
    print("\nshare of photos whose answer is lost by keeping the cheap one; 1000 random halves")
    print("  risk     same mix   photos the cheap model gets wrong ×2     ×3    first half → last")
    for risk in (1.0, 2.0, 5.0, 10.0):
        losses = np.zeros((1000, 3))
        for trial in range(len(losses)):
            order = rng.permutation(n)
            train, test = order[: n // 2], order[n // 2 :]
            kept_lost = gone[test] & (sure[test] >= threshold(sure[train], gone[train], risk / 100))
            for column, factor in enumerate((1, 2, 3)):
                weight = np.where(right[test], 1.0, factor)
                losses[trial, column] = 100 * (weight * kept_lost).sum() / weight.sum()
        same, double, triple = losses.mean(axis=0)
        limit = threshold(sure[: n // 2], gone[: n // 2], risk / 100)
        later = 100 * (gone & (sure >= limit))[n // 2 :].mean()
        print(f"  {risk:4} %  {same:8.2f} % {double:36.2f} % {triple:6.2f} % {later:14.2f} %")


def in_time(samples: Samples) -> None:
    """Calibrated on the first half in time, used on the last."""
    rng = np.random.default_rng(3)
    n = len(samples)
    first, last = np.arange(n // 2), np.arange(n // 2, n)
    print("\ncalibrated on the first half in time, used on the last, when the phone was slower")
    for risk in (1.0, 2.0, 5.0):
        fitted = fit(samples, Cascade(CHEAP, COSTLY, risk), first)
        compare(f"risk {risk} %", samples, fitted, last, rng)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--smoke", action="store_true", help="seconds; see smoke.py")
    options.add_argument("samples", nargs="?", type=Path, default=REFERENCE, help=REFERENCE.name)
    path = options.parse_args().samples
    if not path.is_file():
        print(f"left out: {path} is not here")
        return
    samples = load(str(path)).samples
    assert samples is not None
    prototype(samples)
    chosen(samples)
    guarantee(samples)
    in_time(samples)


if __name__ == "__main__":
    main()
