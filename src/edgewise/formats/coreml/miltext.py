"""The text of a compiled program (`model.mil`), into the same operations as a specification's.

`program(1.0) [attributes] { func main<ios16>(tensor<fp16, [1, 3]> x) { type name = op(a = b)[name =
…]; } -> (y); }`: as Core ML's compiler writes it. Nothing of it is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.coreml.blob import Storages, size_of
from edgewise.formats.coreml.mil import BlockReader
from edgewise.formats.coreml.program import Block, Constant, Named, Operation, packed
from edgewise.formats.coreml.spec import TEXT_TYPES
from edgewise.graph import FreeDim, Graph, Shape

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>[+-]?(?:0x[0-9a-fA-F.]+p[+-]?\d+|\d[\w.]*'
    r"(?:[+-]\d+)?|inf|nan))|(?P<arrow>->)|(?P<name>[A-Za-z_@][\w.@/\-]*)|(?P<mark>[()\[\]{}<>,=;?]))"
)
TOKEN_LIMIT = 8_000_000
_DEPTH = 64
_ESCAPES = re.compile(r"\\(.)")


def read(text: str, storages: Storages) -> Graph:
    """The graph of a program's function `main`, or of its first one.

    Raises:
        RejectedModel: the text is no program.
        OpaqueModel: it has blocks inside operations, whose form is not known.
        LimitExceeded: it is longer than any known program.
    """
    block = _Parser(text, storages).program()
    graph = BlockReader().read(block)
    graph.companions, graph.missing = tuple(storages.companions), tuple(storages.missing)
    graph.metadata = {"form": "compiled program"}
    return graph


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    for _ in range(TOKEN_LIMIT):
        if at >= end:
            return
        found = _TOKEN.match(text, at)
        if found is None:
            raise RejectedModel(f"not a program: {text[at : at + 20]!r} at character {at:,}")
        at = found.end()
        kind = found.lastgroup or "mark"
        yield kind, found.group(kind)
    raise LimitExceeded(f"a program of more than {TOKEN_LIMIT:,} words")


class _Parser:
    """Reads words one by one; `kind` and `word` are the next one."""

    def __init__(self, text: str, storages: Storages) -> None:
        self._source = _tokens(text)
        self._storages = storages
        self.kind, self.word = "", ""
        self._step()

    def _step(self) -> str:
        before = self.word
        self.kind, self.word = next(self._source, ("end", ""))
        return before

    def _want(self, word: str) -> None:
        if self.word != word:
            raise RejectedModel(f"not a program: {word!r} is wanted, {self.word!r} stands there")
        self._step()

    def _name(self) -> str:
        if self.kind not in ("name", "number"):
            raise RejectedModel(f"not a program: a name is wanted, {self.word!r} stands there")
        return self._step()

    def _skip(self, opening: str, closing: str) -> None:
        """Step over a balanced part."""
        depth = 0
        while self.kind != "end":
            word = self._step()
            depth += (word == opening) - (word == closing)
            if depth == 0:
                return
        raise RejectedModel("not a program: it ends in the middle")

    def program(self) -> Block:
        """The block of the function that counts."""
        self._want("program")
        self._skip("(", ")")
        if self.word == "[":
            self._skip("[", "]")
        self._want("{")
        functions: dict[str, Block] = {}
        while self.word == "func":
            name, block = self._function()
            functions[name] = block
        self._want("}")
        if not functions:
            raise RejectedModel("a program without functions")
        return functions.get("main") or next(iter(functions.values()))

    def _function(self) -> tuple[str, Block]:
        self._step()
        name = self._name()
        self._skip("<", ">")
        self._want("(")
        inputs: list[Named] = []
        while self.word != ")":
            inputs.append(self._named())
            if self.word == ",":
                self._step()
        self._step()
        if self.word == "[":
            self._skip("[", "]")
        self._want("{")
        operations = []
        while self.word != "}":
            operations.append(self._operation())
        self._step()
        self._want("->")
        outputs = self._names()
        if self.word == ";":
            self._step()
        return name, Block(inputs, outputs, operations)

    def _named(self) -> Named:
        dtype, shape = self._type("")
        name = self._name()
        if shape is not None:
            shape = tuple(
                FreeDim(f"{name}{d.name}") if isinstance(d, FreeDim) else d for d in shape
            )
        return name, dtype, shape

    def _type(self, name: str) -> tuple[str, Shape | None]:
        kind = self._name()
        if kind == "state" and self.word == "<":
            self._step()
            found = self._type(name)
            self._want(">")
            return found
        if kind != "tensor":
            if self.word == "<":
                self._skip("<", ">")
                return kind, None
            return TEXT_TYPES.get(kind, kind), ()
        self._want("<")
        dtype = self._name()
        self._want(",")
        self._want("[")
        dims: list[int | FreeDim] = []
        while self.word != "]":
            size = self._step()
            dims.append(int(size) if size.isdigit() else FreeDim(f"_{len(dims)}"))
            if self.word == ",":
                self._step()
        self._step()
        self._want(">")
        return TEXT_TYPES.get(dtype, dtype), tuple(dims)

    def _operation(self) -> Operation:
        outputs = [self._named()]
        while self.word == ",":
            self._step()
            outputs.append(self._named())
        self._want("=")
        op = self._name()
        inputs = dict(self._arguments("(", ")"))
        attributes: dict[str, Constant] = {}
        if self.word == "[":
            for name, values in self._arguments("[", "]"):
                if len(values) == 1 and isinstance(values[0], Constant):
                    attributes[name] = values[0]
        if self.word == "{":
            raise OpaqueModel(f"a compiled program in which {op} holds blocks")
        self._want(";")
        return Operation(op, inputs, outputs, attributes)

    def _arguments(self, opening: str, closing: str) -> list[tuple[str, list[str | Constant]]]:
        self._want(opening)
        found = []
        while self.word != closing:
            name = self._name()
            self._want("=")
            found.append((name, self._values()))
            if self.word == ",":
                self._step()
        self._step()
        return found

    def _names(self) -> list[str]:
        self._want("(")
        names = []
        while self.word != ")":
            names.append(self._name())
            if self.word == ",":
                self._step()
        self._step()
        return names

    def _values(self) -> list[str | Constant]:
        """A name, several in brackets, or a value with its type."""
        if self.word == "(":
            self._step()
            found: list[str | Constant] = []
            while self.word != ")":
                found += self._values()
                if self.word == ",":
                    self._step()
            self._step()
            return found
        if self.word in ("true", "false"):
            return [packed("bool", (), [self._step() == "true"])]
        name = self.word
        if name not in ("tensor", "dict", "list", "tuple", "state") and not self._is_typed():
            return [self._name()]
        return [self._value()]

    def _is_typed(self) -> bool:
        """Whether a scalar's type stands here, which its value follows in brackets."""
        return self.word in _SCALARS

    def _value(self) -> Constant:
        dtype, shape = self._type("")
        fixed = tuple(size for size in shape or () if isinstance(size, int))
        if self.word != "(":
            raise RejectedModel(f"not a program: a value of type {dtype} is wanted")
        if shape is None:  # a dictionary or the like: of no consequence
            self._skip("(", ")")
            return Constant(dtype, (), None, [])
        self._step()
        if self.word == "BLOBFILE":
            made = self._blob(dtype, fixed)
        else:
            flat: list[Any] = []
            self._literal(flat, 0)
            made = _constant(dtype, fixed, flat)
        self._want(")")
        return made

    def _blob(self, dtype: str, shape: tuple[int, ...]) -> Constant:
        self._step()
        about = dict(self._arguments("(", ")"))
        path, offset = about.get("path", []), about.get("offset", [])
        names = path[0].texts if path and isinstance(path[0], Constant) else None
        numbers = offset[0].numbers() if offset and isinstance(offset[0], Constant) else None
        if not names or not numbers:
            raise RejectedModel("a constant in a file without a place")
        weights = self._storages.weights(names[0], int(numbers[0]), size_of(dtype, shape))
        return Constant(dtype, shape, weights)

    def _literal(self, into: list[Any], depth: int) -> None:
        if depth > _DEPTH:
            raise RejectedModel("a value nested too deeply")
        if self.word in ("[", "{"):
            closing = "]" if self._step() == "[" else "}"
            while self.word != closing:
                self._literal(into, depth + 1)
                if self.word == ",":
                    self._step()
            self._step()
        elif self.kind == "text":
            into.append(_ESCAPES.sub(r"\1", self._step()[1:-1]))
        elif self.kind in ("number", "name"):
            into.append(_number(self._step()))
        else:
            raise RejectedModel(f"not a program: {self.word!r} is no value")


