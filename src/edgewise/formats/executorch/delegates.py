"""What lies in the blobs of delegates, as graphs that the program calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgewise.errors import InputError
from edgewise.formats.executorch import packaged, vulkan, xnnpack
from edgewise.formats.executorch.blob import NamedData
from edgewise.graph import Graph, Kind, Layer, Shape, Tensor


def delegate_graph(name: str, blob: memoryview, named: NamedData) -> Graph | None:
    """The graph in a blob; None where it is of a delegate, or in a form, that is not read."""
    reader = _READERS.get(name)
    if reader is None:
        return None
    try:
        return reader(blob, named)
    except (InputError, IndexError, ValueError, KeyError, TypeError):
        return None


_READERS: Mapping[str, Callable[[memoryview, NamedData], Graph]] = {
    "XnnpackBackend": xnnpack.read, "VulkanBackend": vulkan.read, "CoreMLBackend": packaged.read,
}  # fmt: skip


def fit(graph: Graph, inputs: list[Shape | None], outputs: list[Shape | None]) -> None:
    """Let a blob's graph take and give what the program does: it may have channels last.

    A permutation is put before an input and behind an output whose sizes say that it is needed.
    """
    for place, outside in enumerate(inputs[: len(graph.inputs)]):
        index = graph.inputs[place]
        inside = graph.tensors[index]
        if _turned(outside, _TO_LAST) == inside.shape != outside and outside is not None:
            graph.tensors.append(Tensor(f"{inside.name}_given", inside.dtype, outside))
            graph.inputs[place] = len(graph.tensors) - 1
            graph.layers.insert(0, _turn(graph.inputs[place], index, _TO_LAST))
    for place, outside in enumerate(outputs[: len(graph.outputs)]):
        index = graph.outputs[place]
        inside = graph.tensors[index]
        if _turned(inside.shape, _TO_FIRST) == outside != inside.shape and outside is not None:
            graph.tensors.append(Tensor(f"{inside.name}_taken", inside.dtype, outside))
            graph.outputs[place] = len(graph.tensors) - 1
            graph.layers.append(_turn(index, graph.outputs[place], _TO_FIRST))


_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def _turned(shape: Shape | None, order: tuple[int, ...]) -> Shape | None:
    return tuple(shape[axis] for axis in order) if shape is not None and len(shape) == 4 else None


def _turn(source: int, target: int, order: tuple[int, ...]) -> Layer:
    attributes = {"permutation": order}
    return Layer("dim_order", "dim_order", Kind.TRANSPOSE, (source,), (target,), attributes)
