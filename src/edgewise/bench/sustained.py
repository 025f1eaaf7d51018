"""A run of minutes: is the last like the first? What heats up slows down."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

from edgewise.bench import timing
from edgewise.devices import host
from edgewise.records import Sustained, SustainedWindow

#: The parts that are compared: a minute, or a tenth of a shorter run.
_PART_S, _PART_SHARE = 60.0, 0.1
#: A window's length, or a hundredth of a shorter run.
_WINDOW_S, _WINDOW_SHARE = 1.0, 0.01
#: A change that is worth a word.
_CHANGED = 0.03


def windows(
    invoke: Callable[[], object], seconds: float, rate_hz: float | None = None
) -> tuple[SustainedWindow, ...]:
    """Infer for so long; the median time of every second, with frequency and temperature."""
    wait = None if rate_hz is None else timing.Pace(rate_hz)
    length_ns = int(min(_WINDOW_S, _WINDOW_SHARE * seconds) * 1e9)
    typical_ns = float(timing.once(invoke))
    begin, found = monotonic(), []
    while (at_s := monotonic() - begin) < seconds:
        times, _ = timing.timed_runs(
            invoke, runs=1, min_ns=length_ns, max_ns=length_ns, typical_ns=typical_ns, wait=wait
        )
        typical_ns = statistics.median(times)
        mhz = [khz / 1e3 for khz in host.frequencies_khz() if khz is not None]
        found.append(
            SustainedWindow(
                at_s=at_s,
                median_ms=typical_ns / 1e6,
                runs=len(times),
                frequency_mhz=max(mhz, default=None),
                temperature_c=host.temperature_c(),
            )
        )
    return tuple(found)


def summary(found: Sequence[SustainedWindow]) -> Sustained | None:
    """The first part against the last; None where there are not two windows."""
    if len(found) < 2:
        return None
    seconds = found[-1].at_s + (found[-1].at_s - found[-2].at_s)
    part = min(_PART_S, _PART_SHARE * seconds)
    first = [each for each in found if each.at_s < part] or list(found[:1])
    last = [each for each in found if each.at_s >= seconds - part] or list(found[-1:])
    first_ms, last_ms = (
        statistics.median(each.median_ms for each in those) for those in (first, last)
    )
    return Sustained(
        seconds=seconds,
        first_ms=first_ms,
        last_ms=last_ms,
        ratio=last_ms / first_ms,
        first_mhz=_mean(each.frequency_mhz for each in first),
        last_mhz=_mean(each.frequency_mhz for each in last),
        first_c=_mean(each.temperature_c for each in first),
        last_c=_mean(each.temperature_c for each in last),
        windows=tuple(found),
    )


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def notes(of: Sustained) -> list[str]:
    """The comparison in words."""
    part = min(_PART_S, _PART_SHARE * of.seconds)
    said = f"over {of.seconds:.3g} s of inference the last {part:.3g} s took "
    if abs(of.ratio - 1) < _CHANGED:
        said += f"as long as the first (× {of.ratio:.3f})"
    else:
        said += f"{of.ratio:.3f} times as long as the first"
    if of.first_mhz is not None and of.last_mhz is not None:
        said += f"; {of.first_mhz:.0f} → {of.last_mhz:.0f} MHz"
    if of.first_c is not None and of.last_c is not None:
        said += f"; {of.first_c:.0f} → {of.last_c:.0f} °C"
    return [said]
