"""Variants that kill their workers are run no more."""

from __future__ import annotations

#: Deaths in a row, with no answer between them.
DEATHS = 3


class Quarantine:
    """Counts the workers that died at each variant."""

    def __init__(self) -> None:
        self._deaths: dict[str, int] = {}
        self._reasons: dict[str, str] = {}

    def blame(self, key: str, cause: str) -> None:
        """A worker died at it."""
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if self._deaths[key] >= DEATHS:
            self._reasons[key] = (
                f"'{key}' is not run any more: {DEATHS} workers in a row died at it, the last: "
                f"{cause}"
            )

    def absolve(self, key: str) -> None:
        """It gave an answer. That it loads, and runs on made-up input, is none."""
        if self._deaths:
            self._deaths.pop(key, None)

    def release(self, key: str) -> None:
        """It is another file now, or somebody knows better."""
        self._deaths.pop(key, None)
        self._reasons.pop(key, None)

    def reason(self, key: str) -> str | None:
        """Why it is not run, None where it is."""
        return self._reasons.get(key) if self._reasons else None

    @property
    def keys(self) -> frozenset[str]:
        """All that are not run."""
        return frozenset(self._reasons)
