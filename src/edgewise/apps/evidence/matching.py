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
    """A set of byte strings, compiled once."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self.patterns = tuple(patterns)
        self._automaton: object | None = None

    def find(self, data: memoryview | bytes, *, all_of_them: bool = True) -> list[Found]:
        """The hits in the order of their ends, at most 200,000. Without `all_of_them` those that
        overlap another may be left out, which is several times as fast."""
        if not self.patterns or not len(data):
            return []
        from ahocorasick_rs import BytesAhoCorasick, Implementation

        if self._automaton is None:
            self._automaton = BytesAhoCorasick(self.patterns, implementation=Implementation.DFA)
        assert isinstance(self._automaton, BytesAhoCorasick)
        hits = self._automaton.find_matches_as_indexes(data, overlapping=all_of_them)
        return [Found(pattern, start) for pattern, start, _ in hits[:_MOST]]
