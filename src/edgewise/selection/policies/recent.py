"""What `deadline` remembers: recent service times per model, and recent traffic."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edgewise.selection.profiles.table import Floats

#: Service times remembered per model, and after how many new ones its quantiles are made anew.
_WINDOW, _RENEW = 100, 10
#: Samples that the profile counts for at first; its weight fades until the window is full.
_PRIOR = 10.0
#: By how many standard errors the mean of samples may differ from the profile's, and how many times
#: as wide they may be, before they count instead of it.
_CHANCE, _WIDER = 3.0, 2.0
#: A clock of whole ms says 0 of what is sooner; logarithms are taken from here on.
_SHORTEST_MS = 1e-3
#: Requests remembered.
_MEMORY = 8192
#: The first fit; from then on when as much again is known, and at last every so many requests.
_FIRST, _LAST = 8, 16384
#: Where fewer than one in so many had any time left, those that had count for so many each.
_HOPEFUL = 8
#: Requests between two looks at whether the traffic has changed (four times as many once it has
#: been the same for all that is remembered); the last so many that are then held against what the
#: fit rests on (few show a jump soon, many a drift at all); and by how many standard errors gaps
#: or budgets must differ, beyond a share of the mean that does not matter.
_LOOK, _WINDOWS, _CHANGED, _ALIKE = 64, np.array([64, 256, 1024]), 4.5, 0.02


#: Rows of what is remembered.
_GAP, _BUDGET = 0, 1
#: Lengths of batches whose means tell whether a row wanders, and the least number of batches.
_BATCHES, _ENOUGH_BATCHES = (8, 32, 128, 512), 8


@dataclass(frozen=True, eq=False)
class Traffic:
    """n requests lately seen, in order: the gap before each, the budget it had on arrival, the
    work per worker and the wait that it expected, and how uncertain that was (standard
    deviation). Shapes (n,), in ms."""

    gap_ms: Floats
    budget_ms: Floats
    backlog_ms: Floats
    wait_ms: Floats
    spread_ms: Floats

    def columns(self) -> tuple[Floats, ...]:
        """The five, in order."""
        return self.gap_ms, self.budget_ms, self.backlog_ms, self.wait_ms, self.spread_ms

    def rows(self) -> Floats:
        """Shape (5, n)."""
        return np.stack(self.columns())


class RecentService:
    """Empirical quantiles of M models: the profile's while nothing speaks against them, else those
    of a sliding window.

    A hundred services of a heavy tail tell their mean to no better than a quarter. Going by it, the
    model that happened to be slow would be given up for one of which less is known, and not be seen
    again. So the profile stands unless the samples differ in their mean by more than chance would
    have it, or deviate much more.

    `quantiles_ms` has the shape of the profile's, (M, Q); `means_ms` lists M means.
    """

    def __init__(self, profile_ms: Floats) -> None:
        self._profile_ms = profile_ms
        self._samples: list[deque[float]] = [deque(maxlen=_WINDOW) for _ in profile_ms]
        self._since = [0] * len(profile_ms)
        self.quantiles_ms = profile_ms.copy()
        self.means_ms: list[float] = profile_ms.mean(axis=1).tolist()

    def add(self, model: int, service_ms: float) -> bool:
        """Remember a sample; whether the model's quantiles were made anew."""
        self._samples[model].append(service_ms)
        self._since[model] += 1
        if self._since[model] < _RENEW:
            return False
        self._renew(model)
        return True

    def certainty(self, model: int) -> float:
        """How many samples what is known of a model is worth."""
        n = len(self._samples[model])
        return n + _PRIOR * (1 - n / _WINDOW)

    def renew(self) -> None:
        """Bring every model's quantiles up to date."""
        for model, since in enumerate(self._since):
            if since:
                self._renew(model)

    def _renew(self, model: int) -> None:
        samples, profile = np.array(self._samples[model]), self._profile_ms[model]
        self._since[model] = 0
        if _alike(samples, profile):
            self.quantiles_ms[model], self.means_ms[model] = profile, float(profile.mean())
            return
        prior = _PRIOR * (1 - len(samples) / _WINDOW)
        values = np.concatenate([samples, profile])
        weights = np.concatenate(
            [np.ones(len(samples)), np.full(len(profile), prior / len(profile))]
        )
        order = np.argsort(values, kind="stable")
        cumulated = np.cumsum(weights[order])
        levels = (np.arange(len(profile)) + 0.5) / len(profile) * cumulated[-1]
        found = np.searchsorted(cumulated, levels).clip(max=len(values) - 1)
        self.quantiles_ms[model] = values[order][found]
        self.means_ms[model] = float((values * weights).sum() / weights.sum())


