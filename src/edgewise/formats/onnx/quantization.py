"""How an ONNX file's integers stand for reals: from the operators that read them.

Only shapes are looked at: a scale's bytes stay unread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgewise.formats.onnx.operator import Operator
from edgewise.graph import Quantization, Tensor

#: Operators with quantised weights: (position of the weight, of its scale, axis of the scales).
_SCALED: Mapping[str, tuple[tuple[int, int, int | None], ...]] = {
    "DequantizeLinear": ((0, 1, None),),
    "DynamicQuantizeLSTM": ((1, 8, None), (2, 10, None)),
    "DynamicQuantizeMatMul": ((1, 2, 1),),
    "GatherBlockQuantized": ((0, 2, None),),
    "MatMulBnb4": ((1, 2, 0),),
    "MatMulIntegerToFloat": ((1, 3, 1),),
    "MatMulNBits": ((1, 2, 0),),
    "QAttention": ((1, 4, 1),),
    "QGemm": ((3, 4, None),),
    "QLinearAdd": ((0, 1, None), (3, 4, None)),
    "QLinearConv": ((3, 4, 0),),
    "QLinearMatMul": ((3, 4, 1),),
    "QLinearMul": ((0, 1, None), (3, 4, None)),
}
#: Operators whose weight is a stream of bytes, several elements in each: position of the weight.
_PACKED: Mapping[str, int] = {"GatherBlockQuantized": 0, "MatMulBnb4": 1, "MatMulNBits": 1}


def describe_weights(operator: Operator) -> None:
    """Note on the operator's stored weights how they are quantised."""
    packed = _PACKED.get(operator.op)
    if packed is not None:
        _unpack_shape(operator, _stored(operator, packed))
    for position, scale, axis in _SCALED.get(operator.op, ()):
        weight = _stored(operator, position)
        shape = operator.shape(scale)
        if weight is not None and shape is not None and weight.quantization is None:
            scales = math.prod(shape)
            if axis is None:
                axis = operator.integer("axis", 1)
            weight.quantization = Quantization(
                scales, axis if scales > 1 else None, operator.integer("block_size") or None
            )


def _stored(operator: Operator, position: int) -> Tensor | None:
    tensor = operator.inputs[position] if position < len(operator.inputs) else None
    return tensor if tensor is not None and tensor.weights is not None else None


def _unpack_shape(operator: Operator, weight: Tensor | None) -> None:
    """State a packed weight's own dtype and shape: (N, K rounded up to blocks) or a table's rows.

    The bytes stay as they are: both hold the lower element first.
    """
    bits = operator.integer("bits", 4)
    if weight is None or weight.dtype != "uint8" or weight.shape is None or bits not in (2, 4, 8):
        return
    elements = math.prod(operator.shape(_PACKED[operator.op]) or ()) * 8 // bits
    rows = operator.integer("N") or weight.shape[0] if weight.shape else None
    if isinstance(rows, int) and rows and elements % rows == 0:
        weight.dtype = f"uint{bits}"
        if operator.op == "GatherBlockQuantized":
            *leading, last = (size for size in weight.shape if isinstance(size, int))
            weight.shape = (*leading, last * 8 // bits)
        else:
            weight.shape = (rows, elements // rows)
