"""A model file in one record: what `inspect` prints and `scan` keeps for every model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgewise.analysis.architecture import architecture, facts_of
from edgewise.analysis.cost import Cost, layer_costs, total
from edgewise.analysis.deployability import deployability
from edgewise.analysis.larger import Larger, at_larger_sizes, fitting
from edgewise.analysis.memory import peak_activation_bytes, tensor_bytes
from edgewise.analysis.quantised import quantization
from edgewise.analysis.scope import Shapes
from edgewise.analysis.shapes import propagate
from edgewise.analysis.structure import structure
from edgewise.analysis.symbolic import formula, plain
from edgewise.analysis.task import told
from edgewise.analysis.weights import parameters_by_layer, stored
from edgewise.archive import File, packed_as
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import registry
from edgewise.formats.embedded import BEHIND
from edgewise.formats.registry import Format
from edgewise.formats.unread import no_reader, unread_format
from edgewise.graph import FreeDim, Graph, Layer, Tensor
from edgewise.records import LayerRow, Model, Port, Status


def summarise(
    file: File,
    fmt: Format | None = None,
    *,
    layers: bool = False,
    weights: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Model:
    """Read a model file and say what it is and what it costs.

    Args:
        file: the bytes.
        fmt: its format; None to recognise it.
        layers: fill `layer_table`.
        weights: read the weights and fill their statistics and `tensors`.
        shapes: shapes of inputs by name, instead of the file's.

    Returns:
        The record, whatever the outcome: a file that is no model is `rejected` with a reason.

    Raises:
        UsageError: `shapes` names no input of the model, or another number of dimensions.
        InputError: the file itself cannot be read.
    """
    fmt = fmt or registry.recognise(file.head(registry.HEAD_BYTES), file.name)
    known: dict[str, Any] = {"path": file.path, "size_bytes": file.size}
    if fmt is None:
        return _unrecognised(file, known)
    known["format"] = fmt.NAME
    try:
        known["sha256"] = file.sha256()
        if not file.size:
            raise RejectedModel("is empty")
        if file.head(len(_POINTER)) == _POINTER:
            raise RejectedModel("a pointer of Git LFS: the file that it stands for is not here")
        graph = fmt.read(file)
        graph.notes += _behind(file, graph)
        return _parsed(graph, known, layers=layers, weights=weights, overrides=shapes)
    except (RejectedModel, OpaqueModel, LimitExceeded) as error:
        return Model(**known, status=_STATUS[type(error)], reason=error.message)


def _behind(file: File, graph: Graph) -> list[str]:
    """That a file goes on behind its model; a zip there holds labels and the like, and is read."""
    rest = file.size - (graph.extent or file.size)
    if rest < _FILLED_UP or bytes(file.data()[-rest:][:4]) == b"PK\x03\x04":
        return []
    return [f"{rest:,} {BEHIND}"]


def _unrecognised(file: File, known: dict[str, Any]) -> Model:
    head = file.head(registry.HEAD_BYTES)
    known["sha256"] = file.sha256()
    unread = unread_format(head, file.path)
    if unread is not None:
        return Model(**known, format=unread, status="not_examined", reason=no_reader(unread))
    reason = "neither its bytes nor its name are those of a format that can be read"
    if (packing := packed_as(head)) is not None:
        reason = f"packed with {packing}: unpack it first"
    if head.startswith(b"PK\x03\x04"):
        reason = f"an archive, not a model: scan it, or name a model inside as {file.name}!/path"
    return Model(**known, format=None, status="rejected", reason=reason)


#: Writers and packers fill up to some boundary: fewer bytes than this behind a model say nothing.
_FILLED_UP = 64
#: What stands in a checkout for a large file (https://git-lfs.com, specification of pointers).
_POINTER = b"version https://git-lfs.github.com/spec/v1"

_STATUS: Mapping[type[Exception], Status] = {
    RejectedModel: "rejected",
    OpaqueModel: "opaque",
    LimitExceeded: "not_examined",
}


def _parsed(
    graph: Graph,
    known: dict[str, Any],
    *,
    layers: bool,
    weights: bool,
    overrides: Mapping[str, Sequence[int]] | None,
) -> Model:
    found = propagate(graph, overrides)
    costs = layer_costs(graph, found)
    cost = total(costs)
    if graph.reason is not None:
        cost = Cost(None, None, int(cost.known), (graph.reason,))
    parameters = parameters_by_layer(graph)
    sums = stored(parameters)
    peak = peak_activation_bytes(graph, found)
    larger = at_larger_sizes(graph, overrides, cost)
    compiled = [layer.op for layer in graph.layers if layer.attributes.get("compiled")]
    facts = facts_of(graph, found, structure(graph, found))
    family = architecture(graph, facts)
    purpose = told(known["path"], graph, facts, family)
    statistics: dict[str, Any] = {}
    if weights:
        from edgewise.analysis.values import weight_statistics

        statistics = weight_statistics(graph, parameters)
    return Model(
        **known,
        level=graph.level,  # type: ignore[arg-type]
        status="parsed",
        companions=graph.companions,
        name=graph.name or None,
        producer=graph.producer,
        inputs=tuple(_port(graph.tensors[i], found.dims[i]) for i in graph.inputs),
        outputs=tuple(_port(graph.tensors[i], found.dims[i]) for i in graph.outputs),
        layers=len(graph.layers),
        ops=dict(Counter(layer.op for layer in graph.layers).most_common()),
        parameters=None if compiled else sums.parameters,
        macs=_int(cost.macs),
        macs_known=int(cost.known),
        macs_formula=formula(larger.macs if larger else cost.macs),
        flops=_int(cost.flops),
        weight_bytes=None if compiled else sums.size_bytes,
        peak_activation_bytes=peak,
        weight_dtypes=None if compiled else sums.by_dtype,
        quantization=None if compiled else quantization(graph),
        architecture=family,
        modality=purpose.modality,
        task=purpose.task,
        task_confidence=purpose.confidence,
        labels=graph.labels,
        metadata=graph.metadata,
        notes=(
            *graph.notes,
            *(f"weights in {name!r} are missing" for name in graph.missing),
            *found.notes,
            *_compiled(compiled),
            *(_together(cost.why) if graph.reason is None else cost.why),
            *_gaps(graph, found, peak),
            *_hints(graph, cost, larger),
            *(_near(graph, overrides) if overrides and found.impossible else ()),
            *([f"task {purpose.task}: {purpose.why}"] if purpose.why else []),
        ),
        layer_table=_layer_table(graph, found, costs, parameters, larger) if layers else None,
        deployability=deployability(known["format"], graph, found),
        **statistics,
    )


def _together(reasons: Iterable[str]) -> list[str]:
    """Reasons of the form "operator: why", those with the same why in one line."""
    operators: dict[str, list[str]] = {}
    for reason in reasons:
        operator, _, why = reason.rpartition(": ")
        operators.setdefault(why, []).append(operator)
    return [f"{', '.join(names)}: {why}" for why, names in operators.items()]


def _compiled(ops: list[str]) -> list[str]:
    """Why nothing is said of weights that lie in a blob for a processor."""
    if not ops:
        return []
    return [
        f"{ops[0]}: compiled for a processor of its own: the layers and weights inside cannot be "
        "read, so parameters, their bytes and the quantisation are not known"
    ]


def _gaps(graph: Graph, shapes: Shapes, peak: int | None) -> list[str]:
    """Why shapes of outputs and the peak are null, where they are."""
    ports = (("input", graph.inputs), ("output", graph.outputs))
    gaps = [
        f"{what} {graph.tensors[index].name}: its shape does not follow from the inputs"
        for what, indices in ports
        for index in indices
        if shapes.dims[index] is None
    ]
    if peak is None:
        gaps.append("peak activation memory: the size of a live tensor is not known")
    return gaps


def _hints(graph: Graph, cost: Cost, larger: Larger | None) -> list[str]:
    """What a user can do about an unknown cost."""
    hints = []
    if larger is not None:
        sizes = " and ".join((", ".join(larger.names[:-1]), larger.names[-1])[-len(larger.names) :])
        hints.append(
            f"a size of 1 is too small to run with; with {sizes} of {larger.size:,} "
            f"it is {int(larger.macs):,} MACs"
        )
    open_inputs = [
        tensor.name
        for tensor in (graph.tensors[index] for index in graph.inputs)
        if tensor.shape is None or any(isinstance(d, FreeDim) for d in tensor.shape[1:])
    ]
    if cost.macs is not None or not open_inputs:
        return []
    return hints + [f"say the size of a free input with --shape {name}=…" for name in open_inputs]


def _near(graph: Graph, overrides: Mapping[str, Sequence[int]]) -> list[str]:
    """Sizes near those that the user said with which the network runs, where there are."""
    if any(tensor.shape is None for tensor in (graph.tensors[i] for i in graph.inputs)):
        return []
    near = fitting(graph, overrides)
    if near is None:
        return []
    shapes = " ".join(
        f"--shape {name}={'x'.join(map(str, dims))}" for name, dims in near[0].items()
    )
    return [f"refused with these sizes; with {shapes} it is {near[1]:,} MACs"]


def _int(value: int | None) -> int | None:
    return None if value is None else int(value)


def _port(tensor: Tensor, dims: tuple[int, ...] | None) -> Port:
    stated = tensor.shape
    free = stated is not None and any(isinstance(d, FreeDim) for d in stated)
    return Port(
        name=tensor.name,
        shape=plain(dims),
        dtype=tensor.dtype,
        signature=tuple(d if isinstance(d, int) else d.name for d in stated or ())
        if free
        else None,
        scale=tensor.quantization.scale if tensor.quantization else None,
        zero_point=tensor.quantization.zero_point if tensor.quantization else None,
    )


def _layer_table(
    graph: Graph,
    shapes: Shapes,
    costs: list[Cost],
    parameters: list[list[Tensor]],
    larger: Larger | None,
) -> tuple[LayerRow, ...]:
    formulas = [formula(cost.macs) for cost in (larger.costs if larger else costs)]
    return tuple(
        _layer_row(graph, shapes, index, layer, costs[index], formulas[index], parameters[index])
        for index, layer in enumerate(graph.layers)
    )


def _layer_row(
    graph: Graph,
    shapes: Shapes,
    index: int,
    layer: Layer,
    cost: Cost,
    macs_formula: str | None,
    parameters: list[Tensor],
) -> LayerRow:
    outputs = [i for i in layer.outputs if i is not None]
    sizes = [tensor_bytes(shapes.dims[i], graph.tensors[i].dtype) for i in outputs]
    sums = stored([parameters])
    return LayerRow(
        index=index,
        name=layer.name,
        op=layer.op,
        kind=layer.kind.value,
        input_shapes=tuple(None if i is None else plain(shapes.dims[i]) for i in layer.inputs),
        output_shapes=tuple(plain(shapes.dims[i]) for i in outputs),
        dtype=graph.tensors[outputs[0]].dtype if outputs else None,
        macs=_int(cost.macs),
        macs_formula=macs_formula,
        flops=_int(cost.flops),
        parameters=sums.parameters,
        weight_bytes=sums.size_bytes,
        output_bytes=None if None in sizes else sum(s for s in sizes if s is not None),
    )
