"""ncnn's layers that multiply and accumulate, and its pools."""

from __future__ import annotations

from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.ncnn.context import ABSENT, Context, Translator
from edgewise.formats.ncnn.params import Entry
from edgewise.formats.netlist import Netlist
from edgewise.graph import Kind

FIRST = "channels_first"
_ACTIVATIONS = {1: "relu", 2: "leaky_relu", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hard_swish"}

#: Numbers of the parameters of a window, innermost axis (w) first, then h, d.
_KERNEL, _DILATION, _STRIDE = (1, 11, 21), (2, 12, 22), (3, 13, 23)
_LOW, _HIGH = (4, 14, 24), (15, 16, 17)


def _window(entry: Entry, numbers: tuple[int, ...], axes: int, default: int = 0) -> list[int]:
    """One number per axis, outermost first; those of h and d default to that of w."""
    first = entry.integer(numbers[0], default)
    return [entry.integer(number, first) for number in numbers[:axes]][::-1]


def _positive(entry: Entry, values: list[int]) -> tuple[int, ...]:
    if min(values) < 1:
        raise RejectedModel(f"{entry.type} {entry.name}: a kernel, stride or size of {values}")
    return tuple(values)


def _pads(entry: Entry, axes: int) -> str | tuple[int, ...]:
    low = _window(entry, _LOW, axes)
    if low[-1] == ABSENT:
        return "same"
    if low[-1] == ABSENT - 1:
        return "same_lower"
    # The far side defaults to the near one of the same axis.
    high = [
        entry.integer(number, near)
        for number, near in zip(_HIGH[:axes], reversed(low), strict=True)
    ][::-1]
    return (*low, *high)


def _activation(entry: Entry, number: int = 9) -> str | None:
    return _ACTIVATIONS.get(entry.integer(number))


def _convolution(axes: int, *, grouped: bool = False, transposed: bool = False) -> Translator:
    def add(context: Context, entry: Entry) -> None:
        out, size = entry.integer(0), entry.integer(6)
        kernel = _positive(entry, _window(entry, _KERNEL, axes))
        groups = entry.integer(7, 1) if grouped else 1
        attributes: dict[str, Any] = {
            "layout": FIRST,
            "weight_layout": "OI*",
            "strides": _positive(entry, _window(entry, _STRIDE, axes, 1)),
            "dilations": _positive(entry, _window(entry, _DILATION, axes, 1)),
            "pads": _pads(entry, axes),
            "groups": groups,
            "activation": _activation(entry),
        }
        if transposed:
            attributes |= _output_sizes(entry, axes)
        if entry.integer(28 if transposed else 19):
            # The weights are an input; they come as (O, I, kernel) behind ncnn's missing batch.
            context.add(entry, Kind.UNKNOWN)
            return
        taps = 1
        for one in kernel:
            taps *= one
        if out < 1 or groups < 1 or size < 1 or size % (out * taps):
            raise RejectedModel(
                f"{entry.type} {entry.name}: {size:,} weights for {out} outputs of {kernel}"
            )
        weights = [context.take(entry, "weight", out, size // (out * taps), *kernel)]
        if entry.integer(5):
            weights.append(context.raw(entry, "bias", out))
        _int8_scales(context, entry, groups if grouped else out)
        reads = (entry.inputs[0] if entry.inputs else None, *weights, *entry.inputs[1:])
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        context.builder.layer(entry.name, entry.type, kind, reads, entry.outputs, **attributes)

    return add


def _output_sizes(entry: Entry, axes: int) -> dict[str, Any]:
    """Of a transposed convolution: extra rows, and a size that the result is cut to."""
    more = [entry.integer(number) for number in (18, 19, 20)[:axes]]
    if axes == 1:
        more = [entry.integer(18)]
    stated = (25, 26, 27) if axes == 3 else (20, 21)
    sizes = [entry.integer(number) for number in stated[:axes]][::-1]
    found: dict[str, Any] = {"output_padding": tuple(more[::-1])}
    if all(size > 0 for size in sizes):
        found["output_shape"] = tuple(sizes)
    return found


def _int8_scales(context: Context, entry: Entry, channels: int) -> None:
    """Scales stand behind the weights; they are no parameters."""
    term = entry.integer(8)
    if not term:
        return
    one_each = term % 100 == 1 or entry.type in ("Convolution", "InnerProduct", "Convolution1D")
    context.raw(entry, "weight_scales", channels if one_each else 1)
    context.raw(entry, "input_scale", 1)
    if term > 100:
        context.raw(entry, "output_scale", 1)


def _inner_product(context: Context, entry: Entry) -> None:
    out, size = entry.integer(0), entry.integer(2)
    if out < 1 or size < 1 or size % out:
        raise RejectedModel(f"InnerProduct {entry.name}: {size:,} weights for {out} outputs")
    weights = [context.take(entry, "weight", out, size // out)]
    if entry.integer(1):
        weights.append(context.raw(entry, "bias", out))
    if entry.integer(8):
        context.raw(entry, "weight_scales", out)
        context.raw(entry, "input_scale", 1)
    # Rows of the fitting width stay rows; everything else is flattened.
    context.add(entry, Kind.DENSE, *weights, keep_dims="rows", activation=_activation(entry))


def _gemm(context: Context, entry: Entry) -> None:
    rows, columns, depth = (entry.integer(number) for number in (7, 8, 9))
    transposed_a, transposed_b = bool(entry.integer(2)), bool(entry.integer(3))
    spare = iter(entry.inputs)
    a: str | int | None
    b: str | int | None
    if entry.integer(4):
        a = context.take(entry, "a", *((depth, rows) if transposed_a else (rows, depth)))
    else:
        a = next(spare, None)
    if entry.integer(5):
        b = context.take(entry, "b", *((columns, depth) if transposed_b else (depth, columns)))
    else:
        b = next(spare, None)
    c: str | int | None = next(spare, None)
    kind_of_c = entry.integer(10)
    if entry.integer(6) and kind_of_c != -1:
        shape = {0: (1,), 1: (rows,), 2: (rows, 1), 3: (rows, columns)}.get(kind_of_c, (columns,))
        c = context.take(entry, "c", *shape)
    if entry.integer(18):
        for constant, length in ((4, rows), (5, 1)):
            if entry.integer(constant):
                context.raw(entry, "scale", length)
    attributes: dict[str, Any] = {"transpose_a": transposed_a, "transpose_b": transposed_b}
    kind = Kind.MATMUL
    if isinstance(b, int) and not transposed_a and not isinstance(a, int):
        kind = Kind.DENSE
        attributes = {"keep_dims": True, "weight_layout": "OI" if transposed_b else "IO"}
    if entry.integer(14):
        made = entry.outputs[0] if entry.outputs else entry.name
        context.builder.layer(entry.name, entry.type, kind, (a, b, c), (made,), **attributes)
        order = {3: (0, 2, 1), 4: (0, 1, 3, 2), 2: (1, 0)}
        context.builder.layer(
            entry.name, entry.type, Kind.TRANSPOSE, (made,), (made,), by_rank=order
        )
        return
    context.builder.layer(entry.name, entry.type, kind, (a, b, c), entry.outputs, **attributes)


def _recurrent(cell: str, gates: int, biases: int) -> Translator:
    def add(context: Context, entry: Entry) -> None:
        out, size, direction = (entry.integer(number) for number in range(3))
        hidden = entry.integer(3, out) if cell == "lstm" else out
        directions = 2 if direction == 2 else 1
        if hidden < 1 or out < 1 or size % (hidden * gates * directions):
            raise RejectedModel(f"{entry.type} {entry.name}: {size:,} weights for {out} outputs")
        width = size // (hidden * gates * directions)
        int8 = bool(entry.integer(8))
        weights = [
            context.take(entry, "weight_x", directions, hidden * gates, width),
            context.take(entry, "bias", directions, biases, hidden),
            context.take(entry, "weight_h", directions, hidden * gates, out),
        ]
        if out != hidden:
            weights.append(context.take(entry, "weight_r", directions, out, hidden))
        if int8:
            for part in ("x", "h"):
                context.raw(entry, f"scales_{part}", directions, hidden * gates)
        reads = (entry.inputs[0] if entry.inputs else None, weights[0], weights[2], weights[1])
        forms = ("sequence", "onnx_state", "onnx_cell")
        context.builder.layer(
            entry.name, entry.type, Kind.RECURRENT, (*reads, *weights[3:], *entry.inputs[1:]),
            entry.outputs, cell=cell, hidden=hidden, input_size=width, directions=directions,
            projection=out if out != hidden else None, time_axis=1, batch_axis=0,
            outputs=forms[:len(entry.outputs)], states=(),
        )  # fmt: skip

    return add


def _attention(context: Context, entry: Entry) -> None:
    """Projections of query, key and value, attention over heads, and a projection of the result."""
    width, heads, size = (entry.integer(number) for number in range(3))
    if width < 1 or heads < 1 or size < 1 or size % width:
        raise RejectedModel(f"{entry.type} {entry.name}: {size:,} weights, width {width}")
    depths = (size // width, entry.integer(3, width), entry.integer(4, width))
    body = Netlist(entry.name, context.builder.graph.format)
    inside = Context(body, context.bin)
    context.bin.build_in(body)
    count = 3 if len(entry.inputs) >= 3 else len(entry.inputs)
    mask = bool(entry.integer(5)) and len(entry.inputs) > 1
    count -= bool(mask and count == len(entry.inputs))
    reads = [f"x{at}" for at in range(len(entry.inputs))]
    for name in reads:
        body.input(name)
    sources = [reads[min(at, max(count, 1) - 1)] for at in range(3)]
    for source, part, depth in zip(sources, "qkv", depths, strict=True):
        weights = (
            inside.take(entry, f"{part}_weight", width, depth),
            inside.raw(entry, f"{part}_bias", width),
        )
        body.layer(part, entry.type, Kind.DENSE, (source, *weights), (part,), keep_dims=True)
    body.layer(
        "attention", entry.type, Kind.ATTENTION, ("q", "k", "v"), ("a",), heads=heads, packed=True
    )
    weights = (
        inside.take(entry, "out_weight", depths[0], width),
        inside.raw(entry, "out_bias", depths[0]),
    )
    body.layer("out", entry.type, Kind.DENSE, ("a", *weights), ("y",), keep_dims=True)
    context.bin.build_in(context.builder)
    if entry.integer(18):
        for part, length in (("q", width), ("k", width), ("v", width), ("out", 1)):
            context.raw(entry, f"{part}_scales", length)
    outputs = entry.outputs[:1]
    layer = context.builder.layer(entry.name, entry.type, Kind.CALL, entry.inputs, outputs)
    layer.bodies = (body.finish(["y"]),)


def _pooling(axes: int) -> Translator:
    strides, low = (2, 12, 22), (3, 13, 23)
    high = (14, 15, 16)

    def add(context: Context, entry: Entry) -> None:
        function = "average" if entry.integer(0) else "max"
        if entry.integer(4):
            reduced = {"average": "mean", "max": "max"}[function]
            along = tuple(range(2, 2 + axes))
            context.add(entry, Kind.REDUCE, function=reduced, axes=along, keep_dims=False)
            return
        if entry.integer(7):
            sizes = _window(entry, (8, 18, 28), axes)
            size = tuple(None if one == ABSENT else one for one in sizes)
            context.add(entry, Kind.POOL, function=function, output_size=size, layout=FIRST)
            return
        near = _window(entry, low, axes)
        far = [
            entry.integer(number, one)
            for number, one in zip(high[:axes], reversed(near), strict=True)
        ][::-1]
        mode = entry.integer(5)
        pads: Any = {2: "same", 3: "same_lower"}.get(mode, (*near, *far))
        context.add(
            entry,
            Kind.POOL,
            function=function,
            kernel=_positive(entry, _window(entry, _KERNEL, axes)),
            strides=_positive(entry, _window(entry, strides, axes, 1)),
            pads=pads,
            layout=FIRST,
            ceil_mode="all" if mode == 0 else False,
        )

    return add


def _deformable(context: Context, entry: Entry) -> None:
    _convolution(2)(context, entry)


COMPUTE: dict[str, Translator] = {
    "Convolution": _convolution(2),
    "Convolution1D": _convolution(1),
    "Convolution3D": _convolution(3),
    "ConvolutionDepthWise": _convolution(2, grouped=True),
    "ConvolutionDepthWise1D": _convolution(1, grouped=True),
    "ConvolutionDepthWise3D": _convolution(3, grouped=True),
    "Deconvolution": _convolution(2, transposed=True),
    "Deconvolution1D": _convolution(1, transposed=True),
    "Deconvolution3D": _convolution(3, transposed=True),
    "DeconvolutionDepthWise": _convolution(2, grouped=True, transposed=True),
    "DeconvolutionDepthWise1D": _convolution(1, grouped=True, transposed=True),
    "DeconvolutionDepthWise3D": _convolution(3, grouped=True, transposed=True),
    "DeformableConv2D": _deformable,
    "GRU": _recurrent("gru", 3, 4),
    "Gemm": _gemm,
    "InnerProduct": _inner_product,
    "LSTM": _recurrent("lstm", 4, 4),
    "MatMul": lambda context, entry: context.add(
        entry, Kind.MATMUL, transpose_b=bool(entry.integer(0))
    ),
    "MultiHeadAttention": _attention,
    "Pooling": _pooling(2),
    "Pooling1D": _pooling(1),
    "Pooling3D": _pooling(3),
    "RNN": _recurrent("rnn", 1, 1),
    "SDPA": lambda context, entry: context.add(entry, Kind.ATTENTION, heads=None, packed=False),
}
