"""The stack machine of PyTorch Mobile's bytecode, with layers as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Parts, Recorder, Ref, Sizes, Unknown
from edgewise.formats.aten.tables import record
from edgewise.formats.pytorch.calls import Raised, operator

STEP_LIMIT = 2_000_000

_NAMES = (
    "OP", "OPX", "LOAD", "MOVE", "STOREN", "STORE", "DROP", "DROPR", "LOADC", "JF", "JMP",
    "LOOP", "RET", "WAIT", "CALL", "GUARD", "TYPECHECK", "FAIL_GUARD", "PROFILE_OP",
    "TAIL_CALL", "INTERFACE_CALL", "GET_ATTR", "SET_ATTR", "LIST_UNPACK", "TUPLE_CONSTRUCT",
    "NAMED_TUPLE_CONSTRUCT", "LIST_CONSTRUCT", "DICT_CONSTRUCT", "CREATE_OBJECT", "ISINSTANCE",
    "TUPLE_SLICE", "TUPLE_INDEX", "RAISE_EXCEPTION", "DICT_INDEX", "UNCHECKED_CAST", "__IS__",
    "UN_INITIALIZED", "__ISNOT__", "FORMAT", "DEVICE", "DTYPE", "DIM", "__NOT__", "TO_LIST",
    "NUM_TO_TENSOR", "IS_CUDA", "FORK", "WARN", "ENTER", "EXIT", "AWAITABLE",
)  # fmt: skip
#: Instructions that stand for an operator, and how many values it takes.
_AS_OPERATORS = {
    "__IS__": ("prim::__is__", 2), "__ISNOT__": ("prim::__isnot__", 2), "DIM": ("aten::dim", 1),
    "DTYPE": ("prim::dtype", 1), "__NOT__": ("aten::__not__", 1), "DEVICE": ("prim::device", 1),
    "IS_CUDA": ("prim::is_cuda", 1), "NUM_TO_TENSOR": ("prim::NumToTensor", 1),
    "TUPLE_INDEX": ("aten::__getitem__", 2), "DICT_INDEX": ("aten::__getitem__", 2),
    "RAISE_EXCEPTION": ("prim::RaiseException", 1),
}  # fmt: skip


class Function(NamedTuple):
    """Code, and what it refers to by number: operators (name, overload, arguments), constants."""

    name: str
    instructions: list[tuple[int, int, int]]
    operators: list[tuple[str, str, int]]
    constants: list[int]
    parameters: list[str]


class Machine:
    """Follows a function. `value` gives a constant by its number, `field` a field of an object."""

    def __init__(
        self, recorder: Recorder, value: Callable[[int], Any], field: Callable[[Any, int], Any]
    ) -> None:
        self._recorder = recorder
        self._value = value
        self._field = field
        self._stack: list[Any] = []
        self._registers: dict[int, Any] = {}
        self.notes: list[str] = []

    def run(self, function: Function, inputs: list[Any]) -> Any:
        """What the function gives back for these inputs."""
        self._stack = list(inputs)
        at = 0
        for _ in range(STEP_LIMIT):
            if not 0 <= at < len(function.instructions):
                raise RejectedModel("the code runs beyond its end")
            code, n, x = function.instructions[at]
            name = _NAMES[code] if 0 <= code < len(_NAMES) else "?"
            if name == "RET":
                return self._stack[-1] if self._stack else None
            step = self._jump(name, n, x)
            if step is None:
                try:
                    self._do(function, name, n, x)
                except Raised:
                    raise OpaqueModel(
                        "the code raises for the inputs that it is followed with"
                    ) from None
                step = 1
            at += step
        raise LimitExceeded(f"more than {STEP_LIMIT:,} instructions")

    def _jump(self, name: str, n: int, x: int) -> int | None:
        """How far to go on, of instructions that jump."""
        if name == "JMP":
            return x
        if name == "JF":
            condition = self._stack.pop()
            if isinstance(condition, (Ref, Unknown)):
                self._unclear("a condition that depends on sizes or data")
                return 1
            return 1 if condition else x
        if name == "LOOP":
            return self._loop(n, x)
        return None

    def _unclear(self, what: str) -> None:
        """What is not followed may multiply and accumulate."""
        record(self._recorder, "prim::If", ())
        if what not in self.notes:
            self.notes.append(f"{what}: one way is followed")

    def _loop(self, n: int, x: int) -> int:
        """The stack has the round, the most rounds, the condition and what is carried on."""
        frame = len(self._stack) - (n + 1)
        if frame < 0:
            raise RejectedModel("a loop without its values")
        done, most, going = self._stack[frame : frame + 3]
        if isinstance(most, (Ref, Unknown)) or isinstance(going, (Ref, Unknown)):
            self._unclear("a loop whose number of rounds depends on sizes or data")
            most = min(done + 1, 1)
            going = True
        if done < most and going:
            self._stack[frame + 2] = done
            self._stack[frame] = done + 1
            self._stack[frame + 1] = most
            return 1
        del self._stack[frame : frame + 3]
        return x

    def _do(self, function: Function, name: str, n: int, x: int) -> None:
        stack, registers = self._stack, self._registers
        if name in ("OP", "OPX"):
            self._operate(function.operators[x], n if name == "OPX" else None)
        elif name in ("LOAD", "MOVE"):
            stack.append(registers.get(x, UNKNOWN_VALUE))
        elif name == "STORE":
            registers[x] = stack.pop()
        elif name == "STOREN":
            for place in range(n - 1, -1, -1):
                registers[x + place] = stack.pop()
        elif name == "DROP":
            stack.pop()
        elif name == "DROPR":
            registers.pop(x, None)
        elif name == "LOADC":
            stack.append(self._value(function.constants[x]))
        elif name == "GET_ATTR":
            stack.append(self._field(stack.pop(), x))
        elif name == "SET_ATTR":
            self._take(2)
        elif name == "LIST_UNPACK":
            stack.extend(self._unpacked(stack.pop(), x))
        elif name in ("TUPLE_CONSTRUCT", "LIST_CONSTRUCT", "NAMED_TUPLE_CONSTRUCT"):
            taken = self._take(x if name == "TUPLE_CONSTRUCT" else n)
            stack.append(taken if name == "LIST_CONSTRUCT" else tuple(taken))
        elif name == "DICT_CONSTRUCT":
            taken = self._take(n)
            stack.append({str(k): v for k, v in zip(taken[::2], taken[1::2], strict=False)})
        elif name == "TUPLE_SLICE":
            stack.append(tuple(stack.pop())[x:n])
        elif name in _AS_OPERATORS:
            op, count = _AS_OPERATORS[name]
            stack.append(operator(self._recorder, op, self._take(count), {}, None))
        elif name in ("UN_INITIALIZED", "CREATE_OBJECT"):
            stack.append(UNKNOWN_VALUE)
        elif name in ("FORMAT", "ISINSTANCE"):
            self._take(x if name == "FORMAT" else 1)
            stack.append(UNKNOWN_VALUE)
        elif name in ("UNCHECKED_CAST", "TO_LIST", "GUARD", "PROFILE_OP", "ENTER", "EXIT"):
            pass
        elif name == "WARN":
            self._take(1)
        else:
            raise OpaqueModel(f"the instruction {name} of mobile bytecode is not followed")

    def _take(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self._stack):
            raise RejectedModel("the code takes more values than there are")
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    def _unpacked(self, value: Any, count: int) -> list[Any]:
        if isinstance(value, Parts):
            return list(value.take(count))
        if isinstance(value, Sizes):
            return [record(self._recorder, "size", (value.of, at)) for at in range(count)]
        if isinstance(value, (list, tuple)) and len(value) == count:
            return list(value)
        return [UNKNOWN_VALUE] * count

    def _operate(self, described: tuple[str, str, int], count: int | None) -> None:
        name, _, arguments = described
        taken = arguments if arguments >= 0 else count
        if taken is None:
            taken = _arguments_of(name)
        if name in ("prim::ListUnpack", "prim::TupleUnpack"):
            value = self._stack.pop()
            found = list(value) if isinstance(value, (list, tuple)) else [value]
            self._stack.extend(found)
            return
        made = operator(self._recorder, name, self._take(taken), {}, None)
        if isinstance(made, tuple):  # several outputs, one value each
            self._stack.extend(made)
        else:
            self._stack.append(made)


def _arguments_of(name: str) -> int:
    """Of operators that the file does not say it for: those of the table."""
    from edgewise.formats.aten.tables import entry_of

    entry = entry_of(name)
    if entry is None:
        raise OpaqueModel(f"how many values {name} takes does not stand in the file")
    return len(entry[0].split())
