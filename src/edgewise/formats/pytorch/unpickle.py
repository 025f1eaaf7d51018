"""What a pickle describes, without running any of it.

`pickletools` splits a pickle into opcodes; a small machine then builds lists, dicts and tensors,
and keeps everything else as a description of what would have been called. Nothing is imported and
nothing is called, so a pickle can only describe.

Opcodes: https://docs.python.org/3/library/pickletools.html. How PyTorch pickles tensors: public
code, `torch/_utils.py`.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgewise.errors import LimitExceeded, RejectedModel

#: Bytes and opcodes of one pickle. The pickles of large checkpoints have a few million opcodes.
SIZE_LIMIT = 128 << 20
OPCODE_LIMIT = 5_000_000

#: Modules whose functions do harm or run anything: a file that calls these when loaded is no model.
_HARMFUL = frozenset((
    "posix", "nt", "os", "subprocess", "sys", "socket", "shutil", "pty", "importlib", "runpy",
    "webbrowser", "asyncio", "multiprocessing", "ctypes", "pickle", "_pickle", "code", "pdb",
    "timeit", "commands", "requests", "urllib", "http", "builtins", "__builtin__", "bdb",
    "torch.hub", "torch.utils.cpp_extension",
))  # fmt: skip
#: Of the built-ins, what only describes.
_PLAIN = frozenset((
    "set", "frozenset", "list", "dict", "tuple", "slice", "range", "bytearray", "complex", "int",
    "float", "str", "bytes", "bool", "object", "print", "long", "unicode", "Ellipsis",
))  # fmt: skip


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


@dataclass(slots=True)
class Pickle:
    """What one pickle describes: its value, the names it refers to, where it ends."""

    value: Any
    names: set[Global] = field(default_factory=set)
    end: int = 0


def unpickle(data: memoryview) -> Pickle:
    """Read the pickle that `data` begins with.

    Raises:
        RejectedModel: it is none, or it would run something harmful when loaded.
        LimitExceeded: it is longer than any known model's.
    """
    stream = io.BytesIO(bytes(data[:SIZE_LIMIT]))
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > OPCODE_LIMIT:
                raise LimitExceeded(f"a pickle of more than {OPCODE_LIMIT:,} operations")
            machine.step(opcode.name, argument)
        return Pickle(machine.pop(), machine.names, stream.tell())
    except (
        ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        if len(data) > SIZE_LIMIT:
            raise LimitExceeded(f"a pickle larger than {SIZE_LIMIT >> 20} MiB") from error
        raise RejectedModel(f"not a valid pickle: {error}"[:200]) from error


_MARK = object()


class _Machine:
    """The pickle machine's stack and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names: set[Global] = set()

    def pop(self) -> Any:
        """The topmost value."""
        return self.stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Do what one opcode says."""
        if name in _PUSHES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            made = _CONSTANTS[name]
            self.stack.append(made() if callable(made) else made)
        elif name not in ("PROTO", "FRAME", "STOP"):
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise RejectedModel(f"the pickle opcode {name} is not known")
            handler(argument)

    def _marked(self) -> list[Any]:
        """What lies above the last mark, taken off with it."""
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                found = self.stack[at + 1 :]
                del self.stack[at:]
                return found
        raise ValueError("no mark")

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, slot: int) -> None:
        self.memo[slot] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, slot: int) -> None:
        self.stack.append(self.memo[slot])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _tuple1(self, _: Any) -> None:
        self.stack.append(tuple(self._take(1)))

    def _tuple2(self, _: Any) -> None:
        self.stack.append(tuple(self._take(2)))

    def _tuple3(self, _: Any) -> None:
        self.stack.append(tuple(self._take(3)))

    def _list(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _dict(self, _: Any) -> None:
        self.stack.append(_pairs(self._marked()))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _append(self, _: Any) -> None:
        (item,) = self._take(1)
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Called):
            target.arguments = (*target.arguments, *items)
        else:
            raise ValueError("items for what is no list")

    def _setitem(self, _: Any) -> None:
        self._update(self._take(2))

    def _setitems(self, _: Any) -> None:
        self._update(self._marked())

    def _update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        pairs = _pairs(items)
        if isinstance(target, dict):
            target.update(pairs)
        elif isinstance(target, Called):
            held = target.state if isinstance(target.state, dict) else {}
            target.state = {**held, **pairs}
        else:
            raise ValueError("pairs for what is no dict")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._refer(module, name))

    def _stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a name that is no text")
        self.stack.append(self._refer(module, name))

    def _refer(self, module: str, name: str) -> Global:
        found = Global(module, name)
        self.names.add(found)
        root = module.partition(".")[0]
        if (root in _HARMFUL or module in _HARMFUL) and not (
            root in ("builtins", "__builtin__") and name in _PLAIN
        ):
            raise RejectedModel(f"a pickle that would call {found} when loaded: it was not")
        return found

    def _reduce(self, _: Any) -> None:
        what, arguments = self._take(2)
        if not isinstance(arguments, tuple):
            raise ValueError("a call without arguments")
        self.stack.append(_called(what, arguments))

    def _newobj(self, _: Any) -> None:
        what, arguments = self._take(2)
        self.stack.append(Called(what, tuple(arguments)))

    def _newobj_ex(self, _: Any) -> None:
        what, arguments, _named = self._take(3)
        self.stack.append(Called(what, tuple(arguments)))

    def _obj(self, _: Any) -> None:
        what, *arguments = self._marked()
        self.stack.append(Called(what, tuple(arguments)))

    def _inst(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Called(self._refer(module, name), tuple(self._marked())))

    def _build(self, _: Any) -> None:
        (state,) = self._take(1)
        target = self.stack[-1]
        if isinstance(target, Called):
            target.state = state

    def _persid(self, argument: str) -> None:
        self.stack.append(argument)

    def _binpersid(self, _: Any) -> None:
        (found,) = self._take(1)
        self.stack.append(_storage(found))

    def _ext1(self, code: int) -> None:
        raise ValueError(f"extension {code}")

    _ext2 = _ext4 = _ext1


def _pairs(items: list[Any]) -> dict[Any, Any]:
    found = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        found[key if isinstance(key, (str, int, float, bytes, tuple, bool)) else str(key)] = value
    return found


def _storage(found: Any) -> Any:
    """('storage', class, key, location, elements), as PyTorch refers to a storage."""
    if not isinstance(found, tuple) or len(found) < 5 or found[0] != "storage":
        return found
    kind, key, elements = found[1], found[2], found[4]
    name = kind.name if isinstance(kind, Global) else str(kind)
    if not isinstance(elements, int) or elements < 0:
        raise ValueError("a storage of no size")
    return Storage(STORAGES.get(name, "unknown"), str(key), elements)


def _called(what: Any, arguments: tuple[Any, ...]) -> Any:
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
    return _pairs([part for pair in (arguments[0] if arguments else ()) for part in pair])


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

#: Opcodes that push their argument.
_PUSHES = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
))  # fmt: skip
#: Opcodes that push a constant, or something new and empty.
_CONSTANTS: dict[str, Any] = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_LIST": list, "EMPTY_DICT": dict,
    "EMPTY_TUPLE": (), "EMPTY_SET": list, "NEXT_BUFFER": None,
}  # fmt: skip
