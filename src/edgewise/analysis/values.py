"""Statistics of the weights themselves: read only when asked for, one tensor at a time."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec
import numpy as np

from edgewise.analysis.graphs import elements
from edgewise.analysis.sketch import bottom, output_axes, sketch
from edgewise.errors import InputError
from edgewise.graph import DTYPE_BITS, Graph, Kind, Layer, Tensor
from edgewise.records import TensorRow

#: Layers that hand their input on as other numbers, or in another order.
_PASSED = frozenset(
    {Kind.DEQUANTIZE, Kind.CAST, Kind.IDENTITY, Kind.QUANTIZE, Kind.TRANSPOSE, Kind.RESHAPE,
     Kind.SQUEEZE, Kind.EXPAND_DIMS}
)  # fmt: skip
#: Layers and bodies that a weight is followed through.
_FAR = 16
#: Layers whose weights are compared: those that multiply, tables that are looked up, and weights of
#: which a file does not say what is done with them.
_COMPARED = frozenset(
    {Kind.CONV, Kind.CONV_TRANSPOSE, Kind.DENSE, Kind.MATMUL, Kind.RECURRENT, Kind.GATHER,
     Kind.ATTENTION, Kind.SVDF, Kind.EINSUM, Kind.WEIGHTS}
)  # fmt: skip
#: A weight nearer to zero than this is near zero (the threshold of gaugeNN, IMC 2021, section 6).
NEAR_ZERO = 1e-9
#: Distinct values are counted up to this many.
MOST_DISTINCT = 65_536
#: A floating-point tensor of at least so many elements with at most so many distinct values has
#: been clustered (weight sharing): 8-bit code books are the largest that converters write. One
#: value alone is no code book: a bias that was never trained is all zeros.
CLUSTERED_FROM, CLUSTERED_VALUES = 1024, 256


def weight_statistics(graph: Graph, parameters: list[list[Tensor]]) -> dict[str, Any]:
    """The fields of `Model` that need the weights' values.

    Args:
        graph: where a note goes for a tensor whose bytes are missing.
        parameters: as `weights.parameters_by_layer` gives them.

    Returns:
        `tensors`, `fingerprint` (hex SHA-256 over the tensors' fingerprints, in order),
        `zero_fraction` and `near_zero_fraction` over all elements, `clustered_tensors`. All but
        `tensors` are None where bytes are missing: part of a network says nothing of the whole.
    """
    rows = []
    missing: dict[str, list[str]] = {}
    zeros = near = count = clustered = 0
    digest = hashlib.sha256()
    users = _Users(graph)
    pairs = zip(graph.layers, parameters, strict=True)
    for owner, tensor in ((layer, each) for layer, tensors in pairs for each in tensors):
        try:
            row, some_zeros, some_near = _row(tensor, *users.of(tensor, owner))
        except (InputError, ValueError) as error:
            missing.setdefault(str(error), []).append(tensor.name)
            rows.append(_stated(tensor))
            continue
        rows.append(row)
        digest.update(bytes.fromhex(row.fingerprint or ""))
        zeros, near, count = zeros + some_zeros, near + some_near, count + row.elements
        clustered += _is_clustered(row)
    for why, names in missing.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        graph.notes.append(f"weights of {names[0]}{more}: {why}")
    if missing:
        return {"tensors": tuple(rows)}
    return {
        "tensors": tuple(rows),
        "fingerprint": digest.hexdigest() if rows else None,
        "zero_fraction": zeros / count if count else None,
        "near_zero_fraction": near / count if count else None,
        "clustered_tensors": clustered,
    }


class _Users:
    """The layers that compute with the tensors of a graph and of its bodies."""

    def __init__(self, graph: Graph) -> None:
        self._places: dict[int, tuple[Graph, int]] = {}
        self._takers: dict[int, dict[int, Layer]] = {}
        self._add(graph)

    def _add(self, graph: Graph) -> None:
        takers = self._takers[id(graph)] = {}
        self._places.update((id(tensor), (graph, i)) for i, tensor in enumerate(graph.tensors))
        for layer in reversed(graph.layers):
            takers.update((index, layer) for index in layer.inputs if index is not None)
            for body in layer.bodies:
                self._add(body)

    def of(self, tensor: Tensor, owner: Layer) -> tuple[Layer, bool | None]:
        """The layer that computes with a parameter of `owner`, past what only moves it and into
        the bodies of loops; whether it is turned on the way (None: cut in another way)."""
        graph, index = self._places[id(tensor)]
        turned: bool | None = False
        layer = owner
        for _ in range(_FAR):
            taker = self._takers[id(graph)].get(index)
            if taker is None:
                break
            layer = taker
            if layer.kind in _PASSED and layer.outputs and layer.outputs[0] is not None:
                index = layer.outputs[0]
                if layer.kind is Kind.TRANSPOSE and turned is not None:
                    turned = not turned
                elif layer.kind is Kind.RESHAPE:
                    turned = None
                continue
            inside = [b for b in layer.bodies if 0 <= len(layer.inputs) - len(b.inputs) <= 1]
            if not inside:
                break
            body = inside[-1]
            place = layer.inputs.index(index) - len(layer.inputs) + len(body.inputs)
            if place < 0:
                break
            graph, index = body, body.inputs[place]
        return layer, turned


def _compared(
    tensor: Tensor, array: np.ndarray[Any, Any], layer: Layer, turned: bool | None
) -> tuple[tuple[float, ...] | None, tuple[int, ...]]:
    """What `lineage` compares, of weights that multiply."""
    if layer.kind not in _COMPARED or array.ndim < 2:
        return None, ()
    if layer.kind is Kind.RECURRENT and sum(size > 2 for size in array.shape) < 2:
        return None, ()  # biases, which formats add up or keep apart
    axes = output_axes(layer, array.ndim)
    if turned:
        axes = tuple(array.ndim - 1 - axis for axis in axes) if array.ndim == 2 else ()
    return sketch(tensor, array, () if turned is None else axes), bottom(array)


def _row(tensor: Tensor, layer: Layer, turned: bool | None) -> tuple[TensorRow, int, int]:
    array = tensor.array()
    zero, reach = _zero_point(tensor)
    distance = np.abs(array.astype(np.float64) - zero) if zero else np.abs(array)
    zeros = int(np.count_nonzero(distance == 0))
    near = int(np.count_nonzero(distance < reach))
    numbers, hashes = _compared(tensor, array, layer, turned)
    row = msgspec.structs.replace(
        _stated(tensor),
        shape=tuple(array.shape),
        fingerprint=_fingerprint(tensor, array),
        zero_fraction=zeros / array.size if array.size else None,
        near_zero_fraction=near / array.size if array.size else None,
        distinct_values=_distinct(array),
        sketch=numbers,
        bottom=hashes,
    )
    return row, zeros, near


def _stated(tensor: Tensor) -> TensorRow:
    """What is known of a tensor without its values."""
    dims = tuple(size for size in tensor.shape or () if isinstance(size, int))
    return TensorRow(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=dims if tensor.shape is not None and len(dims) == len(tensor.shape) else None,
        elements=elements(tensor),
        size_bytes=tensor.weights.nbytes if tensor.weights else 0,
        quantized_per=quantized_per(tensor),
        bits=_bits(tensor),
    )


def quantized_per(tensor: Tensor) -> Literal["tensor", "channel", "block", "palette"] | None:
    """What shares a scale, or None where the values are stored as they are."""
    found = tensor.quantization
    if found is None or (tensor.dtype.startswith("float") and found.block_size is None):
        return None
    if found.palette:
        return "palette"
    along = found.axis is not None or found.scales in (tensor.shape or ())
    if found.block_size is not None or (found.scales > 1 and not along):
        return "block"
    return "channel" if found.scales > 1 else "tensor"


def _bits(tensor: Tensor) -> float | None:
    """Bits of an element: what its type says, else what its bytes come to."""
    if (known := DTYPE_BITS.get(tensor.dtype)) is not None:
        return float(known)
    if odd := re.fullmatch(r"u?int(\d+)", tensor.dtype):
        return float(odd[1])
    many = elements(tensor)
    return 8 * tensor.weights.nbytes / many if tensor.weights and many else None


def _zero_point(tensor: Tensor) -> tuple[float, float]:
    """(the stored number that stands for zero, the distance that counts as near)."""
    quantized = tensor.quantization
    if quantized is None:
        return 0, NEAR_ZERO
    return quantized.zero_point or 0, NEAR_ZERO / (quantized.scale or 1)


def _fingerprint(tensor: Tensor, array: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256(f"{tensor.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _distinct(array: np.ndarray[Any, Any]) -> int | None:
    flat = array.reshape(-1)
    sample = np.unique(flat[: 4 * MOST_DISTINCT])
    if sample.size > MOST_DISTINCT:
        return None
    count = sample.size if flat.size <= 4 * MOST_DISTINCT else np.unique(flat).size
    return int(count) if count <= MOST_DISTINCT else None


def _is_clustered(row: TensorRow) -> bool:
    return (
        row.dtype.startswith(("float", "bfloat"))
        and row.elements >= CLUSTERED_FROM
        and row.distinct_values is not None
        and 1 < row.distinct_values <= CLUSTERED_VALUES
    )
