"""Many byte patterns searched at once (Aho-Corasick)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Hits that are looked at in one file; more say nothing more.
_MOST = 200_000


class Found(NamedTuple):
    """A hit: the number of the pattern, and where it begins."""

    pattern: int
    start: int


class Patterns:
    """A set of byte strings, compiled once. Overlapping hits are all found."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self.patterns = tuple(patterns)
        self._automaton: object | None = None

    def find(self, data: memoryview | bytes) -> list[Found]:
        """All hits in the order of their ends, at most 200,000."""
        if not self.patterns or not len(data):
            return []
        from ahocorasick_rs import BytesAhoCorasick, Implementation

        if self._automaton is None:
            self._automaton = BytesAhoCorasick(
                self.patterns, implementation=Implementation.ContiguousNFA
            )
        assert isinstance(self._automaton, BytesAhoCorasick)
        hits = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return [Found(pattern, start) for pattern, start, _ in hits[:_MOST]]
