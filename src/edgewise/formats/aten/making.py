"""Operators that make tensors, and those that ask for sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Call, Entry, Ref, Sizes
from edgewise.formats.kit import Meaning
from edgewise.graph import Kind

#: The number of a dtype, as PyTorch's scripts have it.
SCALAR_TYPES = (
    "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex32",
    "complex64", "complex128", "bool", "int8", "uint8", "int32", "bfloat16", "uint4", "uint2",
    "bits1x8", "bits2x4", "bits4x2", "bits8", "bits16", "float8_e5m2", "float8_e4m3fn",
    "float8_e5m2fnuz", "float8_e4m3fnuz", "uint16", "uint32", "uint64",
)  # fmt: skip


def scalar_type(value: Any) -> str | None:
    """The name of a dtype given as its number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(SCALAR_TYPES):
        return SCALAR_TYPES[value]
    return None


def _filled(value: float | None) -> Callable[[Call], Any]:
    def translate(call: Call) -> Any:
        given = call["value"]
        filler = given if isinstance(given, (int, float)) else value
        dtype = scalar_type(call["dtype"]) or ("int64" if isinstance(given, int) else "float32")
        attributes, sizes = call.sizes("shape")
        attributes |= {"dtype": dtype}
        if filler is not None:
            attributes["value"] = filler
        return call.emit(Meaning(Kind.FILL, attributes), [sizes], dtype=dtype)

    return translate


def _filled_like(call: Call) -> Any:
    x = call["self"]
    shape = call.emit(Meaning(Kind.SHAPE), [x], dtype="int64", op="size")
    dtype = scalar_type(call["dtype"]) or call.recorder.seen(x).dtype
    return call.emit(Meaning(Kind.FILL, {"dtype": dtype}), [shape], dtype=dtype)


def _new_filled(call: Call) -> Any:
    attributes, sizes = call.sizes("size")
    dtype = scalar_type(call["dtype"]) or call.recorder.seen(call["self"]).dtype
    return call.emit(Meaning(Kind.FILL, {"dtype": dtype, **attributes}), [sizes], dtype=dtype)


_ARANGE = "start end step dtype layout device pin_memory"


def _arange(call: Call) -> Any:
    """arange(end), (start, end) or (start, end, step), then dtype and the like."""
    given = call.arguments
    if [*given] != _ARANGE.split()[: len(given)]:  # called by names
        return call.emit(
            Meaning(Kind.RANGE), [given.get("start", 0), given.get("end", 0), given.get("step", 1)],
            dtype="int64",
        )  # fmt: skip
    values = list(given.values())
    numbers = []
    for value in values[:3]:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (plain or isinstance(value, Ref)):
            break
        numbers.append(value)
    if len(values) > 4 or len(numbers) == len(values) or len(numbers) == 1:
        numbers = numbers[: max(1, len(values) - 4)] if len(values) > 4 else numbers
    start, end, step = (
        (0, numbers[0], 1) if len(numbers) == 1
        else (numbers[0], numbers[1], 1) if len(numbers) == 2
        else tuple(numbers[:3])
    )  # fmt: skip
    return call.emit(Meaning(Kind.RANGE), [start, end, step], dtype="int64")


def _one_hot(call: Call) -> Any:
    return call.emit(Meaning(Kind.ONE_HOT, {"dtype": "int64"}), [call["self"], call["classes"]])


def _size(call: Call) -> Any:
    x = call["self"]
    if not isinstance(x, Ref):
        return UNKNOWN_VALUE
    if not call.given("dim"):
        return Sizes(x)
    dim = call.integer("dim")
    shape = call.recorder.seen(x).shape
    if call.recorder.seen(x).weights is not None and shape is not None:
        size = shape[dim]
        if isinstance(size, int):
            return size
    attributes: dict[str, Any] = {"start": dim}
    if dim != -1:
        attributes["end"] = dim + 1
    one = call.emit(Meaning(Kind.SHAPE, attributes), [x], dtype="int64")
    return call.emit(Meaning(Kind.SQUEEZE), [one], dtype="int64", kind="int")


def _numel(call: Call) -> Any:
    return call.emit(Meaning(Kind.SIZE), [call["self"]], dtype="int64", kind="int")


def _rank(call: Call) -> Any:
    x = call["self"]
    if isinstance(x, Ref):
        shape = call.recorder.seen(x).shape
        if call.recorder.seen(x).weights is not None and shape is not None:
            return len(shape)
    return call.emit(Meaning(Kind.RANK), [x], dtype="int64", kind="int")


def _number(kind: str) -> Callable[[Call], Any]:
    """A number as a tensor and back: the same thing here."""

    def translate(call: Call) -> Any:
        x = call["self"]
        if isinstance(x, Ref):
            return Ref(x.owner, x.index, kind)
        return x

    return translate


def _constant(call: Call) -> Any:
    value = call["value"]
    index = call.recorder.index_of(value)
    return UNKNOWN_VALUE if index is None else call.recorder.ref(index)


_FILLED = "shape dtype layout device pin_memory"

MAKING: dict[str, Entry] = {
    "zeros": (_FILLED, _filled(0)), "ones": (_FILLED, _filled(1)),
    "empty": (_FILLED, _filled(None)), "rand": (_FILLED, _filled(None)),
    "randn": (_FILLED, _filled(None)),
    "full": ("shape value dtype layout device pin_memory", _filled(None)),
    **dict.fromkeys(("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"),
                    ("self dtype", _filled_like)),
    "full_like": ("self value dtype", _filled_like),
    **dict.fromkeys(("new_zeros", "new_ones", "new_empty"), ("self size dtype", _new_filled)),
    "new_full": ("self size value dtype", _new_filled),
    "scalar_tensor": ("value dtype", _constant), "tensor": ("value dtype", _constant),
    "arange": (_ARANGE, _arange),
    "one_hot": ("self classes", _one_hot),
    "size": ("self dim", _size), "sym_size": ("self dim", _size), "numel": ("self", _numel),
    "sym_numel": ("self", _numel), "dim": ("self", _rank), "len": ("self", _numel),
    "NumToTensor": ("self", _number("tensor")), "Int": ("self", _number("int")),
    "Float": ("self", _number("float")), "Bool": ("self", _number("bool")),
    "IntImplicit": ("self", _number("int")), "FloatImplicit": ("self", _number("float")),
    "ScalarImplicit": ("self", _number("int")), "item": ("self", _number("int")),
    "_local_scalar_dense": ("self", _number("int")),
}  # fmt: skip
