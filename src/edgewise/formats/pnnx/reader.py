"""pnnx: the text, line by line, and the zip of weights beside it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from edgewise.archive import Archive, Budget, File, Limits
from edgewise.errors import EdgewiseError, InputError, LimitExceeded, RejectedModel
from edgewise.formats import pnnx
from edgewise.formats.netlist import Netlist, absent
from edgewise.formats.pnnx.operator import Operator
from edgewise.formats.pnnx.ops import translate
from edgewise.formats.siblings import expected, find
from edgewise.graph import Graph

MAX_LINES = 200_000
MAX_TEXT = 64 << 20
_TYPES = {
    "f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16", "i8": "int8",
    "u8": "uint8", "i16": "int16", "i32": "int32", "i64": "int64", "bool": "bool",
    "c64": "complex64", "c128": "complex128", "cp64": "complex64", "cp128": "complex128",
}  # fmt: skip
_SHAPED = re.compile(r"\(([^()]*)\)(\w+)\Z")


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no valid text of pnnx; says where it breaks.
    """
    operators = parse(file.data())
    reader = _Reader(file)
    for operator in operators:
        reader.add(operator)
    return reader.finish()


def parse(data: memoryview) -> list[Operator]:
    """The operators that the text lists.

    Raises:
        RejectedModel: says which line breaks.
    """
    if len(data) > MAX_TEXT:
        raise LimitExceeded(f"a text of {len(data):,} bytes, more than {MAX_TEXT:,}")
    try:
        lines = str(data, "utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise RejectedModel(f"no text at byte {problem.start:,}") from problem
    counts = lines[1].split() if len(lines) > 1 else []
    if lines[:1] != ["7767517"] or len(counts) != 2 or not all(c.isdigit() for c in counts):
        raise RejectedModel("does not start with 7767517 and two counts")
    body = [line for line in lines[2:] if line.strip()]
    if len(body) > MAX_LINES:
        raise LimitExceeded(f"more than {MAX_LINES:,} operators")
    if len(body) != int(counts[0][:9]):
        raise RejectedModel(f"{counts[0]} operators announced, {len(body)} listed")
    return [_operator(line.split(), at) for at, line in enumerate(body, start=3)]


def _operator(words: list[str], line: int) -> Operator:
    if len(words) < 4 or not (words[2].isdigit() and words[3].isdigit()):
        raise RejectedModel(f"line {line} is no operator")
    reads, writes = int(words[2][:9]), int(words[3][:9])
    names = words[4 : 4 + reads + writes]
    if len(names) != reads + writes:
        raise RejectedModel(f"line {line}: {reads + writes} values announced, {len(names)} named")
    operator = Operator(words[0], words[1], names[:reads], names[reads:])
    for word in words[4 + reads + writes :]:
        key, mark, text = word.partition("=")
        if not mark or not key:
            raise RejectedModel(f"line {line}: {word[:40]!r} is no argument")
        if key[0] == "@":
            operator.weights[key[1:]] = _shaped(text, line)
        elif key[0] == "#":
            if "?" not in text:
                operator.shapes[key[1:]] = _shaped(text, line)
        elif key[0] == "$":
            operator.named[key[1:]] = text
        else:
            operator.arguments[key] = _value(text)
    return operator


def _shaped(text: str, line: int) -> tuple[tuple[int, ...], str]:
    """A shape and a type, such as `(1,3,48,64)f32`."""
    found = _SHAPED.match(text)
    sizes = [part.strip() for part in found.group(1).split(",") if part.strip()] if found else []
    if found is None or not all(size.isdigit() and len(size) < 13 for size in sizes):
        raise RejectedModel(f"line {line}: {text[:40]!r} is no shape")
    return tuple(int(size) for size in sizes), _TYPES.get(found.group(2), found.group(2))


def _value(text: str) -> Any:
    """A number, a truth, a list of them, None, or text."""
    if text[:1] in "([" and text[-1:] in ")]":
        return tuple(_value(part) for part in text[1:-1].split(",") if part)
    if text in ("True", "False"):
        return text == "True"
    if text == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class _Reader:
    """One network while it is read."""

    def __init__(self, file: File) -> None:
        stem = file.name[: -len(".param")] if file.name.lower().endswith(".param") else file.name
        self._file = file
        self._builder = Netlist(PurePosixPath(stem.removesuffix(".pnnx")).name, pnnx.NAME)
        self._name = expected(file, pnnx.SIBLINGS)
        self._archive = self._open()
        self._outputs: list[str] = []

    def _open(self) -> Archive | None:
        notes = self._builder.graph.notes
        weights = find(self._file, pnnx.SIBLINGS)
        graph = self._builder.graph
        if weights is None:
            graph.companions = graph.missing = (self._name,)
            return None
        graph.companions = (weights.name,)
        try:
            return Archive(weights, Budget(Limits()))  # type: ignore[arg-type]
        except EdgewiseError as error:
            notes.append(f"weights in {self._name!r} cannot be read: {error}")
            return None

    def add(self, operator: Operator) -> None:
        """One operator."""
        if operator.type == "pnnx.Output":
            self._outputs += operator.inputs
            return
        for name in operator.inputs:
            if not self._builder.known(name):
                raise RejectedModel(f"{operator.type} {operator.name}: nothing makes {name!r}")
        if operator.type == "pnnx.Input":
            for name in operator.outputs:
                shape, dtype = operator.shapes.get(name, (None, "float32"))
                self._builder.input(name, dtype, shape)
            return
        stored = {
            key: self._weight(operator, key, shape, dtype)
            for key, (shape, dtype) in operator.weights.items()
        }
        translate(self._builder, operator, stored)
        for name in operator.outputs:
            shape, dtype = operator.shapes.get(name, (None, "float32"))
            tensor = self._builder.tensor(self._builder.value(name))
            tensor.dtype, tensor.shape = dtype, shape

    def _weight(self, operator: Operator, key: str, shape: tuple[int, ...], dtype: str) -> int:
        name = f"{operator.name}.{key}"
        entry = self._archive.get(name) if self._archive is not None else None
        if entry is None:
            return self._builder.weight(name, dtype, shape, absent(self._file, self._name))

        def load() -> memoryview:
            try:
                return entry.data()
            except LimitExceeded as error:
                raise InputError(str(error)) from error

        return self._builder.weight(name, dtype, shape, load)

    def finish(self) -> Graph:
        """The graph."""
        return self._builder.finish(self._outputs)
