"""ONNX's operators in common words, in the versions that changed their attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import model, names, node, one_op, onnx, read, tensor, value

from edgewise.errors import RejectedModel
from edgewise.formats.onnx.ops import OPERATORS, is_listed
from edgewise.graph import Kind

X4 = [1, 3, 8, 8]
W4 = np.ones((4, 3, 3, 3), np.float32)
#: Read as control flow or constants rather than from the table.
_READ_APART = {"Constant", "If", "Loop", "Scan", "SequenceMap"}
#: Deliberately unknown: their multiply-accumulates depend on how they are run, or on a graph.
_UNKNOWN = {
    ("", "LinearAttention"), ("ai.onnx.ml", "SVMClassifier"), ("ai.onnx.ml", "SVMRegressor"),
}  # fmt: skip


def test_every_standard_operator_has_a_deliberate_meaning() -> None:
    schemas = {(s.domain, s.name) for s in onnx.defs.get_all_schemas()}
    forgotten = {
        (domain, op)
        for domain, op in schemas
        if not is_listed(domain, op) and op not in _READ_APART and op != "Gradient"
    }
    assert forgotten == set()
    unknown = {
        (domain, op)
        for domain in ("", "ai.onnx.ml", "ai.onnx.preview")
        for op, what in OPERATORS[domain].items()
        if getattr(what, "kind", None) is Kind.UNKNOWN
    }
    assert unknown == _UNKNOWN


def _attributes(op: str, inputs: Any, **parts: Any) -> dict[str, Any]:
    return one_op(op, inputs, **parts)[1].attributes


# Convolutions, pooling and products


def test_a_convolution() -> None:
    _, layer = one_op("Conv", [X4, W4, np.ones(4, np.float32)], strides=[2, 2], pads=[1, 0, 1, 2],
                      dilations=[1, 2], group=1)  # fmt: skip
    assert layer.kind is Kind.CONV
    assert layer.attributes == {
        "layout": "channels_first", "weight_layout": "OI*", "strides": (2, 2), "dilations": (1, 2),
        "pads": (1, 0, 1, 2), "groups": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("SAME_UPPER", "same"), ("SAME_LOWER", "same_lower"), ("VALID", "valid"), ("NOTSET", "valid")],
)
def test_rules_of_padding(rule: str, expected: str) -> None:
    assert _attributes("Conv", [X4, W4], auto_pad=rule)["pads"] == expected


def test_quantised_convolutions_have_their_inputs_in_order() -> None:
    scale, zero = np.array(0.5, np.float32), np.array(3, np.uint8)
    quantised = [X4, scale, zero, W4.astype(np.int8), scale, zero, scale, zero]
    whole, layer = one_op("QLinearConv", [*quantised, np.ones(4, np.int32)])
    assert names(whole, layer.inputs)[:3] == ["i0", "i3", "i8"]
    assert layer.kind is Kind.CONV
    whole, layer = one_op("ConvInteger", [X4, W4.astype(np.int8), zero, zero])
    assert names(whole, layer.inputs) == ["i0", "i1", None, "i2", "i3"]
    whole, layer = one_op("DeformConv", [X4, W4, [1, 18, 6, 6], None, [1, 9, 6, 6]])
    assert names(whole, layer.inputs) == ["i0", "i1", None, "i2", "i4"]


def test_channels_last_convolutions_of_the_runtime() -> None:
    parts = {"domain": "com.microsoft", "channels_last": 1}
    scale, zero = np.array(0.5, np.float32), np.array(3, np.uint8)
    weight = W4.astype(np.uint8)
    found = _attributes("QLinearConv", [X4, scale, zero, weight, scale, zero, scale, zero], **parts)
    assert found["layout"] == "channels_last"
    fused = _attributes("FusedConv", [X4, W4], domain="com.microsoft", activation="Relu")
    assert fused["activation"] == "relu"
    assert fused["layout"] == "channels_first"


def test_a_transposed_convolution() -> None:
    whole, layer = one_op("ConvTranspose", [X4, np.ones((3, 5, 2, 2), np.float32)], strides=[2, 2],
                          output_padding=[1, 1], output_shape=[17, 17])  # fmt: skip
    assert layer.kind is Kind.CONV_TRANSPOSE
    assert layer.attributes["weight_layout"] == "IO*"
    assert layer.attributes["output_padding"] == (1, 1)
    assert layer.attributes["output_shape"] == (17, 17)
    assert names(whole, layer.inputs) == ["i0", "i1"]


def test_a_causal_convolution_is_depthwise_and_padded_before() -> None:
    weight = np.ones((6, 1, 4), np.float32)
    _, layer = one_op("CausalConvWithState", [[2, 6, 9], weight], 2, opset=27, activation="silu")
    assert layer.kind is Kind.CONV
    assert layer.attributes["pads"] == (3, 0)
    assert layer.attributes["groups"] == 6
    assert layer.attributes["activation"] == "silu"


def test_pooling() -> None:
    _, layer = one_op("MaxPool", [X4], 2, kernel_shape=[3, 2], ceil_mode=1, pads=[0, 1, 0, 1])
    assert layer.kind is Kind.POOL
    assert layer.attributes == {
        "function": "max", "kernel": (3, 2), "strides": (1, 1), "dilations": (1, 1),
        "pads": (0, 1, 0, 1), "layout": "channels_first", "strict": True, "ceil_mode": True,
    }  # fmt: skip
    nhwc = _attributes("NhwcMaxPool", [X4], domain="com.microsoft", kernel_shape=[2, 2])
    assert nhwc["layout"] == "channels_last"
    assert _attributes("GlobalAveragePool", [X4])["function"] == "average"


def test_products() -> None:
    _, layer = one_op("Gemm", [[2, 8], np.ones((4, 8), np.float32), np.ones(4, np.float32)],
                      transB=1)  # fmt: skip
    assert (layer.kind, layer.attributes) == (
        Kind.MATMUL, {"transpose_b": True, "unidirectional": True}
    )  # fmt: skip
    scale, zero = np.array(0.5, np.float32), np.array(3, np.uint8)
    b = np.ones((8, 4), np.uint8)
    whole, layer = one_op("QLinearMatMul", [[2, 8], scale, zero, b, scale, zero, scale, zero])
    assert names(whole, layer.inputs)[:2] == ["i0", "i3"]
    _, layer = one_op("FusedMatMul", [[2, 8], [2, 4]], domain="com.microsoft", transA=1)
    assert layer.attributes == {"transpose_a": True}
    _, layer = one_op("FusedMatMul", [[2, 8], [2, 4]], domain="com.microsoft", transBatchA=1)
    assert layer.kind is Kind.UNKNOWN
    assert _attributes("Einsum", [[2, 3], [3, 4]], equation="ij,jk") == {"equation": "ij,jk"}


def test_weights_packed_in_blocks_are_shown_as_what_they_are() -> None:
    packed, scales = np.zeros((48, 4, 16), np.uint8), np.ones((48, 4), np.float32)
    whole, layer = one_op("MatMulNBits", [[1, 7, 128], packed, scales], domain="com.microsoft",
                          K=128, N=48, bits=4, block_size=32)  # fmt: skip
    assert layer.attributes == {"k": 128, "n": 48}
    weight = tensor(whole, "i1")
    assert (weight.dtype, weight.shape) == ("uint4", (48, 128))
    assert weight.weights is not None
    assert weight.weights.nbytes == packed.nbytes
    assert weight.quantization is not None
    assert (weight.quantization.scales, weight.quantization.block_size) == (192, 32)


# Recurrence and attention


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_cells(op: str, gates: int) -> None:
    kernels = [np.ones((2, gates * 5, size), np.float32) for size in (3, 5)]
    _, layer = one_op(op, [[9, 1, 3], *kernels], 2, hidden_size=5, direction="bidirectional")
    assert layer.kind is Kind.RECURRENT
    found = layer.attributes
    assert (found["cell"], found["hidden"], found["directions"]) == (op.lower(), 5, 2)
    assert (found["time_axis"], found["batch_axis"]) == (0, 1)
    assert found["outputs"][:2] == ("onnx_sequence", "onnx_state")


def test_a_batch_first_lstm_with_a_coupled_gate() -> None:
    kernels = [np.ones((1, 20, size), np.float32) for size in (3, 5)]
    found = _attributes("LSTM", [[1, 9, 3], *kernels], outputs=3, layout=1, input_forget=1)
    assert (found["time_axis"], found["batch_axis"], found["hidden"]) == (1, 0, None)
    assert found["outputs"][2] == "onnx_cell_batch_first"
    assert found["coupled_input_gate"] is True


def test_an_unheard_of_direction_is_rejected() -> None:
    with pytest.raises(RejectedModel, match="sideways"):
        one_op("GRU", [[9, 1, 3], [1, 15, 3], [1, 15, 5]], direction="sideways")


def test_attention_of_the_standard() -> None:
    packed = _attributes("Attention", [[1, 4, 24], [1, 6, 8], [1, 6, 8]], opset=23,
                         q_num_heads=3, kv_num_heads=1)  # fmt: skip
    assert packed == {"heads": 3, "kv_heads": 1, "packed": True}
    apart = _attributes("Attention", [[1, 3, 4, 8]] * 3, opset=23)
    assert apart == {"heads": None, "kv_heads": None, "packed": False}


def test_attention_of_the_runtime() -> None:
    parts = {"domain": "com.microsoft", "num_heads": 2}
    weight, bias = np.ones((8, 24), np.float32), np.ones(24, np.float32)
    whole, layer = one_op("Attention", [[1, 4, 8], weight, bias, [1, 4]], **parts)
    assert layer.attributes["project"] is True
    assert names(whole, layer.inputs) == ["i0", "i1", "i2", "i3"]
    whole, layer = one_op("MultiHeadAttention", [[1, 4, 2, 3, 4]], **parts)
    assert layer.attributes["joined"] is True
    _, layer = one_op("MultiHeadAttention", [[1, 4, 8], [1, 6, 2, 2, 4]], **parts)
    assert "joined" not in layer.attributes  # k holds v, too
    heads = {**parts, "num_heads": 4, "kv_num_heads": 2}
    caches = [[1, 2, 9, 4], [1, 2, 9, 4]]
    lengths = [[1], []]
    inputs = [[1, 1, 16], [1, 1, 8], [1, 1, 8], *caches, *lengths]
    whole, layer = one_op("GroupQueryAttention", inputs, 3, **heads)
    assert (layer.attributes["heads"], layer.attributes["kv_heads"]) == (4, 2)
    assert "joined" not in layer.attributes
    assert names(whole, layer.inputs)[:6] == ["i0", "i1", "i2", None, "i3", "i4"]


def test_normalisations_say_which_outputs_are_like_their_input() -> None:
    gamma = np.ones(8, np.float32)
    _, layer = one_op("SkipLayerNormalization", [[1, 4, 8], [1, 4, 8], gamma], 4,
                      domain="com.microsoft")  # fmt: skip
    assert layer.attributes == {"function": "layer", "same": (0, 3)}


# What changed between versions


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes", "expected"),
    [
        (12, [[3, 4]], {"axes": [1]}, (1,)),
        (13, [[3, 4], np.array([1])], {}, None),
    ],
)
def test_axes_as_attribute_and_as_input(
    opset: int, inputs: Any, attributes: Any, expected: Any
) -> None:
    for op, kind in (
        ("Squeeze", Kind.SQUEEZE),
        ("Unsqueeze", Kind.EXPAND_DIMS),
        ("ReduceSum", Kind.REDUCE),
    ):
        _, layer = one_op(op, inputs, opset=opset, **attributes)
        assert layer.kind is kind
        assert layer.attributes.get("axes") == expected
        assert len(layer.inputs) == len(inputs)


@pytest.mark.parametrize(
    ("op", "opset", "attributes", "expected"),
    [
        ("Reshape", 1, {"shape": [2, 6]}, {"zero_copies": True, "shape": (2, 6)}),
        ("Reshape", 14, {"allowzero": 1}, {"zero_copies": False}),
        ("Slice", 9, {"starts": [1], "ends": [9], "axes": [0]},
         {"onnx": True, "begin": (1,), "end": (9,), "axes": (0,)}),
        ("Slice", 13, {}, {"onnx": True}),
        ("Split", 11, {"split": [1, 2], "axis": 1}, {"axis": 1, "even": True, "sizes": (1, 2)}),
        ("Pad", 10, {"pads": [0, 1, 0, 1]}, {"order": "begin_end", "pads": (0, 1, 0, 1)}),
        ("Pad", 1, {"paddings": [0, 1, 0, 1]}, {"order": "begin_end", "pads": (0, 1, 0, 1)}),
        ("Clip", 6, {"min": 0.0, "max": 6.0}, {"function": "clip", "min": 0.0, "max": 6.0}),
        ("Clip", 13, {}, {"function": "clip"}),
        ("TopK", 9, {"k": 5}, {"axis": -1, "k": 5}),
        ("Softmax", 12, {}, {"axis": 1, "log": False}),
        ("LogSoftmax", 13, {}, {"axis": -1, "log": True}),
        ("Cast", 1, {"to": "FLOAT"}, {"dtype": "float32"}),
        ("Cast", 13, {"to": 7}, {"dtype": "int64"}),
        ("ArgMax", 13, {"keepdims": 0, "axis": 2},
         {"function": "max", "axes": (2,), "keep_dims": False, "last": False}),
        ("Upsample", 7, {"scales": [1.0, 1.0, 2.0, 2.0]},
         {"layout": None, "scales": (1.0, 1.0, 2.0, 2.0)}),
        ("Upsample", 1, {"height_scale": 2.0, "width_scale": 3.0},
         {"layout": None, "scales": (1.0, 1.0, 2.0, 3.0)}),
        ("Shape", 15, {"start": 1, "end": -1}, {"start": 1, "end": -1}),
    ],
)  # fmt: skip
def test_attributes_by_version(
    op: str, opset: int, attributes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert _attributes(op, [[1, 3, 4, 4]], opset=opset, **attributes) == expected


def test_resize_takes_its_inputs_where_its_version_has_them() -> None:
    scales, empty = np.array([1, 1, 2, 2], np.float32), np.zeros(0, np.float32)
    sizes = np.array([1, 3, 16, 16])
    whole, layer = one_op("Resize", [X4, scales], opset=10)
    assert names(whole, layer.inputs) == ["i0", None, "i1"]
    whole, layer = one_op("Resize", [X4, empty, scales], opset=11)
    assert names(whole, layer.inputs) == ["i0", None, "i2"]
    whole, layer = one_op("Resize", [X4, None, empty, sizes], opset=18, axes=[2, 3],
                          keep_aspect_ratio_policy="not_larger")  # fmt: skip
    assert names(whole, layer.inputs) == ["i0", None, None, "i3"]
    assert layer.attributes == {"layout": None, "axes": (2, 3), "keep_aspect": "not_larger"}


def test_a_constant_of_a_shape_has_its_value() -> None:
    shape = np.array([2, 2])
    value = onnx.helper.make_tensor("v", onnx.TensorProto.INT64, [1], [7])
    assert _attributes("ConstantOfShape", [shape], value=value) == {"dtype": "int64", "value": 7}
    assert _attributes("ConstantOfShape", [shape]) == {"dtype": "float32", "value": 0.0}


def test_zeros_that_a_writer_left_out_are_zeros() -> None:
    made = node("Gather", "x i", "y")
    made.attribute.append(onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT))
    found = read(model([made], [value("x", [3, 4]), value("i", [2])], [value("y", None)]))
    assert found.layers[0].attributes == {"axis": 0}


# Between quantised tensors, and classical models


def test_scales_are_no_operands() -> None:
    scale, zero = np.array(0.5, np.float32), np.array(3, np.uint8)
    ms = {"domain": "com.microsoft"}
    whole, layer = one_op("QLinearAdd", [[4], scale, zero, [4], scale, zero, scale, zero], **ms)
    assert (layer.kind, names(whole, layer.inputs)) == (Kind.BINARY, ["i0", "i3"])
    parts = [scale, zero, [1, 4], scale, zero, [1, 5], scale, zero]
    whole, layer = one_op("QLinearConcat", parts, axis=1, **ms)
    assert (layer.kind, names(whole, layer.inputs)) == (Kind.CONCAT, ["i2", "i5"])
    whole, layer = one_op("QLinearReduceMean", [[4, 4], scale, zero, scale, zero], axes=[1], **ms)
    assert (layer.attributes["axes"], names(whole, layer.inputs)) == ((1,), ["i0"])


def test_linear_models_are_fully_connected_layers() -> None:
    whole, layer = one_op(
        "LinearClassifier", [[1, 3]], 2, domain="ai.onnx.ml", coefficients=[1.0, 2, 3, 4, 5, 6],
        intercepts=[0.5, 0.25], classlabels_ints=[0, 1],
    )  # fmt: skip
    assert layer.kind is Kind.DENSE
    weight, bias = (whole.tensors[index] for index in layer.inputs[1:] if index is not None)
    assert weight.array().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert bias.array().tolist() == [0.5, 0.25]
    assert names(whole, layer.outputs) == ["o1", "o0"]  # the scores first
    _, layer = one_op("SVMRegressor", [[1, 3]], domain="ai.onnx.ml")
    assert layer.kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("op", "inputs", "expected"),
    [
        ("Shape", [[2]], ["int64"]), ("Equal", [[2], [2]], ["bool"]),
        ("ArgMax", [[2]], ["int64"]), ("Dropout", [[2]], ["float32", "bool"]),
        ("TopK", [[2], np.array([1])], ["float32", "int64"]),
        ("Gather", [np.ones((3, 2), np.float16), [1]], ["float16"]),
        ("Where", [[1], np.ones(1, np.int8), [1]], ["int8"]),
        ("QuantizeLinear", [[2], np.array(1, np.float32)], ["uint8"]),
        ("DynamicQuantizeLinear", [[2]], ["uint8", "float32", "uint8"]),
        ("MatMulInteger", [np.ones((2, 2), np.int8), np.ones((2, 2), np.int8)], ["int32"]),
    ],
)  # fmt: skip
def test_dtypes_that_the_file_does_not_state_follow(
    op: str, inputs: Any, expected: list[str]
) -> None:
    names = [f"i{k}" for k in range(len(inputs))]
    outputs = [f"o{k}" for k in range(len(expected))]
    stored = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, np.ndarray)}
    free = [value(n, x) for n, x in zip(names, inputs, strict=True) if n not in stored]
    made = [node(op, " ".join(names), " ".join(outputs)), node("Identity", "o0", "y")]
    found = read(model(made, free, [value("y", None, 0)], stored))
    assert [tensor(found, name).dtype for name in outputs] == expected