def _alike(samples: Floats, profile: Floats) -> bool:
    """Whether samples may come from a profile, (n,) and (Q,): in logarithms, which a few long ones
    do not govern."""
    logs, known = (np.log(np.maximum(each, _SHORTEST_MS)) for each in (samples, profile))
    deviation = known.std()
    differs = abs(logs.mean() - known.mean()) > _CHANCE * deviation / len(samples) ** 0.5
    return bool(not differs and logs.std() <= _WIDER * deviation)


class TrafficLog:
    """The last requests, and when it is time to look at them again.

    `count` is the number of requests seen so far.
    """

    def __init__(self) -> None:
        self._rows = np.zeros((5, _MEMORY))
        self._known = 0  # requests since the traffic changed
        self._steady = 0  # requests since the gaps changed
        self._last_ms: float | None = None
        self._next_fit, self._next_look = _FIRST, _LOOK
        self._reference: Floats | None = None
        self.count = 0

    def add(
        self, now_ms: float, budget_ms: float, backlog_ms: float, wait_ms: float, spread_ms: float
    ) -> None:
        """One request; the first has no gap before it and only sets the clock."""
        last_ms, self._last_ms = self._last_ms, now_ms
        if last_ms is not None:
            slot = self.count % _MEMORY
            rows = self._rows
            rows[0, slot] = max(now_ms - last_ms, 0.0)
            rows[1, slot], rows[2, slot] = budget_ms, backlog_ms
            rows[3, slot], rows[4, slot] = wait_ms, spread_ms
            self._advance(1)

    def extend(self, traffic: Traffic) -> None:
        """Many requests."""
        n = len(traffic.gap_ms)
        start = self.count % _MEMORY
        if start + n <= _MEMORY:
            for row, column in zip(self._rows, traffic.columns(), strict=True):
                row[start : start + n] = column
        else:
            rows = traffic.rows()[:, -_MEMORY:]
            slots = (self.count + np.arange(n - rows.shape[1], n)) % _MEMORY
            self._rows[:, slots] = rows
        self._advance(n)

    def latest(self) -> Traffic:
        """The requests that the next fit should rest on, oldest first."""
        return Traffic(*self._tail(self._known))

    @property
    def waits_for(self) -> int:
        """Requests until it should be asked again; 0 or less: a fit is due."""
        if self.count >= self._next_fit:
            return 0
        return min(self._next_fit, self._next_look) - self.count

    def fitted(self) -> None:
        """A fit was made: note what it rests on, and when the next is due."""
        seen = self._tail(self._known)
        self._reference = _summary(seen[:2])
        # An outage teaches nothing of what comes after it.
        enough = min(self._known, _HOPEFUL * int(np.count_nonzero(seen[_BUDGET] > 0)))
        self._next_fit = self.count + min(max(enough, _FIRST), _LAST)
        self._next_look = self.count + self._patience

    @property
    def _patience(self) -> int:
        return _LOOK if self._known < _MEMORY else 4 * _LOOK

    def _tail(self, n: int) -> Floats:
        first = self.count - min(n, _MEMORY)
        return self._rows[:, np.arange(first, self.count) % _MEMORY]

    def _advance(self, n: int) -> None:
        self.count += n
        self._known += n
        self._steady += n
        if self.count >= self._next_look:
            self._look()

    def _look(self) -> None:
        """Where the last requests differ from what the fit rests on, forget all but them."""
        self._next_look = self.count + self._patience
        if self._reference is None:
            return
        if recent := self._changed(_GAP, self._known):
            self._known = self._steady = recent
            self._next_fit = self.count
        elif recent := self._changed(_BUDGET, self._known):
            if not _wanders(self._tail(self._steady)[_BUDGET, :-recent]):
                self._known = recent
                self._next_fit = self.count
            elif self._known < min(self._steady, _MEMORY):
                self._known = self._steady
                self._next_fit = self.count

    def _changed(self, row: int, known: int) -> int:
        from edgewise.selection.policies import drift

        assert self._reference is not None
        before = self._reference[row]
        return drift.changed(self._rows, row, self.count, known, before, _WINDOWS, _CHANGED, _ALIKE)


def _summary(rows: Floats) -> Floats:
    """Mean and variance of each row, and how many values they are of, (rows, 3)."""
    n = rows.shape[1]
    return np.stack([rows.mean(axis=1), rows.var(axis=1), np.full(len(rows), n)], axis=1)


def _wanders(values: Floats) -> bool:
    """Whether values go up and down in stretches, so that another mean of later ones is nothing
    new: whether means of batches differ by more than those of independent values."""
    if len(values) < _ENOUGH_BATCHES * _BATCHES[0]:
        return False
    variance = float(values.var())
    for length in _BATCHES:
        count = len(values) // length
        if count < _ENOUGH_BATCHES:
            break
        means = values[len(values) - count * length :].reshape(count, length).mean(axis=1)
        chance = 1 + 3 * (2 / (count - 1)) ** 0.5
        if length * float(means.var(ddof=1)) > chance * variance:
            return True
    return False
