"""The two encodings of tensors that both protocols share."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from edgewise.protocol.messages import DATATYPES, BadRequest, Tensor
from edgewise.protocol.tensors import from_elements, from_raw, to_elements, to_raw

NUMBERS = sorted(DATATYPES)


@given(some.data(), some.sampled_from(NUMBERS))
def test_numbers_survive_both_encodings(data, datatype):
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    finite = {"allow_nan": False, "allow_infinity": False}
    elements = finite if datatype.startswith("FP") else None
    dtype = np.dtype(DATATYPES[datatype])
    values = data.draw(
        arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, **(elements or {})))
    )
    tensor = Tensor("x", datatype, shape, values)
    raw = from_raw("x", datatype, shape, bytes(to_raw(tensor)))
    listed = from_elements("x", datatype, shape, to_elements(tensor))
    for back in (raw, listed):
        assert back.shape == shape
        assert back.values.dtype == dtype
        np.testing.assert_array_equal(back.values, values)


@given(some.lists(some.binary(max_size=20), max_size=5))
def test_bytes_survive_both_encodings(elements):
    tensor = Tensor("x", "BYTES", (len(elements),), tuple(elements))
    assert from_raw("x", "BYTES", tensor.shape, to_raw(tensor)) == tensor
    assert from_elements("x", "BYTES", tensor.shape, to_elements(tensor)) == tensor


@given(some.binary(max_size=40), some.integers(0, 5))
def test_rubbish_is_a_bad_request_or_exactly_those_bytes(content, count):
    try:
        tensor = from_raw("x", "BYTES", [count], content)
    except BadRequest as error:
        assert "'x'" in error.message
    else:
        assert to_raw(tensor) == content


def test_raw_numbers_are_a_view_that_nobody_can_write():
    buffer = bytearray(struct.pack("<3f", 1, 2, 3))
    values = from_raw("x", "FP32", [3], buffer).values
    buffer[:4] = struct.pack("<f", 9)
    assert values[0] == 9
    assert not values.flags.writeable


def test_values_that_are_not_contiguous_are_written_in_row_major_order():
    values = np.arange(6, dtype=np.int16).reshape(2, 3).T
    raw = to_raw(Tensor("x", "INT16", (3, 2), values))
    assert list(struct.unpack("<6h", raw)) == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("datatype", "shape", "elements"),
    [
        ("UINT8", [1], [256]), ("INT8", [1], [-129]), ("UINT64", [1], [-1]),
        ("INT64", [1], [2**63]), ("INT32", [1], [1.0]), ("INT32", [2], [True, 1]),
        ("BOOL", [1], [1]), ("FP16", [1], [70000]), ("FP32", [1], [1e39]),
        ("FP64", [1], [10**400]), ("FP32", [1], ["1"]), ("FP32", [1], [None]),
        ("FP32", [1], [[1.0]]), ("BYTES", [1], [1]), ("BYTES", [1], ["\ud800"]),
        ("FP32", [2], [1.0]), ("FP32", [-1], [1.0]), ("FP8", [1], [1.0]),
        ("FP32", [1] * 33, [1.0]), ("FP32", [True], [1.0]),
    ],
)  # fmt: skip
def test_elements_that_do_not_fit_are_refused_by_name(datatype, shape, elements):
    with pytest.raises(BadRequest, match="'x'"):
        from_elements("x", datatype, shape, elements)


@pytest.mark.parametrize(
    ("datatype", "shape", "content"),
    [
        ("FP32", [1], b"abc"), ("FP32", [2], b"\0" * 4), ("BOOL", [1], b"\2"),
        ("BYTES", [1], b"\1\0\0\0"), ("BYTES", [1], b"\1\0\0\0ab"),
        ("BYTES", [2], b"\4\0\0\0abcd"), ("BYTES", [10**12], b""),
        ("UINT8", [0, 2**62, 2**62], b""), ("FP32", [2**62, 4], b""), ("BF16", [1], b"\0\0"),
    ],
)  # fmt: skip
def test_raw_contents_that_do_not_fit_are_refused_by_name(datatype, shape, content):
    with pytest.raises(BadRequest, match="'x'"):
        from_raw("x", datatype, shape, content)


def test_infinity_and_nan_are_numbers():
    values = from_elements("x", "FP32", [2], [float("inf"), float("nan")]).values
    assert np.isinf(values[0])
    assert np.isnan(values[1])
