"""What ONNX's control flow means: If, Loop, Scan and SequenceMap with their bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgewise.errors import InputError, RejectedModel
from edgewise.formats.kit import Meaning
from edgewise.formats.onnx.operator import Operator
from edgewise.graph import Graph, Kind, Layer, Tensor

_MULTIPLIES = frozenset((
    Kind.CONV, Kind.CONV_TRANSPOSE, Kind.DENSE, Kind.MATMUL, Kind.EINSUM, Kind.RECURRENT,
    Kind.SVDF, Kind.ATTENTION, Kind.UNKNOWN,
))  # fmt: skip

#: Exporters write the largest integer where a loop is to run until its condition ends it.
_UNTIL_ITS_CONDITION_ENDS = 1 << 31


class Control(NamedTuple):
    """A layer of control flow: what it means, its outputs' dtypes, its bodies in order."""

    meaning: Meaning
    dtypes: list[str]
    bodies: tuple[Graph, ...]


def _if(operator: Operator, bodies: Mapping[str, Graph]) -> Control:
    then, otherwise = _named(operator, bodies, "then_branch", "else_branch")
    return Control(Meaning(Kind.IF), _dtypes(then), (then, otherwise))


def _loop(operator: Operator, bodies: Mapping[str, Graph]) -> Control:
    (body,) = _named(operator, bodies, "body")
    attributes: dict[str, Any] = {"style": "onnx"}
    trips = _trip_count(operator, body)
    if trips is not None:
        attributes["trip_count"] = trips
    return Control(Meaning(Kind.LOOP, attributes), _dtypes(body)[1:], (body,))


def _scan(operator: Operator, bodies: Mapping[str, Graph]) -> Control:
    (body,) = _named(operator, bodies, "body")
    if operator.opset < 9:  # it had a batch axis and lengths of sequences then
        return Control(Meaning(Kind.UNKNOWN), _dtypes(body), (body,))
    attributes: dict[str, Any] = {
        "style": "scan", "scan_inputs": operator.integer("num_scan_inputs", 0),
    }  # fmt: skip
    for name in ("scan_input_axes", "scan_output_axes"):
        axes = operator.integers(name)
        if axes and any(axes):
            attributes[name] = axes
    return Control(Meaning(Kind.LOOP, attributes), _dtypes(body), (body,))


def _sequence_map(operator: Operator, bodies: Mapping[str, Graph]) -> Control:
    """A body applied to a sequence, as often as that is long."""
    (body,) = _named(operator, bodies, "body")
    kind = Kind.UNKNOWN if _multiplies(body) else Kind.DATA_DEPENDENT
    return Control(Meaning(kind), ["sequence"] * len(body.outputs), (body,))


CONTROL_FLOW: Mapping[str, Callable[[Operator, Mapping[str, Graph]], Control]] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
    "SequenceMap": _sequence_map,
}


def given_dtypes(operator: Operator) -> list[str]:
    """Dtypes that the inputs of the operator's body get, for bodies that do not state them."""
    given = [tensor.dtype if tensor is not None else "unknown" for tensor in operator.inputs]
    if operator.op == "Loop":
        return ["int64", "bool", *given[2:]]
    return given if operator.op == "Scan" else []


def control_flow(operator: Operator, bodies: Mapping[str, Graph]) -> Control:
    """The layer that an operator of `CONTROL_FLOW` is, with these bodies by attribute."""
    return CONTROL_FLOW[operator.op](operator, bodies)


def _named(operator: Operator, bodies: Mapping[str, Graph], *names: str) -> tuple[Graph, ...]:
    missing = [name for name in names if name not in bodies]
    if missing:
        raise RejectedModel(f"{operator.op} without {missing[0]}")
    return tuple(bodies[name] for name in names)


def _dtypes(body: Graph) -> list[str]:
    return [body.tensors[index].dtype for index in body.outputs]


def _multiplies(body: Graph) -> bool:
    return any(
        layer.kind in _MULTIPLIES or any(map(_multiplies, layer.bodies)) for layer in body.layers
    )


def _trip_count(operator: Operator, body: Graph) -> int | None:
    """How often a Loop runs, where the file says so: a stored count, and nothing that ends it
    sooner."""
    count = operator.inputs[0] if operator.inputs else None
    condition = operator.inputs[1] if len(operator.inputs) > 1 else None
    if count is None or (condition is not None and _scalar(condition) != 1):
        return None
    if len(body.inputs) < 2 or not body.outputs or not _stays_true(body):
        return None
    trips = _scalar(count)
    return trips if trips is not None and 0 <= trips < _UNTIL_ITS_CONDITION_ENDS else None


def _stays_true(body: Graph) -> bool:
    """Whether the body hands on the condition that it was given, or a stored true."""
    makers: dict[int, Layer] = {}
    for layer in body.layers:
        makers.update((index, layer) for index in layer.outputs if index is not None)
    index: int | None = body.outputs[0]
    while index in makers and makers[index].kind in (Kind.IDENTITY, Kind.CAST):
        index = makers[index].inputs[0] if makers[index].inputs else None
    return index is not None and (index == body.inputs[1] or _scalar(body.tensors[index]) == 1)


def _scalar(tensor: Tensor) -> int | None:
    """The stored value of a whole number or bool, None where there is none."""
    if tensor.weights is None or tensor.dtype not in ("bool", "int32", "int64"):
        return None
    if not 1 <= tensor.weights.nbytes <= 8:
        return None
    try:
        return int.from_bytes(tensor.weights.load(), "little", signed=tensor.dtype != "bool")
    except InputError:
        return None
