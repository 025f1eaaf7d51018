"""What ONNX Runtime's kernels ask of their inputs beyond what the kinds check, as data.

See `analysis/rules/needs.py` for the words. Found by giving the kernels sizes that contradict each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewise.formats.onnx.operator import Operator

Needs = tuple[tuple[Any, ...], ...]

_MANY = 64
_SQUARE: Needs = (("rank", 0, 2, _MANY), ("same", 0, -1, 0, -2))
_NEEDS: Mapping[str, Needs | Callable[[Operator], Needs]] = {
    "Det": _SQUARE,
    "Inverse": _SQUARE,
    "Trilu": (("rank", 0, 2, _MANY),),
    "LRN": (("rank", 0, 4, 4),),
    "RoiAlign": (("rank", 0, 4, 4), ("rank", 1, 2, 2), ("size", 1, 1, 4), ("same", 1, 0, 2, 0)),
    "MaxUnpool": (("alike", 0, 1),),
    "BiasGelu": (("rank", 1, 1, 1), ("same", 0, -1, 1, 0)),
    "SkipLayerNormalization": (
        ("rank", 0, 2, 3), ("same", 0, -1, 1, -1), ("same", 0, -2, 1, -2), ("rank", 2, 1, 1),
        ("same", 0, -1, 2, 0),
    ),
    "SkipSimplifiedLayerNormalization": (
        ("rank", 0, 2, 3), ("same", 0, -1, 1, -1), ("rank", 2, 1, 1), ("same", 0, -1, 2, 0),
    ),
    "AffineGrid": (("rank", 0, 3, 3),),
    "Gemm": (("rank", 0, 2, 2), ("rank", 1, 2, 2)),
    "Conv": (("rank", 2, 1, 1), ("same", 1, 0, 2, 0)),
    "Hardmax": lambda operator: (("axis", 0, operator.integer("axis", -1)),),
    "ReverseSequence": lambda operator: (
        ("rank", 0, 2, _MANY), ("rank", 1, 1, 1),
        ("same", 0, operator.integer("batch_axis", 1), 1, 0),
    ),
    "GroupNormalization": lambda operator: _group_normalisation(operator),
}  # fmt: skip


def needs(operator: Operator) -> Needs:
    """The needs of an operator, none for most."""
    found = _NEEDS.get(operator.op, ())
    return found if isinstance(found, tuple) else found(operator)


def _group_normalisation(operator: Operator) -> Needs:
    groups = operator.integer("num_groups", 1) or 1
    parameters: Needs = (("size", 1, 0, groups), ("size", 2, 0, groups))
    if operator.opset >= 21:
        parameters = (("same", 0, 1, 1, 0), ("same", 0, 1, 2, 0))
    return (("groups", 0, 1, groups), *parameters)
