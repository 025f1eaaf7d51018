"""TFLite operators whose translation depends on their inputs, and those of control flow."""

from __future__ import annotations

from edgewise.formats.tflite.operator import Operator, Translation, Translator, as_stated
from edgewise.graph import DTYPE_BITS, Kind


def _reshape(op: Operator) -> Translation:
    """A second input wins over the option. An option of [0] is an old file's way to say scalar."""
    if op.has_input(1):
        return Translation(Kind.RESHAPE, op.inputs)
    shape = op.options.int32s(0)
    return Translation(Kind.RESHAPE, op.inputs, {"shape": () if shape == (0,) else shape})


def _where(op: Operator) -> Translation:
    return Translation(Kind.DATA_DEPENDENT if len(op.inputs) == 1 else Kind.WHERE, op.inputs)


def _bitcast(op: Operator) -> Translation:
    """Between types of one size the shape stays."""
    before = op.tensors[op.inputs[0]].dtype if op.inputs and op.inputs[0] is not None else ""
    same_size = DTYPE_BITS.get(before) == DTYPE_BITS.get(op.output_dtype() or "")
    return Translation(Kind.SCATTER, op.inputs) if same_size else as_stated(op)


def _if(op: Operator) -> Translation:
    return Translation(Kind.IF, op.inputs, bodies=(op.options.int32(0), op.options.int32(1)))


def _while(op: Operator) -> Translation:
    bodies = (op.options.int32(0), op.options.int32(1))
    return Translation(Kind.LOOP, op.inputs, {"style": "while"}, bodies)


def _call(op: Operator) -> Translation:
    return Translation(Kind.CALL, op.inputs, bodies=(op.options.uint32(0),))


def _call_once(op: Operator) -> Translation:
    return Translation(Kind.CALL, op.inputs, {"once": True}, (op.options.int32(0),))


SPECIAL: dict[str, Translator] = {
    "RESHAPE": _reshape,
    "WHERE": _where,
    "BITCAST": _bitcast,
    "IF": _if,
    "WHILE": _while,
    "CALL": _call,
    "CALL_ONCE": _call_once,
}
