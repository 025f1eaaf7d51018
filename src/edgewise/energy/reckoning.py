"""From what a meter said and when the work was done to joules, or to why they cannot be known.

Idle, active, idle: the net energy of the active part has idle power, over as long, taken off
(awake idle, see docs/energy.md). A counter is read between its readings on a straight
line; a power holds until its next reading.
"""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgewise.energy.meters.contract import Recording, Track
from edgewise.records import Energy, RailEnergy

#: A quantum of the counter is at most this part of the active energy.
QUANTUM_SHARE = 0.01
#: More than this part of a window without readings cannot be filled in.
_MOST_MISSING = 0.25
#: A power's reading that is so many times later than usual leaves a gap.
_GAP_TIMES = 5.0
#: Idle before and after that differ by more than this part are worth a note.
_IDLE_DIFFERS = 0.10
#: Readings may begin so much later than a window, or end earlier (of their usual distance).
_EDGE_TIMES = 2.0

Window = tuple[float, float]


class CannotTell(ValueError):
    """Why energy cannot be known."""


@dataclass(frozen=True, slots=True)
class Windows:
    """When it worked and when it idled, in s on the recording's clock."""

    active: Window
    idle: tuple[Window, ...]


def around(active: Window, recording: Recording) -> Windows:
    """Idle before and after the active part, each as long as that, as far as it was recorded."""
    ends = [track.times_s for track in recording.tracks if track.times_s]
    begin = min((times[0] for times in ends), default=active[0])
    end = max((times[-1] for times in ends), default=active[1])
    length = active[1] - active[0]
    before = (max(begin, active[0] - length), active[0])
    after = (active[1], min(end, active[1] + length))
    return Windows(active, tuple(each for each in (before, after) if each[1] > each[0]))


def energy(recording: Recording, windows: Windows, inferences: int | None) -> Energy:
    """The joules of the active part, per rail and in all; `reason` says why where there are none.

    Net of idle power where idle windows are given. `method` is the meter's name.
    """
    length = windows.active[1] - windows.active[0]
    rails, why, missing = [], "", 0.0
    quantum = 0.0
    for track in recording.tracks:
        try:
            _refuse_flaws(recording, track, windows)
            gross, absent = _joules(track, windows.active)
            idle_w = _idle_w(track, windows)
            _refuse_quantum(track, gross, length)
        except CannotTell as error:
            rails.append(RailEnergy(name=track.name, counted=track.counted, reason=str(error)))
            why = why or (str(error) if track.counted else "")
            continue
        net = None if idle_w is None else gross - idle_w * length
        rails.append(
            RailEnergy(
                name=track.name, gross_j=gross, net_j=net, idle_w=idle_w, counted=track.counted
            )
        )
        if track.counted:
            missing = max(missing, absent)
            quantum += track.quantum_j or 0.0
    counted = [rail for rail in rails if rail.counted]
    if not counted and not why:
        why = f"{recording.meter}: it tells of no rail"
    if why:
        return _refused(recording, rails, length, inferences, why)
    return _total(recording, windows, rails, inferences, missing, quantum)


def _total(
    recording: Recording,
    windows: Windows,
    rails: Sequence[RailEnergy],
    inferences: int | None,
    missing: float,
    quantum: float,
) -> Energy:
    length = windows.active[1] - windows.active[0]
    counted = [rail for rail in rails if rail.counted]
    gross = sum(rail.gross_j or 0.0 for rail in counted)
    nets = [rail.net_j for rail in counted]
    idles = [rail.idle_w for rail in counted]
    net = None if None in nets else sum(each or 0.0 for each in nets)
    each = inferences or None
    notes = list(recording.notes)
    if missing > 0:
        notes.append(f"{missing:.2g} s without readings in the active part: filled in between")
    notes += _idle_notes(recording, windows)
    return Energy(
        inference_j=None if each is None else gross / each,
        net_inference_j=None if each is None or net is None else net / each,
        mean_w=gross / length,
        idle_w=None if None in idles else sum(each or 0.0 for each in idles),
        method=recording.meter,
        gross_j=gross,
        net_j=net,
        active_s=length,
        inferences=inferences,
        boundary=recording.boundary,
        quantum_j=quantum or None,
        missing_s=missing or None,
        rails=tuple(rails),
        notes=tuple(notes),
    )


