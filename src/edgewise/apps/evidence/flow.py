"""Where constants go in one method: a walk over its instructions in the order of the file.

Registers hold what is known of them: constant texts and numbers, parameters, fields, results of
the app's own methods. A call's result carries what its arguments carried, so that a path put into
a `File`, a stream or a buffer stays known. Branches are not followed: code that loads a model
names it just before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from edgewise.apps.evidence.bytecode import (
    CONST_STRING,
    CONST_STRING_JUMBO,
    Code,
    Instruction,
    Method,
)
from edgewise.apps.evidence.dex import Dex


class Text(NamedTuple):
    """A constant text, by its number."""

    string: int


class Number(NamedTuple):
    """A constant number."""

    value: int


class Parameter(NamedTuple):
    """A parameter of the method, counted in words from 0 (`this` included)."""

    word: int


class FieldValue(NamedTuple):
    """What a field holds."""

    field: int


class Result(NamedTuple):
    """What a method without known arguments returns."""

    method: int


Value = Text | Number | Parameter | FieldValue | Result
Values = frozenset[Value]
_NOTHING: Values = frozenset()


class Call(NamedTuple):
    """A call: the method's number and what is known of each argument (`this` first)."""

    method: int
    arguments: tuple[Values, ...]

    def carried(self) -> Values:
        """Of all arguments."""
        return frozenset().union(*self.arguments)


class Store(NamedTuple):
    """Something put into a field."""

    field: int
    values: Values


class Return(NamedTuple):
    """Something returned."""

    values: Values


class Use(NamedTuple):
    """Any other instruction with an operand: its operation and operand."""

    op: int
    operand: int


Event = Call | Store | Return | Use

_MOVES = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09}
_FOUR_BIT_TARGETS = {0x12, 0x20, 0x21, 0x23, *range(0x52, 0x59), *range(0x7B, 0x90),
                     *range(0xB0, 0xD8)}  # fmt: skip
_NO_TARGET = {0x00, 0x0E, 0x0F, 0x10, 0x11, 0x1D, 0x1E, 0x1F, *range(0x24, 0x2D),
              *range(0x32, 0x3E), *range(0x4B, 0x52), *range(0x59, 0x60),
              *range(0x67, 0x79)}  # fmt: skip


def events(dex: Dex, code: Code, method: Method) -> Iterator[Event]:
    """What a method does with what is known, in order."""
    walk = _Walk(dex, method)
    for instruction in code.instructions(method):
        step = walk.step(instruction)
        if step is not None:
            yield step


class _Walk:
    def __init__(self, dex: Dex, method: Method) -> None:
        self._dex = dex
        first = method.registers - method.ins
        self._known: dict[int, Values] = {
            first + word: frozenset([Parameter(word)]) for word in range(min(method.ins, 256))
        }
        self._result: Values = _NOTHING

    def step(self, instruction: Instruction) -> Event | None:
        op, units = instruction.op, instruction.units
        special = _SPECIAL.get(op)
        if special is not None:
            return special(self, instruction)
        if op in _FOUR_BIT_TARGETS:
            self._known.pop(units[0] >> 8 & 15, None)
        elif op not in _NO_TARGET:
            self._known.pop(units[0] >> 8, None)
        return Use(op, instruction.operand) if len(units) > 1 else None

    def _get(self, register: int) -> Values:
        return self._known.get(register, _NOTHING)

    def _set(self, register: int, values: Values) -> None:
        if values:
            self._known[register] = values
        else:
            self._known.pop(register, None)

    def _const_string(self, instruction: Instruction) -> Event | None:
        self._known[instruction.units[0] >> 8] = frozenset([Text(instruction.operand)])
        return Use(CONST_STRING, instruction.operand)

    def _const_number(self, instruction: Instruction) -> Event | None:
        first = instruction.units[0]
        if instruction.op == 0x12:
            value = first >> 12
            self._known[first >> 8 & 15] = frozenset([Number(value - 16 if value > 7 else value)])
        else:
            self._known[first >> 8] = frozenset([Number(instruction.units[1])])
        return None

    def _move(self, instruction: Instruction) -> Event | None:
        units = instruction.units
        if len(units) == 1:
            self._set(units[0] >> 8 & 15, self._get(units[0] >> 12))
        elif len(units) == 2:
            self._set(units[0] >> 8, self._get(units[1]))
        else:
            self._set(units[1], self._get(units[2]))
        return None

    def _move_result(self, instruction: Instruction) -> Event | None:
        self._set(instruction.units[0] >> 8, self._result)
        return None

    def _invoke(self, instruction: Instruction) -> Event | None:
        registers = _arguments(instruction)
        call = Call(instruction.operand, tuple(self._get(register) for register in registers))
        carried = frozenset(v for v in call.carried() if not isinstance(v, Number))
        self._result = carried or frozenset([Result(call.method)])
        static = instruction.op in (0x71, 0x77)
        if registers and not static and carried:
            # A constructor, or a setter that returns its object: the object carries it on.
            self._set(registers[0], self._get(registers[0]) | carried)
        return call

    def _put(self, instruction: Instruction) -> Event | None:
        static = instruction.op >= 0x67
        register = instruction.units[0] >> 8 & (255 if static else 15)
        return Store(instruction.operand, self._get(register))

    def _get_field(self, instruction: Instruction) -> Event | None:
        static = instruction.op >= 0x60
        register = instruction.units[0] >> 8 & (255 if static else 15)
        self._known[register] = frozenset([FieldValue(instruction.operand)])
        return Use(instruction.op, instruction.operand)

    def _return(self, instruction: Instruction) -> Event | None:
        return Return(self._get(instruction.units[0] >> 8))

    def _check_cast(self, instruction: Instruction) -> Event | None:
        return Use(instruction.op, instruction.operand)


def _arguments(instruction: Instruction) -> tuple[int, ...]:
    units = instruction.units
    if instruction.op >= 0x74:
        return tuple(range(units[2], units[2] + min(units[0] >> 8, 64)))
    count = units[0] >> 12
    last = units[0] >> 8 & 15
    found = [units[2] >> shift & 15 for shift in (0, 4, 8, 12)]
    return (*found[: min(count, 4)], *((last,) if count == 5 else ()))


_SPECIAL: dict[int, Callable[[_Walk, Instruction], Event | None]] = {
    CONST_STRING: _Walk._const_string,
    CONST_STRING_JUMBO: _Walk._const_string,
    **dict.fromkeys((0x12, 0x13, 0x14, 0x15), _Walk._const_number),
    **dict.fromkeys(_MOVES, _Walk._move),
    **dict.fromkeys((0x0A, 0x0B, 0x0C), _Walk._move_result),
    **dict.fromkeys((*range(0x6E, 0x73), *range(0x74, 0x79)), _Walk._invoke),
    **dict.fromkeys((*range(0x59, 0x60), *range(0x67, 0x6E)), _Walk._put),
    **dict.fromkeys((*range(0x52, 0x59), *range(0x60, 0x67)), _Walk._get_field),
    0x11: _Walk._return,
    0x1F: _Walk._check_cast,
}
