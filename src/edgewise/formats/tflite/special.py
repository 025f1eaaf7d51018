"""TFLite operators whose translation depends on their inputs, and those of control flow."""

from __future__ import annotations

from edgewise.formats.kit import AS_STATED, Meaning
from edgewise.formats.tflite.operator import Operator, Translator
from edgewise.graph import DTYPE_BITS, Kind


def _reshape(op: Operator) -> Meaning:
    """A second input wins over the option. An option of [0] is an old file's way to say scalar."""
    if op.has_input(1):
        return Meaning(Kind.RESHAPE)
    shape = op.options.int32s(0)
    return Meaning(Kind.RESHAPE, {"shape": () if shape == (0,) else shape})


def _where(op: Operator) -> Meaning:
    return Meaning(Kind.DATA_DEPENDENT if len(op.inputs) == 1 else Kind.WHERE)


def _bitcast(op: Operator) -> Meaning:
    """Between types of one size the shape stays."""
    before = op.tensors[op.inputs[0]].dtype if op.inputs and op.inputs[0] is not None else ""
    same_size = DTYPE_BITS.get(before) == DTYPE_BITS.get(op.output_dtype() or "")
    return Meaning(Kind.SCATTER) if same_size else AS_STATED


def _if(op: Operator) -> Meaning:
    return Meaning(Kind.IF, bodies=(op.options.int32(0), op.options.int32(1)))


def _while(op: Operator) -> Meaning:
    bodies = (op.options.int32(0), op.options.int32(1))
    return Meaning(Kind.LOOP, {"style": "while"}, bodies=bodies)


def _call(op: Operator) -> Meaning:
    return Meaning(Kind.CALL, bodies=(op.options.uint32(0),))


def _call_once(op: Operator) -> Meaning:
    return Meaning(Kind.CALL, {"once": True}, bodies=(op.options.int32(0),))


SPECIAL: dict[str, Translator] = {
    "RESHAPE": _reshape,
    "WHERE": _where,
    "BITCAST": _bitcast,
    "IF": _if,
    "WHILE": _while,
    "CALL": _call,
    "CALL_ONCE": _call_once,
}
