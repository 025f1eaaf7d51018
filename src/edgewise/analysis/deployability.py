"""Where a model runs whole, and which operators keep it from that: lists as data
(`deployability.toml`), from the public documentation of delegates and execution providers.

An operator that one does not take splits the network: it runs on the CPU, and values go to and fro.
What is listed says that an operator may be taken; only a device says that it was (`bench`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from edgewise.analysis.scope import Shapes
from edgewise.formats.tflite.schema import OPERATORS
from edgewise.graph import Graph, Kind, Layer
from edgewise.records import Deployability

#: Custom operators that LiteRT's own resolver registers (tensorflow/lite/kernels/register.cc).
_REGISTERED = frozenset(
    ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
)
#: Domains of operators that ONNX Runtime's packages bring along.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc",
            "com.ms.internal.nhwc")  # fmt: skip
_ANY = "*"


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ops: frozenset[str]
    types: frozenset[str] | None = None
    stored: frozenset[str] | None = None
    constant: bool = False
    ranks: tuple[int, ...] = ()
    zero: tuple[str, ...] = ()


class _Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    formats: tuple[str, ...]
    source: str
    folded: frozenset[str]
    group: tuple[_Group, ...]
    folded_from: frozenset[str] | None = None


@cache
def targets(format: str) -> tuple[_Target, ...]:
    """What models of a format may be handed to."""
    data = Path(__file__).with_suffix(".toml").read_bytes()
    listed = msgspec.toml.decode(data, type=dict[str, tuple[_Target, ...]])["target"]
    return tuple(target for target in listed if format in target.formats)


def deployability(format: str, graph: Graph, shapes: Shapes) -> tuple[Deployability, ...] | None:
    """Where the network runs whole; None where there is no list for its format, or no layers.

    The first, `builtin`, is the runtime without operators that an app brings along.
    """
    known = targets(format)
    if not known or graph.level != "graph" or not graph.layers:
        return None
    used = Counter(layer.op for layer in graph.layers)
    custom = Counter({op: n for op, n in used.items() if not _is_built_in(format, op)})
    return (
        _outcome("builtin", custom),
        *(_outcome(target.name, _blocking(target, used, graph, shapes)) for target in known),
    )


def _outcome(target: str, blocking: Counter[str]) -> Deployability:
    return Deployability(
        target=target, runs_whole=not blocking, blocking=dict(blocking.most_common())
    )


def _is_built_in(format: str, op: str) -> bool:
    if format == "tflite":
        return op in OPERATORS or op in _REGISTERED
    return op.rpartition("::")[0] in _DOMAINS


def _blocking(target: _Target, used: Iterable[str], graph: Graph, shapes: Shapes) -> Counter[str]:
    groups = {op: [group for group in target.group if op in group.ops] for op in used}
    held = {i for i, tensor in enumerate(graph.tensors) if tensor.weights is not None}
    fixed = all(
        isinstance(size, int) for i in graph.inputs for size in graph.tensors[i].shape or (None,)
    )
    blocking: Counter[str] = Counter()
    for layer in graph.layers:
        if _is_folded(target, layer, graph, held, fixed):
            held.update(i for i in layer.outputs if i is not None)
            continue
        for group in groups[layer.op]:
            if _takes(group, layer, graph, shapes, held):
                break
        else:
            blocking[layer.op] += 1
    return blocking


def _is_folded(target: _Target, layer: Layer, graph: Graph, held: set[int], fixed: bool) -> bool:
    if layer.op not in target.folded and _ANY not in target.folded:
        return False
    if layer.kind is Kind.CONSTANT or (layer.kind is Kind.SHAPE and fixed):
        return True
    first = layer.inputs[0] if layer.inputs else None
    if layer.bodies or (first is not None and first not in held):
        return False
    given = [i for i in layer.inputs if i is not None]
    if not given or not held.issuperset(given):
        return False
    return target.folded_from is None or graph.tensors[given[0]].dtype in target.folded_from


def _takes(group: _Group, layer: Layer, graph: Graph, shapes: Shapes, held: set[int]) -> bool:
    """Whether a group that has the layer's operator takes the layer."""
    if group.zero and any(layer.attributes.get(name) for name in group.zero):
        return False
    given = [i for i in layer.inputs if i is not None]
    if group.constant and not held.issuperset(given[1:]):
        return False
    if group.ranks and given:
        dims = shapes.dims[given[0]]
        if dims is not None and len(dims) not in group.ranks:
            return False
    tensors, types, stored = graph.tensors, group.types, group.stored
    if types is not None:
        for i in layer.outputs:
            if i is not None and tensors[i].dtype not in types:
                return False
    for i in given:
        allowed = stored if i in held else types
        if allowed is not None and tensors[i].dtype not in allowed:
            return False
    return True
