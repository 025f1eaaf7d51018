"""Bytes as a `File`, with files beside them: what readers' tests are fed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from edgewise.analysis.summary import summarise
from edgewise.records import Model


class Held:
    """A file held in memory."""

    def __init__(
        self, name: str, content: bytes, beside: Mapping[str, bytes] | None = None
    ) -> None:
        self.path = self.name = name
        self.size = len(content)
        self._content = content
        self._beside = beside or {}

    def head(self, count: int) -> bytes:
        return self._content[:count]

    def data(self) -> memoryview:
        return memoryview(self._content)

    def sha256(self) -> str:
        return hashlib.sha256(self._content).hexdigest()

    def sibling(self, name: str) -> Held | None:
        return Held(name, self._beside[name], self._beside) if name in self._beside else None

    def siblings(self) -> Iterator[str]:
        return iter(name for name in self._beside if name != self.name)


def inspected(name: str, content: bytes, beside: Mapping[str, bytes] | None = None) -> Model:
    """What `inspect --weights` says of a file."""
    return summarise(Held(name, content, beside), weights=True)
