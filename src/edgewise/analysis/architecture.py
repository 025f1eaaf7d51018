"""Known architectures, told by structure and not by name.

Counts of what layers a network has tell the published families apart. What fits none is unknown.
Sources: the papers' tables (arXiv): MobileNets 1704.04861, 1801.04381, 1905.02244; ResNet
1512.03385; what follows likewise:
SqueezeNet 1602.07360; GoogLeNet and Inception 1409.4842, 1512.00567; VGG 1409.1556; EfficientNet
1905.11946; U-Net 1505.04597; ViT 2010.11929; BlazeFace 1907.05047.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edgewise.analysis.rules.compute import kernel_of
from edgewise.analysis.scope import CannotTell, Shapes
from edgewise.graph import Graph, Kind, Layer

#: Layers that the name of a residual network counts, by its convolutions with those of shortcuts
#: (some have one in the first block as well).
_RESNETS = {20: 18, 21: 18, 36: 34, 37: 34, 53: 50, 104: 101, 155: 152}
#: Sums of two branches in them.
_RESNET_SUMS = {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}
_VGGS = {8: "vgg-11", 10: "vgg-13", 13: "vgg-16", 16: "vgg-19"}
_INCEPTIONS = {57: "googlenet", 94: "inception-v3", 149: "inception-v4"}


@dataclass(slots=True)
class _Counts:
    """What layers a network has."""

    convolutions: int = 0
    depthwise: int = 0
    pointwise: int = 0
    patches: int = 0
    sums: int = 0
    gates: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    wide_joins: int = 0


def architecture(graph: Graph, shapes: Shapes) -> str | None:
    """The family of a network, None where its structure is of none that is known."""
    found = _counted(graph, shapes)
    outputs = {tuple(map(int, dims)) for i in graph.outputs if (dims := shapes.dims[i])}
    if any(len(dims) == 3 and dims[1:] in ((896, 16), (896, 1)) for dims in outputs):
        return "blazeface"
    joins, dense = found.kinds[Kind.CONCAT], found.kinds[Kind.DENSE] + found.kinds[Kind.MATMUL]
    if found.patches == 1 and found.kinds[Kind.SOFTMAX] >= 4 and dense >= 16:
        return "vit"
    if found.depthwise >= 10:
        return _mobile(found, joins)
    growing = found.kinds[Kind.RESIZE] + found.kinds[Kind.CONV_TRANSPOSE]
    if found.depthwise == 0 and found.convolutions:
        return _plain(found, joins, dense, growing)
    return None


def _mobile(found: _Counts, joins: int) -> str | None:
    """Families of depthwise convolutions."""
    swishes = min(found.functions["sigmoid"], found.functions["mul"]) + found.functions["swish"]
    hard = found.functions["hard_swish"] or min(found.functions["hard_sigmoid"], found.gates)
    if joins:
        return None
    if hard >= 4:
        return "mobilenet-v3"
    if found.sums >= 9 and swishes >= found.depthwise:
        return "efficientnet"
    if found.gates:
        return None
    if 8 <= found.sums <= 12 and 15 <= found.depthwise <= 19:
        return "mobilenet-v2"
    if found.sums == 0 and 12 <= found.depthwise <= 14 and found.pointwise >= found.depthwise - 1:
        return "mobilenet-v1"
    return None


def _plain(found: _Counts, joins: int, dense: int, growing: int) -> str | None:
    """Families of plain convolutions."""
    if joins >= 3 and growing >= 3 and not found.sums:
        return "u-net"
    if growing:
        return None
    if joins == 8 and 25 <= found.convolutions <= 27 and not found.sums:
        return "squeezenet"
    if found.wide_joins >= 9 and not found.sums:
        return _INCEPTIONS.get(found.convolutions, "inception")
    if joins:
        return None
    layers = _RESNETS.get(found.convolutions)
    if layers is not None and found.sums == _RESNET_SUMS[layers]:
        return f"resnet-{layers}"
    # Fully connected layers are written as convolutions too.
    if not found.sums and dense in (0, 3):
        own = found.convolutions - (0 if dense else 3)
        if own == 5:
            return "alexnet"
        return _VGGS.get(own) if found.kinds[Kind.POOL] == 5 else None
    return None


def _counted(graph: Graph, shapes: Shapes) -> _Counts:
    found = _Counts()
    for layer in graph.layers:
        found.kinds[layer.kind] += 1
        if layer.kind is Kind.CONV:
            _count_convolution(found, layer, shapes)
        elif layer.kind is Kind.BINARY:
            computed = [i for i in layer.inputs if i is not None and not graph.tensors[i].weights]
            function = layer.attributes.get("function", "")
            if len(computed) == 2:
                found.functions[function] += 1
                found.sums += function == "add"
                found.gates += function == "mul" and _spread(layer, shapes)
        elif layer.kind is Kind.UNARY:
            found.functions[layer.attributes.get("function", "")] += 1
        elif layer.kind is Kind.CONCAT:
            found.wide_joins += len(layer.inputs) >= 3
        activation = layer.attributes.get("activation")
        if isinstance(activation, str):
            found.functions[activation] += 1
    return found


def _spread(layer: Layer, shapes: Shapes) -> bool:
    """Whether a product spreads one number a channel over a picture, as squeeze and excite does."""
    one, other = (shapes.dims[i] if i is not None else None for i in layer.inputs[:2])
    return one is not None and other is not None and one != other


def _count_convolution(found: _Counts, layer: Layer, shapes: Shapes) -> None:
    index = layer.inputs[1] if len(layer.inputs) > 1 else None
    weight = None if index is None else shapes.dims[index]
    found.convolutions += 1
    if weight is None:
        return
    try:
        out, deep, kernel = kernel_of(weight, layer.attributes.get("weight_layout", "OI*"))
    except CannotTell:
        return
    groups = layer.attributes.get("groups")
    own = layer.attributes.get("weight_layout") == "1*O" or bool(groups and groups > 1)
    found.depthwise += own and deep == 1 and out > 1
    found.pointwise += all(size == 1 for size in kernel)
    strides = layer.attributes.get("strides") or ()
    found.patches += len(kernel) == 2 and kernel[0] >= 8 and tuple(strides) == tuple(kernel)
