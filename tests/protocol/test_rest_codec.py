"""Bodies to requests, results to bodies, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from msgspec.structs import replace
from rest_fakes import RESULT

from edgewise.protocol.http import codec, jsondata
from edgewise.protocol.messages import DATATYPES, BadRequest, Tensor
from edgewise.protocol.metadata import TensorMetadata
from edgewise.protocol.tensors import to_elements, to_raw


@st.composite
def tensors(draw: st.DrawFn, name: str = "x", *, in_json: bool = False) -> Tensor:
    datatypes = [*DATATYPES, "BYTES"]
    if in_json:
        datatypes.remove("FP16")
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if datatype == "BYTES":
        size = math.prod(shape)
        element = st.text(max_size=9).map(str.encode) if in_json else st.binary(max_size=9)
        return Tensor(
            name, datatype, shape, tuple(draw(st.lists(element, min_size=size, max_size=size)))
        )
    dtype = np.dtype(DATATYPES[datatype])
    elements = hnp.from_dtype(dtype, allow_nan=not in_json, allow_infinity=not in_json)
    return Tensor(name, datatype, shape, draw(hnp.arrays(dtype, shape, elements=elements)))


def same(one: Tensor, other: Tensor) -> bool:
    if (one.name, one.datatype, one.shape) != (other.name, other.datatype, other.shape):
        return False
    if isinstance(one.values, tuple) or isinstance(other.values, tuple):
        return one.values == other.values
    return one.values.shape == other.values.shape and one.values.tobytes() == other.values.tobytes()


def as_input(tensor: Tensor, binary: bool, nested: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)
    }  # fmt: skip
    if binary:
        made["parameters"] = {"binary_data_size": len(to_raw(tensor))}
        return made
    elements = to_elements(tensor)
    if tensor.datatype == "BYTES":
        elements = [each.decode() for each in elements]
    if nested and tensor.shape:
        elements = np.array(elements, object).reshape(tensor.shape).tolist()
    return made | {"data": elements}


@given(st.lists(st.booleans(), min_size=1, max_size=3).flatmap(
    lambda kinds: st.tuples(
        *(st.tuples(st.just(binary), tensors(f"in{i}", in_json=not binary))
          for i, binary in enumerate(kinds)))))  # fmt: skip
def test_requests_round_trip(inputs: tuple[tuple[bool, Tensor], ...]) -> None:
    head = json.dumps({"inputs": [as_input(t, binary) for binary, t in inputs]}).encode()
    body = head + b"".join(bytes(to_raw(t)) for binary, t in inputs if binary)
    asked = codec.decode(body, len(head))
    assert all(same(got, t) for got, (_, t) in zip(asked.inputs, inputs, strict=True))


@given(tensors(in_json=True), st.sampled_from([None, 1, "\t"]))
def test_nested_data_is_taken(tensor: Tensor, indent: Any) -> None:
    body = json.dumps({"inputs": [as_input(tensor, False, nested=True)]}, indent=indent).encode()
    (got,) = codec.decode(body, None).inputs
    assert same(got, tensor)


@given(st.lists(st.tuples(st.booleans(), tensors(in_json=True)), max_size=3), st.booleans())
def test_results_round_trip(outputs: list[tuple[bool, Tensor]], default: bool) -> None:
    given_tensors = tuple(replace(t, name=f"out{i}") for i, (_, t) in enumerate(outputs))
    binary = frozenset(t.name for t, (b, _) in zip(given_tensors, outputs, strict=True) if b)
    asked = codec.Asked((), {}, binary=binary, binary_default=default)
    length, parts = codec.encode(replace(RESULT, outputs=given_tensors), asked)
    body = b"".join(parts)
    assert (length is not None) == bool(binary or (default and outputs))
    # An answer's outputs are written as a request's inputs are.
    told = json.loads(body[:length])
    again = json.dumps({"inputs": told["outputs"] or [as_input(SCALAR, False)]}).encode()
    again += b"" if length is None else body[length:]
    if any(t.datatype == "FP16" for t in given_tensors):
        return
    got = codec.decode(again, len(again) - (0 if length is None else len(body) - length)).inputs
    assert all(same(a, b) for a, b in zip(got, given_tensors, strict=False))


SCALAR = Tensor("s", "INT8", (1,), np.array([1], np.int8))


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 200)))
def test_no_bytes_do_anything_but_fail_clearly(body: bytes, length: int | None) -> None:
    with pytest.raises(BadRequest):
        codec.decode(body, length)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(
    st.sampled_from([*DATATYPES, "BYTES", "?"]), st.lists(st.integers(-1, 2**64), max_size=4), _json
)
def test_no_data_does_anything_but_fail_clearly(datatype: str, shape: list[int], data: Any) -> None:
    body = json.dumps(
        {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]}
    )
    try:
        (tensor,) = codec.decode(body.encode(), None).inputs
    except BadRequest as error:
        assert error.message
    else:
        assert len(to_elements(tensor)) == math.prod(shape)


def test_numbers_are_a_view_of_the_body() -> None:
    values = np.arange(6, dtype=np.float32)
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3],
                     "parameters": {"binary_data_size": 24}}]}
    ).encode()  # fmt: skip
    body = np.frombuffer(bytearray(head + values.tobytes()), np.uint8)
    (tensor,) = codec.decode(body.data, len(head)).inputs
    assert isinstance(tensor.values, np.ndarray)
    assert np.shares_memory(tensor.values, body)
    assert not tensor.values.flags.writeable


def _binary(datatype: str, shape: list[int], content: bytes, **more: Any) -> tuple[bytes, int]:
    parameters = {"binary_data_size": len(content)}
    one = {"name": "x", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = json.dumps({"inputs": [one], **more}).encode()
    return head + content, len(head)


def test_the_same_head_again_says_the_same_of_other_numbers() -> None:
    for number in range(4):
        sent = np.arange(6, dtype=np.float32).reshape(2, 3) + number
        body, length = _binary("FP32", [2, 3], sent.tobytes(), parameters={"sla_ms": 5.0})
        asked = codec.decode(memoryview(body), length)
        (tensor,) = asked.inputs
        assert isinstance(tensor.values, np.ndarray)
        assert (tensor.shape, tensor.values.tolist()) == ((2, 3), sent.tolist())
        assert not tensor.values.flags.writeable
        assert asked.parameters == {"sla_ms": 5.0}


def test_the_same_head_again_is_checked_again() -> None:
    body, length = _binary("FP32", [2], bytes(8))
    codec.decode(body, length)
    for wrong in (body[:-1], body + b"0", body[:length]):
        with pytest.raises(BadRequest):
            codec.decode(wrong, length)
    body, length = _binary("BOOL", [2], bytes((0, 1)))
    codec.decode(body, length)
    with pytest.raises(BadRequest, match="neither 0 nor 1"):
        codec.decode(body[:length] + bytes((0, 2)), length)


def test_large_data_is_decoded_in_slices() -> None:
    values = np.random.default_rng(0).standard_normal((300, 40, 3)).astype(np.float32)
    for data in (values.ravel().tolist(), values.tolist()):
        text = json.dumps(data).encode()
        assert len(text) > 4 * 128 * 1024
        got = jsondata.decode("x", "FP32", [300, 40, 3], text)
        assert np.array_equal(got.values, values)


@pytest.mark.parametrize(
    ("broken", "words"),
    [(lambda t: t.replace(b", ", b",, ", 1), "'x'"),
     (lambda t: t[:-1] + b",]", "'x'"),
     (lambda t: t[:-1] + b', "1"]', "'x'"),
     (lambda t: t[:-1], "'x'"),
     (lambda t: t[:-1] + b", 1]", "elements"),
     (lambda t: t.replace(b", ", b" ", 1), "'x'"),
     (lambda t: b"[" + t + b"]", "nested"),
     (lambda t: t.replace(b"[1", b"[[1", 1), "nested")],
)  # fmt: skip
def test_large_data_is_checked_as_strictly(broken: Any, words: str) -> None:
    text = json.dumps([1] * 100_000).encode()
    with pytest.raises(BadRequest, match=words):
        jsondata.decode("x", "INT8", [100_000], broken(text))


@pytest.mark.parametrize("shape", [[10**9, 10**9], [0, 10**9], [2**62, 0], [1] * 40, []])
def test_astronomic_shapes_cost_nothing(shape: list[int]) -> None:
    with pytest.raises(BadRequest):
        jsondata.decode("x", "FP32", shape, b"[[1],[2]]")


def test_base64_is_taken_where_it_is_said() -> None:
    def body(**parameters: str) -> bytes:
        return json.dumps(
            {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["aGk="],
                         "parameters": parameters}]}
        ).encode()  # fmt: skip

    assert codec.decode(body(), None).inputs[0].values == (b"aGk=",)
    assert codec.decode(body(content_type="base64"), None).inputs[0].values == (b"hi",)
    with pytest.raises(BadRequest, match="'x'"):
        codec.decode(body(content_type="base64").replace(b"aGk=", b"a?"), None)


def test_a_raw_body_is_the_one_input() -> None:
    image = TensorMetadata("image", "BYTES", (1,))
    assert codec.decode_raw(b"jpeg", [image]).inputs == (
        Tensor("image", "BYTES", (1,), (b"jpeg",)),
    )
    (numbers,) = codec.decode_raw(bytes(24), [TensorMetadata("x", "FP32", (-1, 3))]).inputs
    assert numbers.shape == (2, 3)
    two_free = TensorMetadata("x", "FP32", (-1, -1))
    too_few, no_fit = TensorMetadata("x", "FP32", (7,)), TensorMetadata("x", "FP32", (-1, 5))
    for ports in ([image, image], [two_free], [too_few], [no_fit]):
        with pytest.raises(BadRequest):
            codec.decode_raw(bytes(24), ports)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [([24, 1], "'b'"), ([23, 1], "'a'"), ([24], "belong to no input"), ([-1], "binary_data_size"),
     ([True], "binary_data_size"), ([2**63], "'a'")],
)  # fmt: skip
def test_binary_sizes_that_do_not_add_up(sizes: list[int], words: str) -> None:
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [6], "parameters": {"binary_data_size": size}}
        for name, size in zip("ab", sizes, strict=False)
    ]
    head = json.dumps({"inputs": inputs}).encode()
    with pytest.raises(BadRequest, match=words):
        codec.decode(head + bytes(25), len(head))


def test_what_json_has_no_number_for_is_a_word_that_numpy_reads() -> None:
    values = np.array([math.nan, math.inf, -math.inf, 1.5])
    _, parts = codec.encode(
        replace(RESULT, outputs=(Tensor("y", "FP64", (4,), values),)), codec.Asked((), {})
    )
    data = json.loads(parts[0])["outputs"][0]["data"]
    assert data == ["NaN", "Infinity", "-Infinity", 1.5]
    assert np.array_equal(np.array(data, np.float64), values, equal_nan=True)


def test_a_long_answer_is_the_same_in_parts() -> None:
    values = np.arange(120_000, dtype=np.float32).reshape(2, 60_000) / 7
    values[0, 5], values[1, 59_999] = math.nan, -math.inf
    short = Tensor("n", "INT64", (2,), np.array([1, 2]))
    empty = Tensor("e", "FP32", (0,), np.empty(0, np.float32))
    outputs = (short, Tensor("y", "FP32", values.shape, values), empty)
    length, parts = codec.encode(
        replace(RESULT, outputs=outputs), codec.Asked((), {}, binary=frozenset("n"), wanted=("n",))
    )
    assert len(parts) > 5
    text = b"".join(parts)
    assert text[length:] == values_of(short)
    found = json.loads(text[:length])["outputs"]
    assert found[0]["parameters"] == {"binary_data_size": 16}
    assert found[2]["data"] == []
    assert np.array_equal(
        np.array(found[1]["data"], np.float32).reshape(values.shape), values, equal_nan=True
    )


def values_of(tensor: Tensor) -> bytes:
    assert isinstance(tensor.values, np.ndarray)
    return tensor.values.tobytes()


def test_bytes_that_are_no_text_are_not_made_up() -> None:
    result = replace(RESULT, outputs=(Tensor("y", "BYTES", (1,), (b"\xff",)),))
    with pytest.raises(BadRequest, match=r"'y'.*binary"):
        codec.encode(result, codec.Asked((), {}))
    assert codec.encode(result, codec.Asked((), {}, binary_default=True))[0]
