"""Variants that kill their workers, or do not load, are run no more."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from edgewise.server.pool.frames import plain

_log = logging.getLogger(__name__)
#: Deaths in a row, with no answer between them. Who was killed from outside counts as less: that
#: may have had other reasons.
DEATHS = 3
_KILLS_PER_DEATH = 4


class Quarantine:
    """Counts the workers that died at each variant. `reasons` are those for which variants are not
    run, by key; it is replaced when that changes."""

    def __init__(self) -> None:
        self._deaths: dict[str, float] = {}
        self.reasons: Mapping[str, str] = {}

    def blame(self, key: str, cause: str, *, killed: bool = False) -> None:
        """A worker died at it, or was killed from outside."""
        self._deaths[key] = self._deaths.get(key, 0.0) + (1 / _KILLS_PER_DEATH if killed else 1)
        if self._deaths[key] >= DEATHS:
            count = DEATHS * (_KILLS_PER_DEATH if killed else 1)
            self.bar(key, f"{count} workers in a row died at it, the last: {cause}")

    def bar(self, key: str, why: str) -> None:
        """It is not run from now on."""
        if key not in self.reasons:
            reason = f"'{plain(key)}' is not run any more: {why}"
            _log.error("%s", reason)
            self.reasons = {**self.reasons, key: reason}

    def absolve(self, key: str) -> None:
        """It gave an answer. That it loads, and runs on synthetic inputs, is none."""
        if self._deaths:
            self._deaths.pop(key, None)

    def release(self, key: str) -> None:
        """It is another file now, or somebody knows better."""
        self._deaths.pop(key, None)
        self.reasons = {other: why for other, why in self.reasons.items() if other != key}
