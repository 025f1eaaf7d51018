"""The TFLite reader: structure, tensors, weights, subgraphs, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_models import MemoryFile, Model, layer, one_op, options, schema

from edgewise.errors import InputError, LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import tflite
from edgewise.formats.tflite.schema import ACTIVATIONS, OPERATORS, PADDINGS, TENSOR_TYPES
from edgewise.graph import DTYPE_BITS, FreeDim, Kind, Quantization


def _numbers(enumeration: type) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}


def test_operators_and_types_are_those_of_the_schema() -> None:
    assert dict(enumerate(OPERATORS)).items() >= _numbers(schema.BuiltinOperator).items()
    theirs = _numbers(schema.TensorType)
    assert [theirs[at].lower() for at in range(len(theirs))] == list(TENSOR_TYPES[: len(theirs)])
    assert set(TENSOR_TYPES) - set(DTYPE_BITS) == {"string", "resource", "variant"}
    assert [str(name).upper() for name in ACTIVATIONS] == list(
        _numbers(schema.ActivationFunctionType).values()
    )
    assert [name.upper() for name in PADDINGS] == list(_numbers(schema.Padding).values())


def test_operators_are_those_of_the_tflite_package() -> None:
    other = pytest.importorskip("tflite")
    assert dict(enumerate(OPERATORS)).items() >= _numbers(other.BuiltinOperator).items()


@pytest.mark.parametrize(
    ("head", "name", "low", "high"),
    [
        (b"\x1c\0\0\0TFL3", "anything.bin", 0.9, 1.0),
        (b"\x1c\0\0\0TFL3", "x.tflite", 0.9, 1.0),
        (b"encrypted!", "Model.TFLITE", 0.3, 0.5),
        (b"", "x.lite", 0.3, 0.5),
        (b"PK\x03\x04....", "x.task", 0.0, 0.0),
        (b"\0\0\0\0TFL2", "x.bin", 0.0, 0.0),
    ],
)
def test_recognised_by_identifier_or_extension(
    head: bytes, name: str, low: float, high: float
) -> None:
    assert low <= tflite.recognise(head, name) <= high


def test_inputs_outputs_and_tensors() -> None:
    model = Model()
    main = model.main
    x = main.tensor([1, 4], name="x")
    w = main.tensor(data=np.arange(12, dtype=np.float32).reshape(3, 4), name="w")
    y = main.tensor([1, 3], name="y")
    main.op("FULLY_CONNECTED", [x, w, -1], [y], options("FullyConnected"))
    main.table.inputs, main.table.outputs = [x], [y]
    graph = model.graph()
    assert (graph.format, graph.level, graph.name) == ("tflite", "graph", "m")
    assert (graph.inputs, graph.outputs) == ([x], [y])
    (only,) = graph.layers
    assert (only.name, only.op, only.kind) == ("y", "FULLY_CONNECTED", Kind.DENSE)
    assert (only.inputs, only.outputs) == ((x, w), (y,))
    assert [tensor.shape for tensor in graph.tensors] == [(1, 4), (3, 4), (1, 3)]
    assert graph.tensors[x].weights is None
    assert graph.tensors[w].weights is not None
    assert graph.tensors[w].array().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_weights_of_one_buffer_are_one_object() -> None:
    model = one_op("ADD", [np.ones(3, np.float32), np.zeros(3, np.float32)])
    tensors = model.main.table.tensors
    tensors[1].buffer = tensors[0].buffer
    graph = model.graph()
    assert graph.tensors[0].weights is graph.tensors[1].weights


def test_names_that_are_missing_or_no_text() -> None:
    model = one_op("RELU", [[1]])
    model.main.table.tensors[0].name = None
    model.main.table.tensors[1].name = b"\xff"
    assert [tensor.name for tensor in model.graph().tensors] == ["tensor_0", "\ufffd"]


def test_free_dimensions_are_named_and_keep_the_stored_size() -> None:
    model = Model()
    main = model.main
    x = main.tensor([1, 7, 3], name="x", shapeSignature=[-1, -1, 3])
    flat = main.tensor([16], name="wave", shapeSignature=[-1])
    y = main.tensor([1, 7, 3], name="y", shapeSignature=[-1, -1, 3])
    main.op("RELU", [x], [y])
    main.table.inputs, main.table.outputs = [x, flat], [y]
    graph = model.graph()
    assert graph.tensors[x].shape == (FreeDim("batch", 1), FreeDim("x_1", 7), 3)
    assert graph.tensors[flat].shape == (FreeDim("wave_0", 16),)
    assert graph.tensors[y].shape == (FreeDim("y_0", 1), FreeDim("y_1", 7), 3)


def test_a_negative_size_without_a_signature_is_free() -> None:
    model = one_op("RELU", [[-1, 8]])
    assert model.graph().tensors[0].shape == (FreeDim("batch", None), 8)
    with pytest.raises(RejectedModel, match="shape"):
        one_op("RELU", [[-2, 8]]).graph()


def test_scalars_and_tensors_without_rank() -> None:
    model = one_op("RELU", [[]])
    assert model.graph().tensors[0].shape == ()  # a file from before has_rank
    model.main.tensor([2], hasRank=True)
    assert model.graph().tensors[0].shape is None
    model.main.table.tensors[0].hasRank = True
    assert model.graph().tensors[0].shape == ()


def test_a_constant_without_elements_is_a_constant() -> None:
    model = one_op("RESHAPE", [[1], np.zeros(0, np.int32)], [[]])
    target = model.graph().tensors[1]
    assert target.weights is not None
    assert target.weights.nbytes == 0
    assert target.array().tolist() == []


def _quantized(**fields: object) -> Quantization | None:
    parameters = schema.QuantizationParametersT()
    for key, value in fields.items():
        setattr(parameters, key, value)
    model = one_op("RELU", [[4, 6]])
    model.main.table.tensors[0].quantization = parameters
    model.main.tensor([4, 2], name="scales")
    return model.graph().tensors[0].quantization


def test_quantisation_per_tensor_per_channel_and_none() -> None:
    assert _quantized() is None
    assert _quantized(min=[0.0], max=[1.0]) is None
    assert _quantized(scale=[0.5], zeroPoint=[3]) == Quantization(1, scale=0.5, zero_point=3)
    several = _quantized(scale=[0.5] * 6, zeroPoint=[0] * 6, quantizedDimension=1)
    assert several == Quantization(6, axis=1)


def test_quantisation_per_block_has_its_scales_in_a_tensor() -> None:
    details = schema.BlockwiseQuantizationT()
    details.scales, details.blockSize = 2, 3
    kind = schema.QuantizationDetails.BlockwiseQuantization
    stated = _quantized(detailsType=kind, details=details)
    assert stated == Quantization(8, axis=0, block_size=3)


def test_types_below_a_byte_come_unpacked() -> None:
    model = Model()
    weight = model.main.tensor([3], "INT4", name="w", buffer=model.buffer(b"\x21\x0f"))
    graph = model.graph()
    assert graph.tensors[weight].dtype == "int4"
    assert graph.tensors[weight].array().tolist() == [1, 2, -1]


def test_sparse_weights_keep_their_dense_shape() -> None:
    model = one_op("DENSIFY", [np.ones(2, np.float32)], [[8]])
    tensor = model.main.table.tensors[0]
    tensor.shape, tensor.sparsity = [8], schema.SparsityParametersT()
    stored = model.graph().tensors[0]
    assert stored.shape == (8,)
    assert stored.weights is not None
    assert stored.weights.nbytes == 8


def test_weights_that_do_not_fill_their_shape_are_rejected() -> None:
    model = one_op("RELU", [np.ones(2, np.float32)])
    model.main.table.tensors[0].shape = [3]
    with pytest.raises(RejectedModel, match=r"'t0' holds 8 bytes, its shape needs 12"):
        model.graph()


def test_buffers_behind_the_flatbuffer() -> None:
    """Files over 2 GiB keep their weights there; `offset` counts from the start of the file."""
    model = one_op("RELU", [[3]])
    buffer = schema.BufferT()
    buffer.offset, buffer.size = 1, 1
    model.table.buffers.append(buffer)
    model.main.table.tensors[0].buffer = 1
    size = len(model.content())
    buffer.offset, buffer.size = size + 200, 12
    content = model.content()
    weights = np.array([1, 2, 3], np.float32).tobytes()
    padded = content + bytes(size + 200 - len(content))
    graph = tflite.read(MemoryFile(padded + weights))
    assert graph.tensors[0].array().tolist() == [1, 2, 3]
    with pytest.raises(RejectedModel, match="buffer 1 ends at byte"):
        tflite.read(MemoryFile(padded + weights[:-1]))


def _external() -> Model:
    model = one_op("RELU", [[2]])
    group = schema.ExternalBufferGroupT()
    group.name = "weights.bin"
    buffer = schema.ExternalBufferT()
    buffer.id, buffer.group, buffer.offset, buffer.length = 7, 0, 4, 8
    model.table.externalBufferGroups, model.table.externalBuffers = [group], [buffer]
    model.main.table.tensors[0].externalBuffer = 7
    return model


def test_weights_in_another_file() -> None:
    beside = {"weights.bin": bytes(4) + np.array([5, 6], np.float32).tobytes()}
    graph = tflite.read(MemoryFile(_external().content(), **beside))
    assert graph.companions == ("weights.bin",)
    assert graph.notes == []
    assert graph.tensors[0].array().tolist() == [5, 6]


def test_weights_in_another_file_that_is_not_there() -> None:
    graph = tflite.read(MemoryFile(_external().content()))
    assert graph.missing == ("weights.bin",)
    assert graph.tensors[0].weights is not None
    assert graph.tensors[0].weights.nbytes == 8
    with pytest.raises(InputError, match=r"weights\.bin"):
        graph.tensors[0].array()


def test_operator_numbers_old_new_custom_and_unknown() -> None:
    old = one_op("TANH", [[1]])
    old.table.operatorCodes[0].builtinCode = 0
    assert old.graph().layers[0].op == "TANH"
    assert layer("STABLEHLO_CBRT", [[1]]).op == "STABLEHLO_CBRT"
    future = layer(5000, [[1]])
    assert (future.op, future.kind) == ("BUILTIN_5000", Kind.UNKNOWN)
    custom = layer("CUSTOM", [[1]], custom="MyOp")
    assert (custom.op, custom.kind) == ("MyOp", Kind.UNKNOWN)


def _loop() -> Model:
    model = one_op(
        "WHILE", [[1]], options=options("While", condSubgraphIndex=1, bodySubgraphIndex=2)
    )
    for name, op in (("cond", "LESS"), ("body", "ADD")):
        body = model.subgraph(name)
        body.table.inputs = [body.tensor([1]), body.tensor([1])]
        body.table.outputs = [body.tensor([1])]
        body.op(op, body.table.inputs, body.table.outputs)
    return model


def test_bodies_of_control_flow_are_graphs() -> None:
    graph = _loop().graph()
    (loop,) = graph.layers
    assert loop.kind == Kind.LOOP
    assert loop.attributes["style"] == "while"
    assert [body.name for body in loop.bodies] == ["cond", "body"]
    assert [body.layers[0].op for body in loop.bodies] == ["LESS", "ADD"]


def test_a_subgraph_that_calls_itself_is_rejected() -> None:
    model = _loop()
    body = model.table.subgraphs[2]
    body.operators[0] = model.main.table.operators[0]
    with pytest.raises(RejectedModel, match="subgraph 2 calls itself"):
        model.graph()


def test_bodies_that_multiply_are_limited() -> None:
    """Every subgraph calls the next one twice: 2^24 layers from 24 subgraphs."""
    model = Model()
    graphs = [model.main] + [model.subgraph(str(at)) for at in range(24)]
    for at, graph in enumerate(graphs[:-1]):
        both = options("If", thenSubgraphIndex=at + 1, elseSubgraphIndex=at + 1)
        graph.op("IF", [graph.tensor([1], "BOOL")], [], both)
    with pytest.raises(LimitExceeded, match="layers in all"):
        model.graph()


def test_control_flow_nested_too_deep_is_limited() -> None:
    model = Model()
    graphs = [model.main] + [model.subgraph(str(at)) for at in range(40)]
    for at, graph in enumerate(graphs[:-1]):
        graph.op("CALL", [], [], options("Call", subgraph=at + 1))
    with pytest.raises(LimitExceeded, match="nested deeper"):
        model.graph()


def test_signatures_and_the_entry_points_that_are_not_counted() -> None:
    model = one_op("RELU", [[1]])
    other = model.subgraph("decode")
    other.table.inputs = other.table.outputs = [other.tensor([1])]
    model.table.signatureDefs = []
    for number, key in enumerate(("prefill", "decode")):
        signature, entry = schema.SignatureDefT(), schema.TensorMapT()
        entry.name, entry.tensorIndex = "tokens", 0
        signature.signatureKey, signature.subgraphIndex = key, number
        signature.inputs, signature.outputs = [entry], []
        model.table.signatureDefs.append(signature)
    graph = model.graph()
    assert [(one.name, one.subgraph) for one in graph.signatures] == [("prefill", 0), ("decode", 1)]
    assert graph.signatures[0].inputs == {"tokens": 0}
    assert len(graph.notes) == 1
    assert "decode" in graph.notes[0]


def test_a_file_without_identifier_is_parsed_if_it_fits() -> None:
    model = one_op("RELU", [[1]])
    assert len(tflite.read(MemoryFile(model.content(b"\0\0\0\0"))).layers) == 1
    with pytest.raises(RejectedModel, match="neither the identifier"):
        tflite.read(MemoryFile(bytes(range(256)) * 8))
    with pytest.raises(RejectedModel, match="neither the identifier"):
        tflite.read(MemoryFile(b""))


def test_another_schema_version_is_opaque() -> None:
    model = one_op("RELU", [[1]])
    model.table.version = 4
    with pytest.raises(OpaqueModel, match="version 4"):
        model.graph()


@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_tensors_that_do_not_exist_are_rejected(field: str) -> None:
    model = one_op("RELU", [[1]])
    setattr(model.main.table, field, [9])
    with pytest.raises(RejectedModel, match=f"{field} of subgraph 0"):
        model.graph()
    model = one_op("RELU", [[1]])
    setattr(model.main.table.operators[0], field, [-2])
    with pytest.raises(RejectedModel, match="subgraph 0, operator 0"):
        model.graph()


def test_other_numbers_that_do_not_exist_are_rejected() -> None:
    model = one_op("RELU", [[1]])
    model.main.table.operators[0].opcodeIndex = 3
    with pytest.raises(RejectedModel, match="operator code 3"):
        model.graph()
    model = one_op("RELU", [[1]])
    model.main.table.tensors[0].buffer = 3
    with pytest.raises(RejectedModel, match="buffer 3"):
        model.graph()
    with pytest.raises(RejectedModel, match="subgraph 5"):
        layer("CALL", [], options=options("Call", subgraph=5))
    empty = Model()
    empty.table.subgraphs = []
    with pytest.raises(RejectedModel, match="no subgraphs"):
        empty.graph()
