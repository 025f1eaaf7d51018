"""What a pickle describes, without running any of it.

`pickletools` splits a pickle into opcodes; a small machine then builds lists, dicts and tensors,
and keeps everything else as a description of what would have been called. Nothing is imported and
nothing is called, so a pickle can only describe.

Opcodes: https://docs.python.org/3/library/pickletools.html.
What comes of it: `pickled.py`.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.pytorch.pickled import Called, Global, called, pairs, storage

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
        self.stack.append(pairs(self._marked()))

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
        found = pairs(items)
        if isinstance(target, dict):
            target.update(found)
        elif isinstance(target, Called):
            held = target.state if isinstance(target.state, dict) else {}
            target.state = {**held, **found}
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
        self.stack.append(called(what, arguments))

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
        self.stack.append(storage(found))

    def _ext1(self, code: int) -> None:
        raise ValueError(f"extension {code}")

    _ext2 = _ext4 = _ext1


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
