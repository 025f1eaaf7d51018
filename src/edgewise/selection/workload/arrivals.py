"""When requests arrive: Poisson, gamma with bursts, or as a file recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewise import delimited
from edgewise.errors import InputError, UsageError
from edgewise.selection.profiles.table import Floats

_FORMS = "poisson:RATE, gamma:RATE,CV or trace:FILE"


@dataclass(frozen=True, eq=False)
class Arrivals:
    """A stream of requests.

    `cv` is the coefficient of variation of the gaps between them: 1 is Poisson, above it the
    gaps are gamma with shape 1/cv² and requests come in bursts. A recorded stream has its gaps,
    in ms; it starts with the first and repeats.
    """

    name: str
    rate_per_s: float
    cv: float = 1.0
    recorded_ms: Floats | None = None

    def gaps_ms(self, first: int, n: int, rng: np.random.Generator) -> Floats:
        """Gaps before requests `first` to `first + n − 1`, shape (n,)."""
        if self.recorded_ms is not None:
            return self.recorded_ms[np.arange(first, first + n) % len(self.recorded_ms)]
        mean_ms = 1000.0 / self.rate_per_s
        if self.cv == 0:
            return np.full(n, mean_ms)
        if self.cv == 1:
            return rng.standard_exponential(n) * mean_ms
        shape = 1 / self.cv**2
        return rng.standard_gamma(shape, n) * (mean_ms / shape)


def parse(text: str) -> Arrivals:
    """Arrivals from their written form: `poisson:80`, `gamma:80,4` or `trace:FILE`.

    80 is the rate per second and 4 the coefficient of variation of the gaps. A file has one
    arrival time per line, in seconds, rising; lines that begin with `#` are comments.

    Raises:
        UsageError: another form, a rate that is not positive, a negative variation.
        InputError: the file cannot be read, or its times do not rise.
    """
    kind, separator, rest = text.partition(":")
    if kind == "trace" and rest:
        return _recorded(text, Path(rest))
    words = rest.split(",")
    if not separator or (kind, len(words)) not in (("poisson", 1), ("gamma", 2)):
        raise UsageError(f"arrivals '{text}' are of no known form", hint=_FORMS)
    try:
        rate_per_s, cv = float(words[0]), float(words[1]) if kind == "gamma" else 1.0
    except ValueError:
        raise UsageError(
            f"arrivals '{text}' hold something that is no number", hint=_FORMS
        ) from None
    if not (0 < rate_per_s < np.inf and 0 <= cv < np.inf):
        raise UsageError(
            f"arrivals '{text}'", hint="the rate is positive, the variation zero or more"
        )
    return Arrivals(text, rate_per_s, cv)


def _recorded(name: str, path: Path) -> Arrivals:
    times_s: list[float] = []
    for number, line in delimited.read_lines(path):
        try:
            time_s = float(line)
        except ValueError:
            raise InputError(
                f"{path}, line {number}: '{line[:40]}' is no time",
                hint="one arrival time per line, in seconds",
            ) from None
        if not np.isfinite(time_s) or (times_s and time_s < times_s[-1]):
            raise InputError(f"{path}, line {number}: a time that does not rise")
        times_s.append(time_s)
    if len(times_s) < 2 or times_s[-1] == times_s[0]:
        raise InputError(f"{path} lists fewer than two different arrival times")
    gaps_ms = np.diff(np.array(times_s)) * 1000
    return Arrivals(name, 1000.0 / float(gaps_ms.mean()), recorded_ms=gaps_ms)
