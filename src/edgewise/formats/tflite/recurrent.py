"""TFLite's recurrent operators in common words.

Sizes come from the weights: a gate's input weights are (cells, inputs), its recurrent weights
(cells, outputs), a projection (outputs, cells). The positions of the inputs are those of TFLite's
kernels (`lstm_shared.h`, `unidirectional_sequence_lstm.cc`, `bidirectional_sequence_lstm.cc`,
`basic_rnn.cc`, `unidirectional_sequence_rnn.cc`, `bidirectional_sequence_rnn.cc`).
"""

from __future__ import annotations

from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.kit import UNKNOWN, Meaning
from edgewise.formats.tflite.operator import Operator, Translator
from edgewise.formats.tflite.ops import activation
from edgewise.graph import Kind

_BASIC_KERNEL = 1


def _recurrent(op: Operator, slot: int, **attributes: Any) -> Meaning:
    attributes["activation"] = activation(slot)(op)
    return Meaning(Kind.RECURRENT, attributes)


def _axes(time_major: bool) -> dict[str, int]:
    return {"time_axis": 0, "batch_axis": 1} if time_major else {"time_axis": 1, "batch_axis": 0}


_ONE_STEP: dict[str, int | None] = {"time_axis": None, "batch_axis": None}


def _directions(op: Operator, merged: bool) -> dict[str, Any]:
    """What two directions give: one tensor with both, or one for each."""
    outputs = ("sequence",) if merged else ("one_direction",) * len(op.outputs)
    return {"directions": 2, "outputs": outputs}


def _lstm_sizes(op: Operator, input_weights: int, projection: int) -> dict[str, Any]:
    """Sizes of an LSTM from its forget gate's weights, the one gate that is never left out."""
    hidden, input_size = op.matrix(input_weights)
    return {
        "hidden": hidden,
        "input_size": input_size,
        "projection": op.matrix(projection)[0] if op.has_input(projection) else None,
        "coupled_input_gate": not op.has_input(input_weights - 1),
    }


def _rnn_sizes(op: Operator, input_weights: int) -> dict[str, Any]:
    hidden, input_size = op.matrix(input_weights)
    return {"hidden": hidden, "input_size": input_size}


def _one_step_lstm(op: Operator) -> Meaning:
    if op.options.int8(3) == _BASIC_KERNEL:
        return _basic_lstm(op)
    # Files of TFLite's first versions have the states and a scratch buffer as outputs too, in an
    # order that changed: the shapes that the file states have to do.
    outputs = ("state",) if len(op.outputs) == 1 else (None,) * len(op.outputs)
    sizes = _lstm_sizes(op, 2, projection=16)
    return _recurrent(op, 0, cell="lstm", **sizes, **_ONE_STEP, outputs=outputs)


def _basic_lstm(op: Operator) -> Meaning:
    """One matrix holds all four gates and both kernels: (4·cells, inputs + cells)."""
    rows, columns = op.matrix(2)
    hidden = rows // 4
    if rows % 4 or columns < hidden:
        raise RejectedModel(f"{op.op}: weights of {rows}×{columns} hold no four gates")
    meaning = _recurrent(
        op, 0, cell="lstm", hidden=hidden, input_size=columns - hidden,
        outputs=("state", "state", None, None), **_ONE_STEP,
    )  # fmt: skip
    return meaning._replace(order=(0, 2, None, 3))


def _sequence_lstm(op: Operator) -> Meaning:
    if op.options.flag(5):
        return UNKNOWN  # diagonal recurrent weights: H products per gate, not H²
    outputs = ("sequence",) if len(op.outputs) == 1 else (None,) * len(op.outputs)
    sizes, axes = _lstm_sizes(op, 2, projection=16), _axes(op.options.flag(3))
    return _recurrent(op, 0, cell="lstm", **sizes, **axes, outputs=outputs)


def _two_way_lstm(op: Operator) -> Meaning:
    forward = _lstm_sizes(op, 2, projection=16)
    backward = _lstm_sizes(op, 19, projection=33)
    if op.has_input(41):
        forward["input_size"] += op.matrix(41)[1]
    if op.has_input(45):
        backward["input_size"] += op.matrix(45)[1]
    if forward != backward:
        return UNKNOWN
    axes, ways = _axes(op.options.flag(4, True)), _directions(op, op.options.flag(3))
    return _recurrent(op, 0, cell="lstm", **forward, **axes, **ways)


def _one_step_rnn(op: Operator) -> Meaning:
    return _recurrent(op, 0, cell="rnn", **_rnn_sizes(op, 1), **_ONE_STEP, outputs=("state",))


def _sequence_rnn(op: Operator) -> Meaning:
    sizes, axes = _rnn_sizes(op, 1), _axes(op.options.flag(0))
    return _recurrent(op, 1, cell="rnn", **sizes, **axes, outputs=("sequence",))


def _two_way_rnn(op: Operator) -> Meaning:
    forward, backward = _rnn_sizes(op, 1), _rnn_sizes(op, 5)
    if op.has_input(10):
        forward["input_size"] += op.matrix(10)[1]
    if op.has_input(11):
        backward["input_size"] += op.matrix(11)[1]
    if forward != backward:
        return UNKNOWN
    axes, ways = _axes(op.options.flag(0)), _directions(op, op.options.flag(2))
    return _recurrent(op, 1, cell="rnn", **forward, **axes, **ways)


RECURRENT: dict[str, Translator] = {
    "LSTM": _one_step_lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _sequence_lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _two_way_lstm,
    "RNN": _one_step_rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _sequence_rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": _two_way_rnn,
}
