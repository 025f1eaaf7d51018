"""Graphs written by hand: one line per layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgewise.graph import FreeDim, Graph, Kind, Layer, Tensor, Weights


class Net:
    """Builds a `Graph`; tensors are named, weights are numpy arrays."""

    def __init__(self, **inputs: tuple[Any, ...]) -> None:
        self.graph = Graph("net", [], [], [], [])
        self._index: dict[str, int] = {}
        for name, shape in inputs.items():
            dims = tuple(FreeDim(d) if isinstance(d, str) else d for d in shape)
            self.graph.inputs.append(self._add(Tensor(name, "float32", dims)))

    def _add(self, tensor: Tensor) -> int:
        self.graph.tensors.append(tensor)
        self._index[tensor.name] = len(self.graph.tensors) - 1
        return self._index[tensor.name]

    def _of(self, source: Any) -> int | None:
        if source is None or isinstance(source, str):
            return None if source is None else self._index[source]
        array = np.asarray(source)
        raw = array.tobytes()
        weights = Weights(len(raw), lambda: memoryview(raw))
        name = f"w{len(self.graph.tensors)}"
        return self._add(Tensor(name, str(array.dtype), array.shape, weights))

    def layer(
        self,
        kind: Kind,
        inputs: list[Any],
        out: str | list[str],
        dtype: str = "float32",
        **more: Any,
    ) -> Net:
        bodies = more.pop("bodies", ())
        sources = tuple(self._of(source) for source in inputs)
        names = [out] if isinstance(out, str) else out
        targets = tuple(self._add(Tensor(name, dtype, None)) for name in names)
        self.graph.layers.append(
            Layer(names[0], kind.upper(), kind, sources, targets, more, bodies)
        )
        return self

    def done(self, *outputs: str) -> Graph:
        self.graph.outputs = [self._index[name] for name in outputs]
        return self.graph

    def of(self, name: str) -> int:
        return self._index[name]


@pytest.fixture
def net() -> type[Net]:
    """The builder."""
    return Net