def _refused(
    recording: Recording,
    rails: Sequence[RailEnergy],
    length: float,
    inferences: int | None,
    reason: str,
) -> Energy:
    return Energy(
        inference_j=None,
        mean_w=None,
        idle_w=None,
        method=recording.meter,
        active_s=length,
        inferences=inferences,
        boundary=recording.boundary,
        rails=tuple(rails),
        reason=reason,
        notes=recording.notes,
    )


def _refuse_flaws(recording: Recording, track: Track, windows: Windows) -> None:
    spans = (windows.active, *windows.idle)
    for flaw in (*recording.flaws, *track.flaws):
        if any(flaw.from_s < end and flaw.to_s > begin for begin, end in spans):
            raise CannotTell(flaw.reason)


def _refuse_quantum(track: Track, gross: float, length: float) -> None:
    quantum = track.quantum_j
    if quantum is None or quantum <= QUANTUM_SHARE * gross:
        return
    power = gross / length
    longer = f", from {quantum / QUANTUM_SHARE / power:.0f} s on" if power > 0 else ""
    raise CannotTell(
        f"one step of the meter ({quantum:.3g} J) is above {QUANTUM_SHARE:.0%} of the active part "
        f"({gross:.3g} J): measure longer{longer}"
    )


def _idle_w(track: Track, windows: Windows) -> float | None:
    """Mean idle power over all idle windows; None where there is none."""
    length = sum(end - begin for begin, end in windows.idle)
    if not length:
        return None
    return sum(_joules(track, window)[0] for window in windows.idle) / length


def _idle_notes(recording: Recording, windows: Windows) -> list[str]:
    """Whether idle before and after agree."""
    if len(windows.idle) < 2:
        return ["idle was measured on one side of the active part only"] if windows.idle else []
    watts = []
    for window in (windows.idle[0], windows.idle[-1]):
        counted = [track for track in recording.tracks if track.counted]
        watts.append(sum(_joules(track, window)[0] for track in counted) / (window[1] - window[0]))
    if abs(watts[0] - watts[1]) > _IDLE_DIFFERS * max(watts):
        return [f"idle took {watts[0]:.3g} W before and {watts[1]:.3g} W after"]
    return []


def _joules(track: Track, window: Window) -> tuple[float, float]:
    """Energy of a track in a window, and how long there was no reading in it."""
    times = track.times_s
    if len(times) < 2:
        raise CannotTell(f"{track.name}: fewer than two readings")
    usual = statistics.median(b - a for a, b in itertools.pairwise(times))
    begin, end = window
    if begin < times[0] - _EDGE_TIMES * usual or end > times[-1] + _EDGE_TIMES * usual:
        raise CannotTell(f"{track.name}: its readings do not reach over the whole measurement")
    if track.kind == "counter":
        return _level(track, end) - _level(track, begin), 0.0
    return _held(track, window, usual)


def _level(track: Track, at: float) -> float:
    """A counter at a moment: on the line between its readings, beyond the ends as the last goes."""
    times, values = track.times_s, track.values
    index = min(max(bisect.bisect_right(times, at), 1), len(times) - 1)
    a, b = times[index - 1], times[index]
    share = (at - a) / (b - a) if b > a else 0.0
    return values[index - 1] + share * (values[index] - values[index - 1])


def _held(track: Track, window: Window, usual: float) -> tuple[float, float]:
    """A power's energy: each reading holds until the next. Longer gaps are filled in on the line
    between both readings, and counted."""
    begin, end = window
    times, values = track.times_s, track.values
    total = absent = 0.0
    for index in range(max(0, bisect.bisect_right(times, begin) - 1), len(times)):
        a = times[index]
        b = times[index + 1] if index + 1 < len(times) else max(end, a + usual)
        low, high = max(a, begin), min(b, end)
        if a >= end:
            break
        if high <= low:
            continue
        if index + 1 < len(times) and b - a > _GAP_TIMES * usual and usual > 0:
            middle = ((low + high) / 2 - a) / (b - a)
            watts = values[index] + middle * (values[index + 1] - values[index])
            absent += high - low - (usual if low == a else 0.0)
        else:
            watts = values[index]
        total += watts * (high - low)
    if times[0] > begin:
        total += values[0] * (min(times[0], end) - begin)
    if absent > _MOST_MISSING * (end - begin):
        raise CannotTell(
            f"{track.name}: {absent:.3g} of {end - begin:.3g} s have no readings: "
            "too many to fill in"
        )
    return total, absent
