"""Stored tensors in all the ways ONNX holds them, compared with the `onnx` package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import FLOAT, helper, model, node, numpy_helper, onnx, read, tensor, value

from edgewise.errors import InputError, LimitExceeded, RejectedModel

T = onnx.TensorProto
VALUES = [0, 1, 1, 0, 1, 1]


def _stored(proto: Any, opset: int = 21) -> Any:
    """The only stored tensor of a model that holds this TensorProto."""
    found = read(model([node("Identity", "w", "y")], [], [value("y", None)], {"w": proto},
                       opset=opset))  # fmt: skip
    return tensor(found, "w")


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (T.FLOAT, "float32"), (T.DOUBLE, "float64"), (T.FLOAT16, "float16"),
        (T.BFLOAT16, "bfloat16"), (T.INT8, "int8"), (T.UINT8, "uint8"), (T.INT16, "int16"),
        (T.UINT16, "uint16"), (T.INT32, "int32"), (T.INT64, "int64"), (T.UINT32, "uint32"),
        (T.UINT64, "uint64"), (T.BOOL, "bool"), (T.COMPLEX64, "complex64"),
        (T.COMPLEX128, "complex128"), (T.INT4, "int4"), (T.UINT4, "uint4"),
        (T.FLOAT8E4M3FN, "float8_e4m3fn"), (T.FLOAT8E5M2, "float8_e5m2"),
    ],
)  # fmt: skip
def test_every_dtype_raw_and_typed(dtype: int, name: str, raw: bool) -> None:
    wanted = np.array(VALUES).reshape(2, 3).astype(helper.tensor_dtype_to_np_dtype(dtype))
    proto = numpy_helper.from_array(wanted)
    if not raw:
        proto = helper.make_tensor("w", dtype, (2, 3), wanted.flatten().tolist())
        assert not proto.HasField("raw_data")
    found = _stored(proto)
    assert (found.dtype, found.shape) == (name, (2, 3))
    assert found.weights is not None
    assert found.weights.load().nbytes == found.weights.nbytes
    values = found.array()
    if name.startswith("float8"):
        wanted = wanted.view(np.uint8)
    np.testing.assert_array_equal(np.asarray(values), wanted.astype(values.dtype))


@pytest.mark.parametrize("dtype", [T.INT8, T.INT16, T.INT32, T.INT64])
def test_negative_numbers_in_typed_fields(dtype: int) -> None:
    numbers = [-128, -1, 0, 127]
    assert _stored(helper.make_tensor("w", dtype, [4], numbers)).array().tolist() == numbers


def test_typed_fields_that_are_not_packed() -> None:
    proto = onnx.TensorProto(data_type=T.INT32, dims=[3])
    content = proto.SerializeToString() + b"\x28\x05\x28\x07\x28\x96\x01"
    unpacked = onnx.TensorProto.FromString(content)
    assert list(unpacked.int32_data) == [5, 7, 150]
    whole = model([node("Identity", "w", "y")], [], [value("y", None)], {"w": unpacked})
    plain = tensor(read(whole), "w")
    assert plain.array().tolist() == [5, 7, 150]


@pytest.mark.parametrize(
    ("dims", "content"),
    [([2], b"\x01"), ([3], b"\x01\x02\x83"), ([1], b"\x81" * 11 + b"\x01"), ([2], b"\x01\x02\x03")],
)
def test_typed_fields_that_do_not_fit_fail_when_read(dims: list[int], content: bytes) -> None:
    from onnx_models import MemoryFile

    from edgewise.formats import onnx as reader

    proto = model([node("Identity", "w", "y")], [], [value("y", None)],
                  {"w": helper.make_tensor("w", T.INT32, dims, [99] * dims[0])})  # fmt: skip
    good = bytes([0x2A, dims[0]]) + b"\x63" * dims[0]
    bad = bytes([0x2A, len(content)]) + content
    whole = proto.SerializeToString()
    shift = len(bad) - len(good)
    # The initialiser's, the graph's lengths are one byte each in so small a model.
    start = whole.index(good)
    changed = bytearray(whole[:start] + bad + whole[start + len(good) :])
    tensor_length = whole.rindex(b"\x2a", 0, start) + 1
    graph_length = whole.index(b"\x3a") + 1
    changed[tensor_length] += shift
    changed[graph_length] += shift
    found = tensor(reader.read(MemoryFile(bytes(changed))), "w")
    with pytest.raises(InputError, match="tensor 'w'"):
        found.array()


def test_strings_have_bytes_but_no_array() -> None:
    found = _stored(helper.make_tensor("w", T.STRING, [2], [b"ab", b"cde"]))
    assert found.dtype == "string"
    assert bytes(found.weights.load()) == b"abcde"
    with pytest.raises(ValueError, match="no array"):
        found.array()


def test_an_empty_tensor_is_stored_too() -> None:
    found = _stored(helper.make_tensor("w", T.FLOAT, [0, 3], []))
    assert found.array().shape == (0, 3)


@pytest.mark.parametrize(
    ("dims", "content", "why"),
    [([2], b"\0" * 7, "7 bytes"), ([2, -1], b"\0" * 8, "dimensions"), ([2], None, "no data"),
     ([1] * 65, b"\0" * 4, "65 dimensions")],
)  # fmt: skip
def test_contents_must_fit_the_shape(dims: list[int], content: bytes | None, why: str) -> None:
    proto = onnx.TensorProto(data_type=T.FLOAT, dims=dims)
    if content is not None:
        proto.raw_data = content
    with pytest.raises(RejectedModel, match=why):
        _stored(proto)


# External files


def _external(location: str, **entries: int) -> Any:
    proto = onnx.TensorProto(data_type=T.FLOAT, dims=[2], data_location=T.EXTERNAL)
    for key, text in {"location": location, **entries}.items():
        proto.external_data.add(key=key, value=str(text))
    return model([node("Identity", "w", "y")], [], [value("y", None)], {"w": proto})


DATA = np.arange(5, dtype=np.float32).tobytes()


def test_external_data_is_found_beside_the_model() -> None:
    found = read(_external("w_bin", offset=8, length=8), w_bin=DATA)
    assert tensor(found, "w").array().tolist() == [2.0, 3.0]
    assert found.companions == ("w_bin",)
    assert found.notes == []
    assert tensor(read(_external("./w_bin"), w_bin=DATA), "w").array().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("location", ["gone", "../w_bin", "/w_bin", "sub/w_bin", "..", "", "a\\b"])
def test_external_data_that_is_elsewhere_is_missing(location: str) -> None:
    found = read(_external(location), w_bin=DATA)
    weights = tensor(found, "w").weights
    assert weights is not None
    assert weights.nbytes == 8
    assert found.companions == ()
    assert found.missing == (location,)
    with pytest.raises(InputError, match="missing"):
        weights.load()


def test_external_data_that_ends_too_early_fails_when_read() -> None:
    found = read(_external("w_bin", offset=16), w_bin=DATA)
    with pytest.raises(InputError, match="w_bin: ends before byte 24"):
        tensor(found, "w").array()


@pytest.mark.parametrize("entries", [{"offset": "-8"}, {"offset": "x"}, {"length": 12}])
def test_external_data_with_wrong_numbers_is_rejected(entries: Any) -> None:
    with pytest.raises(RejectedModel, match="external data"):
        read(_external("w_bin", **entries), w_bin=DATA)


# Sparse tensors and constants


def _sparse(indices: Any, dims: list[int]) -> Any:
    values = numpy_helper.from_array(np.array([5, 7], np.float32), "w")
    places = numpy_helper.from_array(np.array(indices, np.int64), "at")
    return helper.make_sparse_tensor(values, places, dims)


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_initialisers_fill_up_when_read(indices: Any) -> None:
    proto = model([node("Identity", "w", "y")], [], [value("y", None)])
    proto.graph.sparse_initializer.append(_sparse(indices, [2, 3]))
    found = tensor(read(proto), "w")
    assert found.shape == (2, 3)
    assert found.array().tolist() == [[0, 5, 0], [0, 0, 7]]


def test_sparse_tensors_do_not_fill_memory() -> None:
    proto = model([node("Identity", "w", "y")], [], [value("y", None)])
    proto.graph.sparse_initializer.append(_sparse([1, 5], [1 << 20, 1 << 20]))
    found = tensor(read(proto), "w")
    with pytest.raises(LimitExceeded):
        found.array()
    proto.graph.sparse_initializer[0].CopyFrom(_sparse([1, 50], [2, 3]))
    with pytest.raises(InputError):
        tensor(read(proto), "w").array()


@pytest.mark.parametrize(
    ("attributes", "dtype", "expected"),
    [
        ({"value_int": -3}, "int64", -3), ({"value_ints": [1, 2]}, "int64", [1, 2]),
        ({"value_float": 0.5}, "float32", 0.5), ({"value_floats": [0.5]}, "float32", [0.5]),
        ({"value": helper.make_tensor("v", FLOAT, [2], [1, 2])}, "float32", [1, 2]),
        ({"sparse_value": _sparse([0, 2], [3])}, "float32", [5, 0, 7]),
    ],
)  # fmt: skip
def test_constants(attributes: Any, dtype: str, expected: Any) -> None:
    found = read(model([node("Constant", "", "y", **attributes)], [], [value("y", None, 0)]))
    assert found.layers[0].kind == "constant"
    made = tensor(found, "y")
    assert made.dtype == dtype
    assert made.array().tolist() == expected


def test_a_constant_string() -> None:
    found = read(
        model([node("Constant", "", "y", value_strings=["a", "b"])], [], [value("y", None, 0)])
    )
    assert (tensor(found, "y").dtype, tensor(found, "y").shape) == ("string", (2,))


# Quantisation


@pytest.mark.parametrize(
    ("scales", "attributes", "expected"),
    [
        (np.array(0.5, np.float32), {}, (1, None, None)),
        (np.ones(4, np.float32), {"axis": 0}, (4, 0, None)),
        (np.ones((4, 2), np.float32), {"axis": 1, "block_size": 3}, (8, 1, 3)),
    ],
)
def test_weights_know_how_they_are_quantised(scales: Any, attributes: Any, expected: Any) -> None:
    found = read(
        model([node("DequantizeLinear", "w s", "y", **attributes)], [], [value("y", None)],
              {"w": np.ones((4, 6), np.int8), "s": scales})
    )  # fmt: skip
    made = tensor(found, "w").quantization
    assert made is not None
    assert (made.scales, made.axis, made.block_size) == expected
    assert tensor(found, "y").dtype == "float32"


def test_a_weight_that_a_body_dequantises_is_described_where_it_is_stored() -> None:
    from onnx_models import BOOL, graph

    branch = graph([node("DequantizeLinear", "w s", "p")], [], [value("p", None)])
    other = graph([node("DequantizeLinear", "w s", "q")], [], [value("q", None)])
    found = read(
        model([node("If", "c", "y", then_branch=branch, else_branch=other)],
              [value("c", [], BOOL)], [value("y", None)],
              {"w": np.ones(4, np.int8), "s": np.array(0.5, np.float32)})
    )  # fmt: skip
    assert tensor(found, "w").quantization is not None
