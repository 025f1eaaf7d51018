"""What a pickle of PyTorch's describes: storages and tensors, and whatever else would be called.

How PyTorch pickles tensors: public code, `torch/_utils.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class Global(NamedTuple):
    """A name that the pickle refers to."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True)
class Called:
    """What would have been called, or made; `state` is what it would have been given then."""

    what: Any
    arguments: tuple[Any, ...]
    state: Any = None

    @property
    def type_name(self) -> str:
        """The name of the class or function."""
        return self.what.name if isinstance(self.what, Global) else ""


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in the file, by its key."""

    dtype: str
    key: str
    elements: int


@dataclass(slots=True)
class Stored:
    """A tensor that lies in a storage. `scales` of a quantised one: (how many, axis)."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    scales: tuple[int, int | None] | None = None
    scale: float | None = None
    zero_point: int | None = None


#: PyTorch's storage classes, and its dtypes by name.
STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "QInt8Storage": "int8", "QUInt8Storage": "uint8",
    "QInt32Storage": "int32", "QUInt4x2Storage": "uint4", "QUInt2x4Storage": "uint2",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}  # fmt: skip
DTYPES = {
    "float32": "float32", "float": "float32", "float64": "float64", "double": "float64",
    "float16": "float16", "half": "float16", "bfloat16": "bfloat16", "int64": "int64",
    "long": "int64", "int32": "int32", "int": "int32", "int16": "int16", "int8": "int8",
    "uint8": "uint8", "bool": "bool", "qint8": "int8", "quint8": "uint8", "qint32": "int32",
    "float8_e4m3fn": "float8_e4m3fn", "float8_e5m2": "float8_e5m2", "uint16": "uint16",
    "uint32": "uint32", "uint64": "uint64", "complex64": "complex64",
}  # fmt: skip


def pairs(items: list[Any]) -> dict[Any, Any]:
    found = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        found[key if isinstance(key, (str, int, float, bytes, tuple, bool)) else str(key)] = value
    return found


def storage(found: Any) -> Any:
    """('storage', class, key, location, elements), as PyTorch refers to a storage."""
    if not isinstance(found, tuple) or len(found) < 5 or found[0] != "storage":
        return found
    kind, key, elements = found[1], found[2], found[4]
    name = kind.name if isinstance(kind, Global) else str(kind)
    if not isinstance(elements, int) or elements < 0:
        raise ValueError("a storage of no size")
    return Storage(STORAGES.get(name, "unknown"), str(key), elements)


def called(what: Any, arguments: tuple[Any, ...]) -> Any:
    rebuild = _REBUILDS.get(what.name) if isinstance(what, Global) else None
    return rebuild(arguments) if rebuild is not None else Called(what, arguments)


def _sizes(value: Any) -> tuple[int, ...]:
    if isinstance(value, Called):  # torch.Size
        value = value.arguments[0] if value.arguments else ()
    sizes = tuple(value)
    if not all(isinstance(size, int) and 0 <= size < 1 << 48 for size in sizes):
        raise ValueError("a shape that is none")
    return sizes


def _tensor(arguments: tuple[Any, ...]) -> Any:
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        return Called(Global("torch._utils", "_rebuild_tensor"), arguments)
    return Stored(storage, int(offset), _sizes(shape), _sizes(strides))


def _tensor_v3(arguments: tuple[Any, ...]) -> Any:
    """With a dtype of its own over an untyped storage."""
    made = _tensor(arguments)
    dtype = arguments[6] if len(arguments) > 6 else None
    if isinstance(made, Stored) and isinstance(dtype, Global):
        old = made.storage
        made.storage = Storage(DTYPES.get(dtype.name, "unknown"), old.key, old.elements)
    return made


def _quantised(arguments: tuple[Any, ...]) -> Any:
    made = _tensor(arguments)
    scheme = arguments[4] if len(arguments) > 4 else ()
    if isinstance(made, Stored) and isinstance(scheme, tuple) and len(scheme) > 2:
        scales, axis = scheme[1], scheme[3] if len(scheme) > 3 else None
        if isinstance(scales, (int, float)):
            made.scales, made.scale, made.zero_point = (1, None), float(scales), int(scheme[2])
        else:
            count = scales.shape[0] if isinstance(scales, Stored) and scales.shape else 1
            made.scales = (count, axis if isinstance(axis, int) else None)
    return made


def _first(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if arguments else None


def _ordered(arguments: tuple[Any, ...]) -> Any:
    return pairs([part for pair in (arguments[0] if arguments else ()) for part in pair])


_REBUILDS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "_rebuild_tensor": _tensor,
    "_rebuild_tensor_v2": _tensor,
    "_rebuild_tensor_v3": _tensor_v3,
    "_rebuild_qtensor": _quantised,
    "_rebuild_parameter": _first,
    "_rebuild_parameter_with_state": _first,
    "OrderedDict": _ordered,
    "build_intlist": _first,
    "build_doublelist": _first,
    "build_boollist": _first,
    "build_tensorlist": _first,
    "restore_type_tag": _first,
}
