"""Rules of the kinds that multiply and accumulate."""

from __future__ import annotations

from edgewise.analysis.rules.arithmetic import broadcast
from edgewise.analysis.rules.attention import Inputs
from edgewise.analysis.rules.windows import assemble, per_axis, slide, spatial, spread
from edgewise.analysis.scope import CannotTell, Dims, Impossible, Scope, require, whole
from edgewise.analysis.symbolic import plain, product
from edgewise.graph import Kind, Layer


def kernel_of(weight: Dims, weight_layout: str) -> tuple[int, int, Dims]:
    """(output channels, input channels per group, kernel) of a convolution's weight.

    For a transposed convolution in `IO*` the two channel counts are swapped in the shape, which
    is what this returns for. A depthwise `1*O` has one input channel per group.
    """
    require(len(weight) > 2, f"weights of {len(weight)} dimensions")
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
        case "*GO":
            return weight[-2] * weight[-1], 1, weight[:-2]
        case "*OI":
            return weight[-2], weight[-1], weight[:-2]
        case "I*O":
            return weight[-1], weight[0], weight[1:-1]
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
    require(len(kernel) == axes, f"a kernel of {len(kernel)} axes for {axes}")
    _check_channels(scope, layer, x, weight)
    places = slide(
        space,
        kernel,
        per_axis(layer.attributes.get("strides"), axes),
        per_axis(layer.attributes.get("dilations"), axes),
        layer.attributes.get("pads"),
        small="refuse",
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
    out = kernel_of(weight, layer.attributes["weight_layout"])[0]
    spread = groups or (channels // per_group if fits else 1)
    require(spread > 0 and out % spread == 0, f"{int(out)} filters in {int(spread)} groups")
    if not fits:
        scope.fit(channels, expected or per_group)
        why = f"input has {int(channels)} channels, its weights differ"
        # Weights win over what the file states of its input: some exporters state any number.
        require(layer.inputs[0] in scope.as_the_file_says, why)
        scope.note(f"{layer.op} {layer.name}: {why}")


def _conv_transpose(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    weight = _supplied(scope, layer, x)
    attributes = layer.attributes
    layout = attributes.get("layout", "channels_first")
    stated_whole = scope.value(layer, 3)
    if stated_whole is not None and len(stated_whole) == len(x):
        return [_to_stated(layer, x, weight, tuple(whole(size) for size in stated_whole))]
    out, _, kernel = kernel_of(weight, attributes["weight_layout"])
    groups = attributes.get("groups") or 1
    if attributes["weight_layout"] in ("IO*", "I*O"):
        out = out * groups
    _check_transposed(scope, layer, x, weight)
    space = spatial(x, layout)
    axes = len(space)
    strides = per_axis(attributes.get("strides"), axes)
    dilations = per_axis(attributes.get("dilations"), axes)
    extra = per_axis(attributes.get("output_padding"), axes, 0)
    fits = all(
        more == 0 or more < max(s, d) for more, s, d in zip(extra, strides, dilations, strict=True)
    )
    require(fits, f"an output padding of {extra}")
    stated = attributes.get("output_shape")
    if stated:
        wanted = list(stated)[-axes:]
        natural = spread(space, kernel, strides, dilations, "valid", extra)
        fits = all(0 < want <= most for want, most in zip(wanted, natural, strict=True))
        require(fits, f"{plain(space)} does not spread to {wanted}")
        return [assemble(x[0], out, wanted, layout)]
    places = spread(space, kernel, strides, dilations, attributes.get("pads"), extra)
    require(min(places, default=1) > 0, f"{plain(space)} spreads to {plain(tuple(places))}")
    return [assemble(x[0], out, places, layout)]


def _check_transposed(scope: Scope, layer: Layer, x: Dims, weight: Dims) -> None:
    layout = layer.attributes.get("layout", "channels_first")
    _, deep, kernel = kernel_of(weight, layer.attributes["weight_layout"])
    if layer.attributes["weight_layout"] == "OI*":  # of one group alone
        deep = deep * (layer.attributes.get("groups") or 1)
    channels = x[-1] if layout == "channels_last" else x[1]
    require(len(kernel) == len(x) - 2, f"a kernel of {len(kernel)} axes for {len(x) - 2}")
    if channels != deep:
        scope.fit(channels, deep)
    require(channels == deep, f"input has {int(channels)} channels, its weights {int(deep)}")
    groups = layer.attributes.get("groups") or 1
    require(channels % groups == 0, f"{int(channels)} channels in {groups} groups")


def _to_stated(layer: Layer, x: Dims, weight: Dims, wanted: Dims) -> Dims:
    """TFLite states the whole shape: the window must lead from it back to the input."""
    attributes = layer.attributes
    out, deep, kernel = kernel_of(weight, attributes["weight_layout"])
    layout = attributes.get("layout", "channels_first")
    axes = len(kernel)
    back = slide(
        spatial(wanted, layout), kernel, per_axis(attributes.get("strides"), axes),
        per_axis(attributes.get("dilations"), axes), attributes.get("pads"),
    )  # fmt: skip
    require(x[-1] == deep, f"input has {int(x[-1])} channels, its weights {int(deep)}")
    fits = wanted[0] == x[0] and wanted[-1] == out and tuple(back) == spatial(x, layout)
    require(fits, f"{plain(x)} does not spread to {plain(wanted)}")
    return (x[0], *wanted[1:])


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
    why = f"{plain(x)} for weights of {plain(weight)}"
    if keep:
        require(x[-1:] == (depth,), why)
        return [(*x[:-1], units)]
    even = depth > 0 and product(x) % depth == 0
    require(depth > 0 and (even or bool(layer.attributes.get("cut"))), why)
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
    require(bool(first), "a product of a scalar")
    if columns is not None:  # a packed weight: its shape says nothing, its attributes do
        deep = layer.attributes.get("k")
        require(deep is None or first[-1] == deep, f"{plain(first)} times {deep} rows")
        return [(*first[:-1], columns)]
    second = scope.shape(layer, 1)
    a, b = operands(first, second, layer)
    if a[-1] != b[-2]:
        scope.fit(a[-1], b[-2])
        scope.fit(b[-2], a[-1])
        raise Impossible(f"{plain(first)} times {plain(second)}")
    lead = broadcast(a[:-2], b[:-2])
    rows = () if len(first) == 1 else (a[-2],)
    cols = () if len(second) == 1 else (b[-1],)
    dims = (*lead, *rows, *cols)
    bias = scope.maybe_shape(layer, 2)
    if bias is not None and layer.attributes.get("unidirectional"):
        require(len(first) == len(second) == 2, f"{plain(first)} times {plain(second)}")
        require(broadcast(bias, dims) == dims, f"{plain(bias)} added to {plain(dims)}")
    return [dims]


def einsum_terms(equation: str, shapes: list[Dims]) -> tuple[list[list[str]], list[str]]:
    """The labels of every operand and of the output, an ellipsis spelt out as `.0`, `.1` ….

    Raises:
        CannotTell: the equation does not fit the operands.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    require(len(parts) == len(shapes), f"{len(shapes)} operands for {equation}")
    longest = 0
    terms = []
    for part, dims in zip(parts, shapes, strict=True):
        labels = list(part.replace("...", "."))
        if "." in labels:
            at = labels.index(".")
            hidden = len(dims) - (len(labels) - 1)
            longest = max(longest, hidden)
            labels[at : at + 1] = [f".{hidden - 1 - i}" for i in range(hidden)]
        require(len(labels) == len(dims), f"{part} for {len(dims)} dimensions")
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
            known = sizes.get(label, 1)
            require(1 in (known, size) or known == size, f"{label} is {int(known)} and {int(size)}")
            if known == 1:
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
    attributes = layer.attributes
    ones = (1,) * attributes.get("trailing_ones", 0)
    x = scope.shape(layer, 0)[: -len(ones) or None]
    hidden = hidden_units(scope, layer)
    state = attributes.get("projection") or hidden
    directions = attributes.get("directions", 1)
    axes = 2 + (attributes.get("batch_axis") is not None)
    require(attributes.get("time_axis") is None or len(x) == axes, f"{len(x)} dimensions")
    if attributes.get("input_size"):
        scope.fit(x[-1], attributes["input_size"])
        wanted = attributes["input_size"]
        require(x[-1] == wanted, f"{int(x[-1])} features, its weights are for {int(wanted)}")
    _check_gates(scope, layer, int(hidden), int(directions))
    steps, batch = recurrent_steps(x, layer)
    forms: dict[str | None, Dims] = {
        "sequence": (*x[:-1], state * directions),
        "one_direction": (*x[:-1], state),
        "state": (batch, state),
        "cell": (batch, hidden),
        "joined_state": (batch, state * directions),
        "joined_cell": (batch, hidden * directions),
        "one_state": (1, batch, state),
        "one_cell": (1, batch, hidden),
        "last": (1, batch, state * directions),
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
    found = [forms.get(form) for form in attributes.get("outputs", ("sequence",))]
    return [None if dims is None else (*dims, *ones) for dims in found]


_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def _check_gates(scope: Scope, layer: Layer, hidden: int, directions: int) -> None:
    """Kernels of (directions, gates · hidden, …) must be those of the hidden size."""
    if not layer.attributes.get("stacked"):
        return
    gates = _GATES[layer.attributes["cell"]]
    kernel, recurrent = scope.maybe_shape(layer, 1), scope.maybe_shape(layer, 2)
    for dims in (kernel, recurrent):
        require(dims is None or dims[:2] == (directions, gates * hidden), f"weights of {dims}")
    require(recurrent is None or recurrent[2:] == (hidden,), f"weights of {recurrent}")
    bias = scope.maybe_shape(layer, 3)
    require(bias in (None, (directions, 2 * gates * hidden)), f"a bias of {bias}")


def _svdf(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, feature = scope.shape(layer, 0), scope.shape(layer, 1)
    rank = layer.attributes["rank"]
    fits = len(x) == 2 and x[1] == feature[1] and feature[0] % rank == 0
    require(fits, f"{plain(x)} for weights of {plain(feature)}, rank {rank}")
    units = feature[0] // rank
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
