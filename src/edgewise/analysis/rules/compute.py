"""Rules of the kinds that multiply and accumulate."""

from __future__ import annotations

from edgewise.analysis.rules.arithmetic import broadcast
from edgewise.analysis.rules.attention import Inputs
from edgewise.analysis.rules.windows import assemble, per_axis, slide, spatial, spread
from edgewise.analysis.shapes import CannotTell, Dims, Impossible, Scope, whole
from edgewise.analysis.symbolic import product
from edgewise.graph import Kind, Layer


def kernel_of(weight: Dims, weight_layout: str) -> tuple[int, int, Dims]:
    """(output channels, input channels per group, kernel) of a convolution's weight.

    For a transposed convolution in `IO*` the two channel counts are swapped in the shape, which
    is what this returns for. A depthwise `1*O` has one input channel per group.
    """
    if len(weight) < 3:
        raise CannotTell
    match weight_layout:
        case "OI*":
            return weight[0], weight[1], weight[2:]
        case "IO*":
            return weight[1], weight[0], weight[2:]
        case "O*I":
            return weight[0], weight[-1], weight[1:-1]
        case "1*O":
            return weight[-1], 1, weight[1:-1]
        case "*IO":
            return weight[-1], weight[-2], weight[:-2]
        case "*OI":
            return weight[-2], weight[-1], weight[:-2]
        case "GOI*":
            return weight[0] * weight[1], weight[2], weight[3:]
        case "GIO*":
            return weight[0] * weight[2], weight[1], weight[3:]
    raise CannotTell


