"""All operators, and how a call becomes layers.

Names stand without overload, without the underscore of those that work in place and without the
`_copy` of those that ExecuTorch has in place of views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgewise.formats.aten.compute import COMPUTE
from edgewise.formats.aten.elementwise import ELEMENTWISE
from edgewise.formats.aten.making import MAKING
from edgewise.formats.aten.movement import MOVEMENT
from edgewise.formats.aten.quantized import QUANTIZED
from edgewise.formats.aten.recorder import Call, NotPlain, Recorder

Translation = Callable[[Call], Any]
#: Parameters in the schema's order, and what a call does.
Entry = tuple[str, Translation]

OPERATORS: Mapping[str, Entry] = {**ELEMENTWISE, **MOVEMENT, **MAKING, **COMPUTE, **QUANTIZED}


#: Namespaces whose operators are called as ATen's.
_PLAIN_SPACES = ("", "aten", "prim", "prims", "executorch_prim", "dim_order_ops")


def entry_of(op: str) -> Entry | None:
    """The entry of an operator, `aten::relu_` or `quantized::linear`."""
    space, _, name = op.rpartition("::")
    prefix = "" if space in _PLAIN_SPACES else f"{space}::"
    for known in (name, name.removesuffix("_"), name.removesuffix("_copy"), name.strip("_")):
        found = OPERATORS.get(prefix + known)
        if found is not None:
            return found
    return None


#: What the schema calls a parameter that is called otherwise here.
_OTHERWISE = {
    "split_size": "size", "split_sizes": "size", "start_dim": "start", "end_dim": "end",
    "upscale_factor": "factor", "downscale_factor": "factor", "num_classes": "classes",
    "fill_value": "value", "s": "value", "scale_factors": "scale_h", "scales": "scale_h",
    "scales_h": "scale_h", "scales_w": "scale_w", "mat1": "a", "mat2": "b", "batch1": "a",
    "batch2": "b", "mat": "a", "vec": "b", "exponent": "other", "indices_or_sections": "chunks",
    "sections": "chunks", "tensor1": "other", "tensor2": "third", "end_": "third",
    "weight": "third", "output_size": "size", "normalized_shape": "normalized_shape",
    "data": "hx", "correction": "unbiased", "divisor": "other",
}  # fmt: skip


def _by_our_names(parameters: list[str], named: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments given by the schema's names, by ours: else by where they stand."""
    found: dict[str, Any] = {}
    for at, (name, value) in enumerate(named.items()):
        ours = name if name in parameters else _OTHERWISE.get(name, "")
        if ours not in parameters:
            free = at < len(parameters) and parameters[at] not in named
            ours = parameters[at] if free else name
        found.setdefault(ours, value)
    return found


def record(
    recorder: Recorder, op: str, positional: Sequence[Any], named: Mapping[str, Any] = {},
    *, name: str = "", outputs: int | None = None,
) -> Any:  # fmt: skip
    """Record a call; what it gives back: a reference, or a tuple or list of them.

    One that is not understood, or whose arguments cannot be followed, becomes a layer of the kind
    `unknown`.
    """
    entry = entry_of(op)
    shown = op.removeprefix("aten::")
    if entry is None:
        arguments = {str(at): value for at, value in enumerate(positional)} | dict(named)
        return Call(recorder, shown, arguments, name, outputs).unknown()
    parameters, translate = entry
    arguments = dict(zip(parameters.split(), positional, strict=False))
    arguments |= _by_our_names(parameters.split(), named)
    call = Call(recorder, shown, arguments, name, outputs)
    try:
        return translate(call)
    except (NotPlain, AttributeError, TypeError, ValueError, IndexError, KeyError):
        return call.unknown()
