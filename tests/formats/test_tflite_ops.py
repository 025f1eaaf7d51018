"""TFLite operators in common words: kinds, attributes, and inputs in the kind's order."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from tflite_models import Model, layer, one_op, options, schema

from edgewise.errors import RejectedModel
from edgewise.formats.tflite.custom import without_macs
from edgewise.formats.tflite.ops import RULES
from edgewise.formats.tflite.recurrent import RECURRENT
from edgewise.formats.tflite.schema import OPERATORS
from edgewise.formats.tflite.special import SPECIAL
from edgewise.formats.tflite.stablehlo import STABLEHLO
from edgewise.graph import Kind

VALID, RELU6 = schema.Padding.VALID, schema.ActivationFunctionType.RELU6


def test_every_operator_has_one_translation() -> None:
    tables = (RULES, RECURRENT, STABLEHLO, SPECIAL)
    assert sum(map(len, tables)) == len(RULES | RECURRENT | STABLEHLO | SPECIAL)
    without = set(OPERATORS) - set(RULES | RECURRENT | STABLEHLO | SPECIAL)
    assert without == {"CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES"}


def _check(found: Any, kind: Kind, **attributes: Any) -> None:
    assert found.kind == kind
    assert {name: found.attributes.get(name) for name in attributes} == attributes


def test_convolutions() -> None:
    window = {"strideW": 1, "strideH": 2, "dilationWFactor": 3, "dilationHFactor": 4}
    found = layer(
        "CONV_2D", [[1, 8, 8, 3], [6, 3, 3, 3]],
        options=options("Conv2D", padding=VALID, fusedActivationFunction=RELU6, **window),
    )  # fmt: skip
    _check(
        found, Kind.CONV, layout="channels_last", weight_layout="O*I", groups=None, pads="valid",
        strides=(2, 1), dilations=(4, 3), activation="relu6",
    )  # fmt: skip
    found = layer(
        "DEPTHWISE_CONV_2D", [[1, 8, 8, 3], [1, 3, 3, 6]],
        options=options("DepthwiseConv2D", depthMultiplier=2, **window),
    )  # fmt: skip
    _check(
        found, Kind.CONV, weight_layout="1*O", pads="same", strides=(2, 1), dilations=(4, 3),
        activation=None,
    )  # fmt: skip
    cube = {"strideD": 1, "strideH": 2, "strideW": 3, "dilationHFactor": 5}
    found = layer("CONV_3D", [[1, 4, 8, 8, 3], [3, 3, 3, 3, 6]], options=options("Conv3D", **cube))
    _check(found, Kind.CONV, weight_layout="*IO", strides=(1, 2, 3), dilations=(1, 5, 1))


def test_transposed_convolutions_take_x_weight_bias_and_the_output_shape() -> None:
    shape = np.array([1, 8, 8, 6], np.int32)
    found = layer(
        "TRANSPOSE_CONV", [shape, [6, 3, 3, 3], [1, 4, 4, 3], [6]],
        options=options("TransposeConv", padding=VALID, strideW=3, strideH=2),
    )  # fmt: skip
    _check(found, Kind.CONV_TRANSPOSE, weight_layout="O*I", strides=(2, 3), pads="valid")
    assert found.inputs == (2, 1, 3, 0)
    cube = options("Conv3D", strideD=1, strideH=2, strideW=2)
    found = layer(
        "CONV_3D_TRANSPOSE", [np.ones(5, np.int32), [3, 3, 3, 6, 3], [1, 4, 4, 4, 3]], options=cube
    )
    _check(found, Kind.CONV_TRANSPOSE, weight_layout="*OI", strides=(1, 2, 2))
    assert found.inputs == (2, 1, None, 0)


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "TransposeConv"])
def test_a_stride_of_zero_is_rejected(name: str) -> None:
    op = {"Conv2D": "CONV_2D", "DepthwiseConv2D": "DEPTHWISE_CONV_2D"}.get(name, "TRANSPOSE_CONV")
    with pytest.raises(RejectedModel, match=f"operator 0: {op}: a stride"):
        layer(op, [[1, 8, 8, 3], [6, 3, 3, 3]], options=options(name, strideW=1, strideH=0))


def test_an_activation_that_does_not_exist_is_rejected() -> None:
    with pytest.raises(RejectedModel, match="activation number 9"):
        layer("ADD", [[1], [1]], options=options("Add", fusedActivationFunction=9))


def test_matrix_products() -> None:
    found = layer("FULLY_CONNECTED", [[2, 4], [3, 4], None],
                  options=options("FullyConnected", keepNumDims=True))  # fmt: skip
    _check(found, Kind.DENSE, keep_dims=True, weight_layout="OI")
    assert found.inputs == (0, 1)
    found = layer("BATCH_MATMUL", [[2, 4], [3, 4]], options=options("BatchMatMul", adjY=True))
    _check(found, Kind.MATMUL, transpose_a=False, transpose_b=True)
    found = layer("SVDF", [[1, 8], [6, 8], [6, 10], None, [1, 60]], options=options("SVDF", rank=2))
    _check(found, Kind.SVDF, rank=2)


def test_pools_and_reductions() -> None:
    window = options("Pool2D", strideW=1, strideH=2, filterWidth=3, filterHeight=4)
    for op, function in (("AVERAGE_POOL_2D", "average"), ("MAX_POOL_2D", "max")):
        found = layer(op, [[1, 8, 8, 3]], options=window)
        _check(found, Kind.POOL, function=function, kernel=(4, 3), strides=(2, 1), pads="same")
    found = layer(
        "MEAN", [[1, 8], np.zeros(1, np.int32)], options=options("Reducer", keepDims=True)
    )
    _check(found, Kind.REDUCE, function="mean", keep_dims=True, noop_with_empty_axes=True)
    found = layer("ARG_MAX", [[1, 8], np.ones(1, np.int32)], options=options("ArgMax"))
    _check(found, Kind.ARG_REDUCE, keep_dims=False)


def test_reshape_takes_the_option_only_without_a_second_input() -> None:
    target = options("Reshape", newShape=[3, -1])
    assert layer("RESHAPE", [[6]], options=target).attributes == {"shape": (3, -1)}
    assert layer("RESHAPE", [[6], np.ones(2, np.int32)], options=target).attributes == {}
    scalar = options("Reshape", newShape=[0])
    assert layer("RESHAPE", [[1]], options=scalar).attributes == {"shape": ()}


@pytest.mark.parametrize(
    ("op", "count", "inputs"),
    [
        ("SPLIT", 2, (1, None, 0)),
        ("SPLIT_V", 3, (0, 1, 2)),
        ("RESIZE_BILINEAR", 2, (0, None, None, 1)),
        ("EMBEDDING_LOOKUP", 2, (1, 0)),
        ("HASHTABLE_LOOKUP", 3, (2, 0, 1)),
        ("SPARSE_TO_DENSE", 4, (0, 2, 1, 3)),
        ("PADV2", 3, (0, 1, 2)),
    ],
)
def test_inputs_stand_in_the_order_of_the_kind(
    op: str, count: int, inputs: tuple[int | None, ...]
) -> None:
    assert layer(op, [[1]] * count).inputs == inputs


def test_data_movement() -> None:
    _check(layer("CONCATENATION", [[1], [1]], options=options("Concatenation", axis=-1)),
           Kind.CONCAT, axis=-1)  # fmt: skip
    _check(layer("PACK", [[1], [1]], options=options("Pack", axis=1)), Kind.STACK, axis=1)
    _check(layer("GATHER", [[4], [2]], options=options("Gather", axis=2, batchDims=1)),
           Kind.GATHER, axis=2, batch_dims=1)  # fmt: skip
    _check(layer("SQUEEZE", [[1, 4]], options=options("Squeeze", squeezeDims=[0])),
           Kind.SQUEEZE, axes=(0,))  # fmt: skip
    _check(layer("PAD", [[1, 4], [2, 2]]), Kind.PAD, order="pairs")
    _check(layer("MIRROR_PAD", [[1, 4], [2, 2]]), Kind.PAD, order="pairs")
    masks = options("StridedSlice", beginMask=1, endMask=2, shrinkAxisMask=4, offset=True)
    _check(layer("STRIDED_SLICE", [[4], [1], [1], [1]], options=masks), Kind.STRIDED_SLICE,
           begin_mask=1, end_mask=2, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=4,
           offset=True)  # fmt: skip
    _check(layer("DEPTH_TO_SPACE", [[1, 4, 4, 8]], options=options("DepthToSpace", blockSize=2)),
           Kind.DEPTH_TO_SPACE, block=2, layout="channels_last")  # fmt: skip
    _check(layer("CAST", [[1]]), Kind.CAST, dtype="float32")
    _check(layer("WHERE", [[4]]), Kind.DATA_DEPENDENT)
    _check(layer("SELECT", [[4], [4, 2], [4, 2]]), Kind.WHERE, rows=True)
    _check(layer("ONE_HOT", [[4], [], [], []], options=options("OneHot", axis=-1)),
           Kind.ONE_HOT, axis=-1, dtype="float32")  # fmt: skip


def _lstm(count: int, shapes: dict[int, list[int]]) -> list[Any]:
    return [shapes.get(at) for at in range(count)]


def test_lstm_of_one_step() -> None:
    weights = {0: [1, 5], 2: [8, 5], 3: [8, 5], 4: [8, 5], 6: [8, 3], 16: [3, 8]}
    found = layer("LSTM", _lstm(20, weights), options=options("LSTM"))
    _check(
        found, Kind.RECURRENT, cell="lstm", hidden=8, input_size=5, projection=3,
        coupled_input_gate=True, time_axis=None, batch_axis=None, outputs=("state",),
    )  # fmt: skip
    basic = options("LSTM", kernelType=schema.LSTMKernelType.BASIC)
    found = layer("LSTM", [[1, 5], [1, 8], [32, 13], [32], [1, 8]], [[1, 8]] * 4, basic)
    _check(found, Kind.RECURRENT, hidden=8, input_size=5, outputs=("state", "state", None, None))
    assert found.inputs == (0, 2, None, 3, 1, 4)


def test_lstm_over_a_sequence() -> None:
    weights = {0: [1, 7, 5], 1: [8, 5], 2: [8, 5], 6: [8, 8]}
    found = layer("UNIDIRECTIONAL_SEQUENCE_LSTM", _lstm(24, weights),
                  options=options("UnidirectionalSequenceLSTM"))  # fmt: skip
    _check(found, Kind.RECURRENT, hidden=8, input_size=5, projection=None, coupled_input_gate=False,
           time_axis=1, batch_axis=0, outputs=("sequence",))  # fmt: skip
    diagonal = options("UnidirectionalSequenceLSTM", diagonalRecurrentTensors=True)
    found = layer("UNIDIRECTIONAL_SEQUENCE_LSTM", _lstm(24, weights), options=diagonal)
    assert found.kind == Kind.UNKNOWN


@pytest.mark.parametrize(
    ("merged", "outputs"), [(True, ("sequence",)), (False, ("one_direction", "one_direction"))]
)
def test_lstm_in_both_directions(merged: bool, outputs: tuple[str, ...]) -> None:
    weights = {0: [7, 1, 5], 1: [8, 5], 2: [8, 5], 18: [8, 5], 19: [8, 5], 41: [8, 4], 45: [8, 4]}
    made = [[7, 1, 16]] if merged else [[7, 1, 8]] * 2
    found = layer("BIDIRECTIONAL_SEQUENCE_LSTM", _lstm(48, weights), made,
                  options("BidirectionalSequenceLSTM", mergeOutputs=merged))  # fmt: skip
    _check(found, Kind.RECURRENT, hidden=8, input_size=9, directions=2, time_axis=0, batch_axis=1,
           outputs=outputs)  # fmt: skip
    weights[19] = [6, 5]
    found = layer("BIDIRECTIONAL_SEQUENCE_LSTM", _lstm(48, weights), made,
                  options("BidirectionalSequenceLSTM", mergeOutputs=merged))  # fmt: skip
    assert found.kind == Kind.UNKNOWN


def test_plain_recurrent_layers() -> None:
    found = layer("RNN", [[1, 5], [8, 5], [8, 8], [8], [1, 8]], options=options("RNN"))
    _check(found, Kind.RECURRENT, cell="rnn", hidden=8, input_size=5, outputs=("state",))
    found = layer("UNIDIRECTIONAL_SEQUENCE_RNN", [[7, 1, 5], [8, 5], [8, 8], [8], [1, 8]],
                  options=options("SequenceRNN", timeMajor=True))  # fmt: skip
    _check(found, Kind.RECURRENT, hidden=8, time_axis=0, batch_axis=1, outputs=("sequence",))
    one = [[8, 5], [8, 8], [8], [1, 8]]
    found = layer("BIDIRECTIONAL_SEQUENCE_RNN", [[1, 7, 5], *one, *one, None, None, None],
                  options=options("BidirectionalSequenceRNN", mergeOutputs=True))  # fmt: skip
    _check(found, Kind.RECURRENT, hidden=8, directions=2, time_axis=1, outputs=("sequence",))


def test_recurrent_weights_that_are_no_matrix_are_rejected() -> None:
    with pytest.raises(RejectedModel, match="no matrix of weights"):
        layer("RNN", [[1, 5], [8], [8, 8], [8], [1, 8]])


def test_stablehlo_dot_general_is_an_einsum() -> None:
    found = layer(
        "STABLEHLO_DOT_GENERAL", [[2, 3, 4, 5], [2, 3, 6, 5]],
        options=options(
            "StablehloDotGeneral", lhsBatchingDimensions=[0, 1], rhsBatchingDimensions=[0, 1],
            lhsContractingDimensions=[3], rhsContractingDimensions=[3],
        ),
    )  # fmt: skip
    assert found.kind == Kind.EINSUM
    a, b = np.ones((2, 3, 4, 5)), np.ones((2, 3, 6, 5))
    assert np.einsum(found.attributes["equation"], a, b).shape == (2, 3, 4, 6)
    wrong = options(
        "StablehloDotGeneral", lhsContractingDimensions=[9], rhsContractingDimensions=[0]
    )
    assert layer("STABLEHLO_DOT_GENERAL", [[2], [2]], options=wrong).kind == Kind.UNKNOWN


def _stablehlo_conv(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "windowStrides": [2, 1], "padding": [0, 1, 2, 3], "rhsDilation": [1, 2],
        "inputBatchDimension": 0, "inputFeatureDimension": 3, "inputSpatialDimensions": [1, 2],
        "kernelInputFeatureDimension": 2, "kernelOutputFeatureDimension": 3,
        "kernelSpatialDimensions": [0, 1], "outputBatchDimension": 0, "outputFeatureDimension": 3,
        "outputSpatialDimensions": [1, 2], "featureGroupCount": 3, "batchGroupCount": 1,
    }  # fmt: skip
    wanted = options("StablehloConvolution", **(fields | changes))
    return layer("STABLEHLO_CONVOLUTION", [[1, 8, 8, 6], [3, 3, 2, 6]], options=wanted)


def test_stablehlo_convolution() -> None:
    _check(_stablehlo_conv(), Kind.CONV, layout="channels_last", weight_layout="*IO", groups=3,
           strides=(2, 1), dilations=(1, 2), pads=(0, 2, 1, 3))  # fmt: skip
    for change in (
        {"lhsDilation": [2, 2]},
        {"windowReversal": [True, False]},
        {"batchGroupCount": 2},
        {"outputFeatureDimension": 1, "outputSpatialDimensions": [2, 3]},
        {"kernelSpatialDimensions": [1, 0]},
    ):
        assert _stablehlo_conv(**change).kind == Kind.UNKNOWN


def test_other_stablehlo_operators() -> None:
    _check(layer("STABLEHLO_COMPARE", [[1], [1]],
                 options=options("StablehloCompare", comparisonDirection=5)),
           Kind.BINARY, function="less")  # fmt: skip
    cut = options("StablehloSlice", startIndices=[1, 0], limitIndices=[4, 8], strides=[1, 2])
    _check(layer("STABLEHLO_SLICE", [[4, 8]], options=cut), Kind.STRIDED_SLICE, onnx=True,
           begin=(1, 0), end=(4, 8), axes=(0, 1), steps=(1, 2))  # fmt: skip
    pads = {"edgePaddingLow": [1, 0], "edgePaddingHigh": [0, 2], "interiorPadding": [0, 0]}
    found = layer("STABLEHLO_PAD", [[4, 8], []], options=options("StablehloPad", **pads))
    _check(found, Kind.PAD, pads=(1, 0, 0, 2), order="begin_end")
    assert found.inputs == (0, None, 1)
    pads["interiorPadding"] = [1, 0]
    found = layer("STABLEHLO_PAD", [[4, 8], []], options=options("StablehloPad", **pads))
    assert found.kind == Kind.POSTPROCESS
    _check(layer("STABLEHLO_RESHAPE", [[4, 8]], [[32]]), Kind.RESHAPE, shape=(32,))
    found = layer(
        "STABLEHLO_REDUCE", [[4, 8], []], options=options("StablehloReduce", dimensions=[1])
    )
    _check(found, Kind.REDUCE, axes=(1,), keep_dims=False)


def test_composites_are_calls_of_their_decomposition() -> None:
    wanted = options("StableHLOComposite", name="odml.gelu", decompositionSubgraphIndex=1)
    model = one_op("STABLEHLO_COMPOSITE", [[1]], options=wanted)
    body = model.subgraph("gelu.impl")
    body.op("GELU", [body.tensor([1])], [body.tensor([1])])
    (found,) = model.graph().layers
    _check(found, Kind.CALL, composite="odml.gelu")
    assert found.bodies[0].layers[0].op == "GELU"
    without = options("StableHLOComposite", name="npu.compiled", decompositionSubgraphIndex=0)
    assert layer("STABLEHLO_COMPOSITE", [[1]], options=without).kind == Kind.UNKNOWN


def test_a_call_of_the_first_run_says_so() -> None:
    model = Model()
    model.main.op("CALL_ONCE", [], [], options("CallOnce", initSubgraphIndex=1))
    init = model.subgraph("init")
    init.op("VAR_HANDLE", [], [init.tensor([], "RESOURCE")])
    (found,) = model.graph().layers
    _check(found, Kind.CALL, once=True)
    assert found.bodies[0].layers[0].kind == Kind.VARIABLE


def test_custom_operators_that_are_known() -> None:
    def custom(name: str, *numbers: int) -> Any:
        raw = struct.pack(f"<{len(numbers)}i", *numbers)
        return layer("CUSTOM", [[1, 8, 8, 3], [6, 2, 2, 3], [6]], custom=name, custom_options=raw)

    assert custom("TFLite_Detection_PostProcess").kind == Kind.POSTPROCESS
    assert custom("SignalFilterBank").kind == Kind.UNKNOWN
    _check(custom("Convolution2DTransposeBias", 1, 3, 2), Kind.CONV_TRANSPOSE, pads="same",
           strides=(2, 3), weight_layout="O*I")  # fmt: skip
    assert custom("Convolution2DTransposeBias").kind == Kind.UNKNOWN
    _check(custom("MaxPoolingWithArgmax2D", 2, 1, 2, 3, 4, 0), Kind.POOL, pads="valid",
           strides=(2, 1), kernel=(4, 3))  # fmt: skip
    assert custom("MaxPoolingWithArgmax2D").kind == Kind.POSTPROCESS


def test_operators_known_to_hold_no_macs_are_no_builtin_ones() -> None:
    assert without_macs().isdisjoint(OPERATORS)
    assert len(without_macs()) > 50
