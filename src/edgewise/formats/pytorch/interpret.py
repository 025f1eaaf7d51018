"""Following TorchScript's code: calls become layers, plain values are computed.

Conditions and loops over plain values are followed as they would run. A condition that depends on
sizes becomes an `if` with both branches; a loop whose number of rounds does is not understood.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.aten.quantized import Packed
from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Parts, Recorder, Ref, Sizes, Unknown
from edgewise.formats.aten.tables import record
from edgewise.formats.pytorch.calls import Raised, item, operator
from edgewise.formats.pytorch.flow import Flow, Frame, Returned, Rounds
from edgewise.formats.pytorch.pickled import Called, Stored

if TYPE_CHECKING:
    from edgewise.formats.pytorch.script import Constants, Sources

STEP_LIMIT = 2_000_000
DEPTH_LIMIT = 120


class Dotted(NamedTuple):
    """A name in one of the namespaces torch, ops and __torch__."""

    name: str


_KNOWN_NAMES = frozenset((
    "torch", "ops", "__torch__", "CONSTANTS", "annotate", "unchecked_cast", "uninitialized",
    "getattr", "range", "int", "float", "bool", "str",
))  # fmt: skip
_FLOATS = {"inf": float("inf"), "nan": float("nan"), "infj": float("inf")}


class Interpreter(Flow):
    """Follows functions; layers go into the recorder at hand."""

    def __init__(
        self, sources: Sources, constants: Constants, recorder: Recorder, fixed: Any
    ) -> None:
        self._sources = sources
        self._constants = constants
        self._recorder = recorder
        self._fixed = fixed if isinstance(fixed, (list, tuple)) else ()
        self._steps = 0
        self._depth = 0
        self.notes: list[str] = []

    def method(self, module: Called, name: str) -> ast.FunctionDef | None:
        """A method of an object's class."""
        found = self._sources.find(str(module.what))
        return None if found is None else _member(found, name)

    def run(
        self, function: ast.FunctionDef, arguments: Sequence[Any], named: Frame | None = None
    ) -> Any:
        """What a function gives back."""
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise LimitExceeded(f"calls nested deeper than {DEPTH_LIMIT}")
        frame = self._bound(function, arguments, named or {})
        try:
            self._block(function.body, frame)
        except Returned as done:
            return done.value
        finally:
            self._depth -= 1
        return None

    def _bound(self, function: ast.FunctionDef, arguments: Sequence[Any], named: Frame) -> Frame:
        names = [one.arg for one in function.args.args]
        frame = dict(zip(names, arguments, strict=False)) | dict(named)
        defaults = function.args.defaults
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            if name not in frame:
                frame[name] = self._value(default, {})
        for name in names:
            frame.setdefault(name, UNKNOWN_VALUE)
        return frame

    def _block(self, statements: Sequence[ast.stmt], frame: Frame) -> None:
        for statement in statements:
            self._steps += 1
            if self._steps > STEP_LIMIT:
                raise LimitExceeded(f"more than {STEP_LIMIT:,} steps of code")
            self._statement(statement, frame)

    def _statement(self, statement: ast.stmt, frame: Frame) -> None:
        match statement:
            case ast.Assign(targets=[target], value=value):
                wanted = len(target.elts) if isinstance(target, ast.Tuple) else None
                self._assign(target, self._value(value, frame, wanted), frame)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, self._value(value, frame), frame)
            case ast.Expr(value=value):
                self._value(value, frame)
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(self._value(test, frame), body, orelse, frame)
            case ast.For(target=target, iter=over, body=body):
                self._for(target, over, body, frame)
            case ast.While(test=test, body=body):
                self._while(test, body, frame)
            case ast.With(body=body):  # without gradients, with another number type
                self._block(body, frame)
            case ast.Return(value=value):
                raise Returned(None if value is None else self._value(value, frame))
            case ast.Assert(test=test):
                self._value(test, frame)
            case ast.Raise():
                raise Raised

    def _assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        match target:
            case ast.Name(id=name):
                frame[name] = value
            case ast.Tuple(elts=parts):
                for part, one in zip(parts, self._unpacked(value, len(parts)), strict=True):
                    self._assign(part, one, frame)
            case ast.Attribute(value=base, attr=name):
                owner = self._value(base, frame)
                if isinstance(owner, Called) and isinstance(owner.state, dict):
                    owner.state[name] = value
            case ast.Subscript(value=base, slice=place):
                held, key = self._value(base, frame), self._value(place, frame)
                named = isinstance(held, dict) and isinstance(key, (str, int))
                placed = isinstance(held, list) and key in range(-len(held), len(held))
                if named or placed:
                    held[key] = value

    def _unpacked(self, value: Any, count: int) -> list[Any]:
        if isinstance(value, Parts):
            return list(value.take(count))
        if isinstance(value, Sizes):
            return [record(self._recorder, "size", (value.of, at)) for at in range(count)]
        if isinstance(value, Called) and isinstance(value.state, (list, tuple)):
            value = value.state
        if isinstance(value, (list, tuple)) and len(value) == count:
            return list(value)
        if isinstance(value, Ref) and count == 1:
            return [value]
        return [UNKNOWN_VALUE] * count

    # Expressions

    def _value(self, node: ast.expr, frame: Frame, wanted: int | None = None) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._name(name, frame)
            case ast.Attribute(value=base, attr=attr):
                return self._attribute(self._value(base, frame), attr)
            case ast.Call():
                return self._call(node, frame, wanted)
            case ast.Tuple(elts=parts):
                return tuple(self._value(part, frame) for part in parts)
            case ast.List(elts=parts):
                return [self._value(part, frame) for part in parts]
            case ast.Dict(keys=keys, values=values):
                return {
                    self._value(key, frame): self._value(value, frame)
                    for key, value in zip(keys, values, strict=True)
                    if key is not None
                }
            case ast.Subscript(value=base, slice=place):
                return item(self._recorder, self._value(base, frame), self._value(place, frame))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._value(operand, frame)
                return -value if isinstance(value, (int, float)) else UNKNOWN_VALUE
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                value = self._value(operand, frame)
                return UNKNOWN_VALUE if isinstance(value, (Ref, Unknown)) else not value
            case ast.IfExp(test=test, body=body, orelse=orelse):
                value = self._value(test, frame)
                if isinstance(value, (Ref, Unknown)):
                    return UNKNOWN_VALUE
                return self._value(body if value else orelse, frame)
        return UNKNOWN_VALUE

    def _name(self, name: str, frame: Frame) -> Any:
        if name in frame:
            return frame[name]
        if name in _FLOATS:
            return _FLOATS[name]
        return Dotted(name) if name in _KNOWN_NAMES else UNKNOWN_VALUE

    def _attribute(self, base: Any, name: str) -> Any:
        if isinstance(base, Dotted):
            if base.name == "CONSTANTS":
                return self._constant(name)
            return Dotted(f"{base.name}.{name}")
        if isinstance(base, Called):
            return self._member_of(base, name)
        if isinstance(base, Ref) and name in ("shape", "dtype", "device", "ndim"):
            return Sizes(base) if name == "shape" else UNKNOWN_VALUE
        return UNKNOWN_VALUE

    def _constant(self, name: str) -> Any:
        at = name.removeprefix("c")
        if not at.isdigit() or int(at) >= len(self._fixed):
            raise RejectedModel(f"the code reads the constant {name!r}, which is not in the file")
        value = self._fixed[int(at)]
        return self._constants.ref(value, "constants") if isinstance(value, Stored) else value

    def _member_of(self, owner: Called, name: str) -> Any:
        state = owner.state
        if isinstance(state, dict) and name in state:
            return self._held(state[name])
        definition = self._sources.find(str(owner.what))
        if isinstance(definition, ast.ClassDef):
            fields = [s for s in definition.body if isinstance(s, ast.AnnAssign)]
            for at, one in enumerate(fields):
                if isinstance(one.target, ast.Name) and one.target.id == name:
                    if one.value is not None:
                        return self._value(one.value, {})
                    if isinstance(state, (list, tuple)) and at < len(state):  # a named tuple
                        return state[at]
        return UNKNOWN_VALUE

    def _held(self, value: Any) -> Any:
        """A value of the module tree: tensors become references, packed weights stay together."""
        if isinstance(value, Stored):
            return self._constants.ref(value)
        if isinstance(value, Called) and "torch.classes" in str(value.what):
            tensors, numbers = [], []
            for part in _leaves((value.arguments, value.state)):
                if isinstance(part, Stored):
                    if part.storage.dtype in ("int16", "int64"):
                        numbers += _small(self._constants.ref(part))
                    else:
                        tensors.append(self._constants.ref(part))
                elif isinstance(part, int) and not isinstance(part, bool):
                    numbers.append(part)
            return Packed(tensors, numbers)
        if isinstance(value, list):
            return [self._held(part) for part in value]
        if isinstance(value, tuple):
            return tuple(self._held(part) for part in value)
        return value

    # Calls

    def _call(self, node: ast.Call, frame: Frame, wanted: int | None) -> Any:
        positional = [self._value(one, frame) for one in node.args]
        named = {
            one.arg: self._value(one.value, frame) for one in node.keywords if one.arg is not None
        }
        if isinstance(node.func, ast.Attribute):
            owner = self._value(node.func.value, frame)
            if isinstance(owner, Called):
                return self._method_call(owner, node.func.attr, positional, named)
        called = self._value(node.func, frame)
        if not isinstance(called, Dotted):
            return UNKNOWN_VALUE
        root, _, rest = called.name.partition(".")
        if root == "__torch__":
            return self._own(called.name, positional, named)
        if root == "torch":
            return operator(self._recorder, f"aten::{rest}", positional, named, wanted)
        if root == "ops":
            return operator(self._recorder, rest.replace(".", "::", 1), positional, named, wanted)
        return self._builtin(called.name, positional)

    def _method_call(self, owner: Called, name: str, positional: list[Any], named: Frame) -> Any:
        method = self.method(owner, name)
        if method is None:
            return UNKNOWN_VALUE
        return self.run(method, [owner, *positional], named)

    def _own(self, dotted: str, positional: list[Any], named: Frame) -> Any:
        found = self._sources.find(dotted)
        if isinstance(found, ast.FunctionDef):
            return self.run(found, positional, named)
        if isinstance(found, ast.ClassDef):
            module, _, name = dotted.rpartition(".")
            from edgewise.formats.pytorch.pickled import Global

            made = Called(Global(module, name), (), {})
            start = _member(found, "__init__")
            if start is None:
                made.state = tuple(positional)
            else:
                self.run(start, [made, *positional], named)
            return made
        return UNKNOWN_VALUE

    def _builtin(self, name: str, positional: list[Any]) -> Any:
        if name in ("annotate", "unchecked_cast") and len(positional) == 2:
            return positional[1]
        if name == "getattr" and len(positional) == 2 and isinstance(positional[1], str):
            return self._attribute(positional[0], positional[1])
        if name == "range" and len(positional) == 1 and isinstance(positional[0], Ref):
            return Rounds(positional[0])
        if name == "range" and all(isinstance(v, int) for v in positional):
            return range(*positional)
        if name in ("int", "float", "bool") and positional:
            return self._number(name, positional[0])
        return UNKNOWN_VALUE

    def _number(self, kind: str, value: Any) -> Any:
        if isinstance(value, Ref):
            numbers = value.owner.numbers(value.index)
            if numbers is not None and len(numbers) == 1:
                value = numbers[0]
            else:
                return Ref(value.owner, value.index, kind)
        if isinstance(value, (int, float, str)):
            try:
                return {"int": int, "float": float, "bool": bool}[kind](value)
            except (ValueError, OverflowError):
                raise Raised from None
        return UNKNOWN_VALUE


def _member(definition: ast.stmt, name: str) -> ast.FunctionDef | None:
    if not isinstance(definition, ast.ClassDef):
        return None
    for one in definition.body:
        if isinstance(one, ast.FunctionDef) and one.name == name:
            return one
    return None


def _leaves(value: Any, depth: int = 0) -> Any:
    if depth > 16:
        return
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part, depth + 1)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part, depth + 1)
    elif isinstance(value, Called):
        yield from _leaves((value.arguments, value.state), depth + 1)
    else:
        yield value


def _small(ref: Ref) -> list[int]:
    return [int(number) for number in ref.owner.numbers(ref.index) or ()]