def _supplied(scope: Scope, layer: Layer, x: Dims) -> Dims:
    """The shape of a convolution's weight, from its layer where the file has none."""
    attributes = layer.attributes
    if scope.maybe_shape(layer, 1) is None and "units" in attributes:
        units, channels, groups = attributes["units"], int(x[1]), attributes.get("groups")
        groups = groups or channels
        if groups < 1 or channels % groups or units % groups:
            raise Impossible
        first = (channels, units // groups), (units, channels // groups)
        pair = first[0] if attributes["weight_layout"] == "IO*" else first[1]
        scope.supply(layer, 1, (*pair, *attributes["kernel"]))
        scope.supply(layer, 2, (units,))
    return scope.shape(layer, 1)


def _conv(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    weight = _supplied(scope, layer, x)
    layout = layer.attributes.get("layout", "channels_first")
    out, _, kernel = kernel_of(weight, layer.attributes["weight_layout"])
    space = spatial(x, layout)
    axes = len(space)
    if len(kernel) != axes:
        raise Impossible
    _check_channels(scope, layer, x, weight)
    places = slide(
        space,
        kernel,
        per_axis(layer.attributes.get("strides"), axes),
        per_axis(layer.attributes.get("dilations"), axes),
        layer.attributes.get("pads"),
    )
    return [assemble(x[0], out, places, layout)]


def _check_channels(scope: Scope, layer: Layer, x: Dims, weight: Dims) -> None:
    """Weights win over a stated channel count; a user is told."""
    layout = layer.attributes.get("layout", "channels_first")
    channels = x[-1] if layout == "channels_last" else x[1]
    _, per_group, _ = kernel_of(weight, layer.attributes["weight_layout"])
    groups = layer.attributes.get("groups")
    expected = per_group * groups if groups else None
    fits = channels % per_group == 0 if expected is None else channels == expected
    if not fits:
        scope.fit(channels, expected or per_group)
        scope.note(f"{layer.op} {layer.name}: input has {channels} channels, its weights differ")


def _conv_transpose(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    weight = _supplied(scope, layer, x)
    attributes = layer.attributes
    layout = attributes.get("layout", "channels_first")
    stated_whole = scope.value(layer, 3)
    if stated_whole is not None and len(stated_whole) == len(x):
        return [(x[0], *(whole(size) for size in stated_whole[1:]))]
    out, _, kernel = kernel_of(weight, attributes["weight_layout"])
    if attributes["weight_layout"] == "IO*":
        out = out * (attributes.get("groups") or 1)
    space = spatial(x, layout)
    axes = len(space)
    stated = attributes.get("output_shape")
    if stated:
        return [assemble(x[0], out, list(stated)[-axes:], layout)]
    places = spread(
        space,
        kernel,
        per_axis(attributes.get("strides"), axes),
        per_axis(attributes.get("dilations"), axes),
        attributes.get("pads"),
        per_axis(attributes.get("output_padding"), axes, 0),
    )
    return [assemble(x[0], out, places, layout)]


def _dense(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    flipped = layer.attributes.get("weight_layout", "OI") == "IO"
    if scope.maybe_shape(layer, 1) is None and (units := layer.attributes.get("units")):
        wide = int(x[-1] if layer.attributes.get("keep_dims") else product(x[1:]))
        scope.supply(layer, 1, (wide, units) if flipped else (units, wide))
        scope.supply(layer, 2, (units,))
    weight = scope.shape(layer, 1)
    units, depth = (weight[-1], weight[0]) if flipped else (weight[0], weight[-1])
    keep = layer.attributes.get("keep_dims")
    if keep == "rows":
        keep = len(x) == 3 and x[-1] == depth
    if keep or len(x) == 2:
        scope.fit(x[-1], depth)
    if keep:
        return [(*x[:-1], units)]
    return [(product(x) // depth, units)]


def operands(a: Dims, b: Dims, layer: Layer) -> tuple[Dims, Dims]:
    """The shapes that a matrix product works on: vectors made matrices, transposes done."""
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    if layer.attributes.get("transpose_a"):
        a = (*a[:-2], a[-1], a[-2])
    if layer.attributes.get("transpose_b"):
        b = (*b[:-2], b[-1], b[-2])
    return a, b


def _matmul(scope: Scope, layer: Layer) -> list[Dims | None]:
    first = scope.shape(layer, 0)
    columns = layer.attributes.get("n")
    if columns is not None:  # a packed weight: its shape says nothing, its attributes do
        return [(*first[:-1], columns)]
    second = scope.shape(layer, 1)
    a, b = operands(first, second, layer)
    if a[-1] != b[-2]:
        scope.fit(a[-1], b[-2])
        scope.fit(b[-2], a[-1])
        raise Impossible
    lead = broadcast(a[:-2], b[:-2])
    rows = () if len(first) == 1 else (a[-2],)
    cols = () if len(second) == 1 else (b[-1],)
    return [(*lead, *rows, *cols)]


def einsum_terms(equation: str, shapes: list[Dims]) -> tuple[list[list[str]], list[str]]:
    """The labels of every operand and of the output, an ellipsis spelt out as `.0`, `.1` ….

    Raises:
        CannotTell: the equation does not fit the operands.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(shapes):
        raise CannotTell
    longest = 0
    terms = []
    for part, dims in zip(parts, shapes, strict=True):
        labels = list(part.replace("...", "."))
        if "." in labels:
            at = labels.index(".")
            hidden = len(dims) - (len(labels) - 1)
            longest = max(longest, hidden)
            labels[at : at + 1] = [f".{hidden - 1 - i}" for i in range(hidden)]
        if len(labels) != len(dims):
            raise CannotTell
        terms.append(labels)
    ellipsis = [f".{longest - 1 - i}" for i in range(longest)]
    if arrow:
        out: list[str] = []
        for label in right.replace("...", "."):
            out += ellipsis if label == "." else [label]
        return terms, out
    flat = [label for labels in terms for label in labels]
    return terms, ellipsis + sorted(
        {label for label in flat if flat.count(label) == 1 and not label.startswith(".")}
    )


def einsum_sizes(terms: list[list[str]], shapes: list[Dims]) -> dict[str, int]:
    """The size of every label."""
    sizes: dict[str, int] = {}
    for labels, dims in zip(terms, shapes, strict=True):
        for label, size in zip(labels, dims, strict=True):
            if sizes.get(label, 1) == 1:
                sizes[label] = size
    return sizes


def _einsum(scope: Scope, layer: Layer) -> list[Dims | None]:
    shapes = [scope.shape(layer, place) for place in range(len(layer.inputs))]
    terms, out = einsum_terms(layer.attributes["equation"], shapes)
    sizes = einsum_sizes(terms, shapes)
    return [tuple(sizes[label] for label in out)]


def recurrent_steps(x: Dims, layer: Layer) -> tuple[int, int]:
    """(steps, batch) of a recurrent layer's input."""
    time, batch = layer.attributes.get("time_axis"), layer.attributes.get("batch_axis")
    if time is None:
        return 1, product(x[:-1])
    return x[time], 1 if batch is None else x[batch]


def hidden_units(inputs: Inputs, layer: Layer) -> int:
    """Hidden units of a recurrent layer: stated, or the recurrent kernel's last axis."""
    stated = layer.attributes.get("hidden")
    return stated if stated is not None else inputs.shape(layer, 2)[-1]


def _recurrent(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    attributes = layer.attributes
    hidden = hidden_units(scope, layer)
    state = attributes.get("projection") or hidden
    directions = attributes.get("directions", 1)
    if attributes.get("time_axis") is not None and len(x) != 3:
        raise Impossible
    if attributes.get("input_size"):
        scope.fit(x[-1], attributes["input_size"])
    steps, batch = recurrent_steps(x, layer)
    forms: dict[str | None, Dims] = {
        "sequence": (*x[:-1], state * directions),
        "one_direction": (*x[:-1], state),
        "state": (batch, state),
        "cell": (batch, hidden),
        "onnx_sequence": (steps, directions, batch, state),
        "onnx_sequence_batch_first": (batch, steps, directions, state),
        "directions_first": (batch, directions, steps, state),
        "layer_state": (directions, batch, state),
        "layer_cell": (directions, batch, hidden),
        "onnx_state": (directions, batch, state),
        "onnx_state_batch_first": (batch, directions, state),
        "onnx_cell": (directions, batch, hidden),
        "onnx_cell_batch_first": (batch, directions, hidden),
    }
    return [forms.get(form) for form in attributes.get("outputs", ("sequence",))]


def _svdf(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, feature = scope.shape(layer, 0), scope.shape(layer, 1)
    units = feature[0] // layer.attributes["rank"]
    # The file may list the state as an output too; its shape is the state input's.
    return [(x[0], units)]


RULES = {
    Kind.CONV: _conv,
    Kind.CONV_TRANSPOSE: _conv_transpose,
    Kind.DENSE: _dense,
    Kind.MATMUL: _matmul,
    Kind.EINSUM: _einsum,
    Kind.RECURRENT: _recurrent,
    Kind.SVDF: _svdf,
}
