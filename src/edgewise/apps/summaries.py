"""Summaries of models that were read already: identical models are analysed once.

In memory within one app; in a folder where several processes look at many apps. A file there is
one summary, named by content, written beside and renamed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from edgewise.records import ANALYSIS_VERSION, Model


class Summaries(Protocol):
    """What `Search` asks before it reads a model, and tells afterwards. `weights`: summaries are
    with statistics and sketches of the weights."""

    weights: bool

    def get(self, sha256: str, name: str) -> Model | None:
        """The summary of a content in a format, if it is known."""
        ...

    def put(self, sha256: str, name: str, model: Model) -> None:
        """Keep a summary."""
        ...


class InMemory:
    """For one app."""

    def __init__(self, weights: bool = False) -> None:
        self.weights = weights
        self._known: dict[tuple[str, str], Model] = {}

    def get(self, sha256: str, name: str) -> Model | None:
        """See `Summaries.get`."""
        return self._known.get((sha256, name))

    def put(self, sha256: str, name: str, model: Model) -> None:
        """See `Summaries.put`."""
        self._known[sha256, name] = model


class InFolder:
    """For all processes that are given the folder. What cannot be read or written is not kept."""

    def __init__(self, folder: str | Path, weights: bool = False) -> None:
        self.weights = weights
        self._folder = Path(folder)

    def get(self, sha256: str, name: str) -> Model | None:
        """See `Summaries.get`."""
        try:
            return msgspec.msgpack.decode(self._place(sha256, name).read_bytes(), type=Model)
        except (OSError, msgspec.DecodeError, ValueError):
            return None

    def put(self, sha256: str, name: str, model: Model) -> None:
        """See `Summaries.put`."""
        with contextlib.suppress(OSError):
            descriptor, beside = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.msgpack.encode(model))
            Path(beside).rename(self._place(sha256, name))

    def fill(self, models: Iterable[Model]) -> None:
        """Put what an earlier run has found. Summaries that depend on other files are left out."""
        for model in models:
            if self.weights and model.fingerprint is None:
                continue
            if model.sha256 and model.format and model.status == "parsed" and not model.companions:
                plain = msgspec.structs.replace(model, reach=None)
                self.put(model.sha256, model.format, plain)

    def _place(self, sha256: str, name: str) -> Path:
        return self._folder / f"{sha256}-{name}-{ANALYSIS_VERSION}"