_SCALARS = frozenset((
    "fp16", "fp32", "fp64", "bf16", "int4", "int8", "int16", "int32", "int64", "uint1", "uint2",
    "uint3", "uint4", "uint6", "uint8", "uint16", "uint32", "uint64", "bool", "string",
))  # fmt: skip


def _number(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    try:
        if word.lower().lstrip("+-").startswith("0x"):
            return float.fromhex(word)
        return int(word) if word.lstrip("+-").isdigit() else float(word)
    except ValueError:
        raise RejectedModel(f"not a program: {word!r} is no number") from None


def _constant(dtype: str, shape: tuple[int, ...], flat: list[Any]) -> Constant:
    if dtype == "string" or any(isinstance(value, str) for value in flat):
        return Constant("string", shape, None, [str(value) for value in flat])
    if dtype.startswith(("float", "bfloat")):
        return packed("float32" if dtype == "bfloat16" else dtype, shape, [float(v) for v in flat])
    if dtype == "bool":
        return packed(dtype, shape, [bool(value) for value in flat])
    wide = {"int4": "int8", "uint1": "uint8", "uint2": "uint8", "uint3": "uint8", "uint4": "uint8",
            "uint6": "uint8"}  # fmt: skip
    return packed(wide.get(dtype, dtype), shape, [int(value) for value in flat])
