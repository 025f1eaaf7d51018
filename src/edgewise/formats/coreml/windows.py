"""Layers of Core ML networks with windows: convolutions, pools, pads; and matrix products."""

from __future__ import annotations

from typing import Any

from edgewise.formats.coreml.call import Call, Found
from edgewise.formats.messages import Message
from edgewise.graph import Kind

_FIRST = "channels_first"


def _borders(message: Message) -> tuple[int, ...]:
    """(begin…, end…) of the two spatial axes."""
    edges = message.messages("amounts")
    if len(edges) != 2:
        return (0, 0, 0, 0)
    return (*(edge.integer("start") for edge in edges), *(edge.integer("end") for edge in edges))


def _pads(p: Message) -> Any:
    if p.has("same"):
        return "same_lower" if p.message("same").integer("mode") == 1 else "same"
    if p.has("includeLastPixel"):
        amounts = p.message("includeLastPixel").integers("amounts") or [0, 0]
        return (*amounts, *amounts)
    return _borders(p.message("valid").message("paddingAmounts"))


def _pair(values: list[int], default: int) -> tuple[int, ...]:
    return tuple(values) if values else (default, default)


def convolution(call: Call) -> Found:
    """A convolution, or a transposed one."""
    p = call.p
    out, inside, groups = (
        p.integer("outputChannels"),
        p.integer("kernelChannels"),
        p.integer("groups") or 1,
    )
    kernel, turned = _pair(p.integers("kernelSize"), 3), p.flag("isDeconvolution")
    shape = (inside, out // groups, *kernel) if turned else (out, inside, *kernel)
    attributes: dict[str, Any] = {
        "layout": _FIRST, "weight_layout": "IO*" if turned else "OI*", "groups": groups,
        "strides": _pair(p.integers("stride"), 1), "dilations": _pair(p.integers("dilation"), 1),
        "pads": _pads(p),
    }  # fmt: skip
    if turned and p.integers("outputShape"):
        attributes["output_shape"] = tuple(p.integers("outputShape"))
    weight = call.weights("weights", shape) if p.has("weights") else call.x[1]
    bias = call.weights("bias", (out,)) if p.flag("hasBias") else None
    return Found(
        Kind.CONV_TRANSPOSE if turned else Kind.CONV, attributes, [call.x[0], weight, bias]
    )


def convolution3d(call: Call) -> Found:
    """A convolution over three axes."""
    p = call.p
    out, inside, groups = (
        p.integer("outputChannels"),
        p.integer("inputChannels"),
        p.integer("groups") or 1,
    )
    kernel = tuple(p.integer(name, 1) for name in ("kd", "kh", "kw"))
    turned = p.flag("isDeconvolution")
    shape = (inside, out // groups, *kernel) if turned else (out, inside // groups, *kernel)
    attributes = {
        "layout": _FIRST, "weight_layout": "IO*" if turned else "OI*", "groups": groups,
        "strides": tuple(p.integer(name, 1) or 1 for name in ("sd", "sh", "sw")),
        "dilations": tuple(p.integer(name, 1) or 1 for name in ("dd", "dh", "dw")),
        "pads": _pads3d(p),
    }  # fmt: skip
    bias = call.weights("bias", (out,)) if p.flag("hasBias") else None
    kind = Kind.CONV_TRANSPOSE if turned else Kind.CONV
    return Found(kind, attributes, [call.x[0], call.weights("weights", shape), bias])


def _pads3d(p: Message) -> Any:
    if p.integer("paddingType"):
        return "valid" if p.integer("paddingType") == 1 else "same"
    return tuple(p.integer(n) for n in ("front", "top", "left", "back", "bottom", "right"))


def pooling(call: Call) -> Found:
    """A pool over two axes, or over all of them."""
    p = call.p
    function = ("max", "average", "l2")[p.integer("type") % 3]
    if p.flag("globalPooling"):
        return Found(Kind.GLOBAL_POOL, {"function": function, "layout": _FIRST}, call.x)
    return Found(Kind.POOL, {
        "function": function, "kernel": _pair(p.integers("kernelSize"), 3),
        "strides": _pair(p.integers("stride"), 1), "pads": _pads(p), "layout": _FIRST,
        "ceil_mode": p.has("includeLastPixel"),
    }, call.x)  # fmt: skip


def pooling3d(call: Call) -> Found:
    """A pool over three axes."""
    p = call.p
    return Found(Kind.POOL, {
        "function": ("max", "average")[p.integer("type") % 2],
        "kernel": tuple(p.integer(n, 1) for n in ("kd", "kh", "kw")),
        "strides": tuple(p.integer(n, 1) for n in ("sd", "sh", "sw")), "pads": _pads3d(p),
        "layout": _FIRST,
    }, call.x)  # fmt: skip


def global3d(call: Call) -> Found:
    """A pool over all of three axes."""
    return Found(Kind.GLOBAL_POOL, {"function": "max", "layout": _FIRST}, call.x)


def inner_product(call: Call) -> Found:
    """A fully connected layer."""
    p = call.p
    inside, out = p.integer("inputChannels"), p.integer("outputChannels")
    rank = call.rank()
    bias = call.weights("bias", (out,)) if p.flag("hasBias") else None
    if rank is not None and rank >= 4:  # (…, C, 1, 1): channels are no last axis
        shape: tuple[int, ...] = (out, inside, *[1] * (rank - 2))
        attributes: dict[str, Any] = {"layout": _FIRST, "weight_layout": "OI*", "groups": 1}
        return Found(Kind.CONV, attributes, [call.x[0], call.weights("weights", shape), bias])
    weight = call.weights("weights", (out, inside))
    return Found(Kind.DENSE, {"keep_dims": True}, [call.x[0], weight, bias])


def batched_matmul(call: Call) -> Found:
    """A matrix product of two values, or of one with stored weights."""
    p = call.p
    if len(call.x) > 1:
        flags = (("transpose_a", "transposeA"), ("transpose_b", "transposeB"))
        attributes = {name: True for name, flag in flags if p.flag(flag)}
        return Found(Kind.MATMUL, attributes, call.x)
    rows, columns = p.integer("rows"), p.integer("columns")
    bias = call.weights("bias", (columns,)) if p.flag("hasBias") else None
    return Found(Kind.MATMUL, {}, [call.x[0], call.weights("weights", (rows, columns)), bias])


def crop(call: Call) -> Found:
    """Edges cut off."""
    if len(call.x) > 1:  # to the height and width of the second input
        return Found(Kind.DATA_DEPENDENT, {}, call.x)
    pads = tuple(-edge for edge in _borders(call.p.message("cropAmounts")))
    attributes = {"order": "begin_end", "pads": pads, "axes": (-2, -1)}
    return Found(Kind.PAD, attributes, call.x)


def padding(call: Call) -> Found:
    """Edges added in height and width."""
    pads = _borders(call.p.message("paddingAmounts"))
    return Found(Kind.PAD, {"order": "begin_end", "pads": pads, "axes": (-2, -1)}, call.x)


def constant_pad(call: Call) -> Found:
    """Edges added along any axes."""
    amounts = call.p.integers("amounts")
    if call.p.flag("toSize") or len(call.x) > 1 or not amounts:
        return Found(Kind.DATA_DEPENDENT, {}, call.x)
    axes = tuple(range(-(len(amounts) // 2), 0))
    return Found(Kind.PAD, {"order": "pairs", "pads": tuple(amounts), "axes": axes}, call.x)


def upsample(call: Call) -> Found:
    """A whole or fractional scale of height and width."""
    scales = call.p.all("fractional") or _pair(call.p.integers("scalingFactor"), 1)
    return Found(Kind.RESIZE, {"layout": _FIRST, "scales": [float(s) for s in scales]}, call.x)


def resize(call: Call) -> Found:
    """A stated height and width."""
    sizes = _pair(call.p.integers("targetSize"), 1)
    return Found(Kind.RESIZE, {"layout": _FIRST, "sizes": list(sizes)}, call.x[:1])
