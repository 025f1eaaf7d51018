"""TorchScript's calls on plain values, computed; and the ranks of tensors, where they are clear."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Parts, Recorder, Ref, Sizes, Unknown
from edgewise.graph import Kind

NOT_PLAIN = object()
#: Elements that a list may grow to, and bits that a number may.
_LONGEST, _LARGEST = 1_000_000, 1 << 64


def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    if hasattr(a, "__len__"):
        return a + b if len(a) + len(b) <= _LONGEST else UNKNOWN_VALUE
    return a + b * alpha


def _mul(a: Any, b: Any) -> Any:
    if isinstance(a, (list, str)) or isinstance(b, (list, str)):
        held, times = (a, b) if isinstance(a, (list, str)) else (b, a)
        return held * times if len(held) * max(times, 0) <= _LONGEST else UNKNOWN_VALUE
    return a * b


def _pow(a: Any, b: Any) -> Any:
    return a**b if abs(a) < 1 << 32 and abs(b) < 64 else UNKNOWN_VALUE


_COMPUTED: dict[str, Callable[..., Any]] = {
    "add": _add, "sub": lambda a, b: a - b, "mul": _mul, "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b, "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b, "neg": lambda a: -a, "pow": _pow, "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "__not__": lambda a: not a,
    "__and__": lambda a, b: a and b, "__or__": lambda a, b: a or b, "floor": math.floor,
    "ceil": math.ceil, "sqrt": math.sqrt, "log": math.log, "exp": math.exp, "abs": abs,
    "round": round, "Int": int, "Float": float, "Bool": bool, "min": min, "max": max,
    "__contains__": lambda a, b: b in a, "__range_length": lambda a, b, c: len(range(a, b, c)),
    "__derive_index": lambda i, start, step: start + i * step, "lower": lambda a: a.lower(),
    "startswith": lambda a, b: a.startswith(b), "sum": sum,
    "all": all, "any": any, "len": len, "copy": lambda a: list(a),
    "list": lambda a: list(a), "str": str, "sorted": sorted,
}  # fmt: skip
_CONSTANT = {
    "is_grad_enabled": False, "is_scripting": True, "is_tracing": False, "is_cuda": False,
    "requires_grad": False, "is_autocast_enabled": False, "is_autocast_cpu_enabled": False,
    "is_mkldnn": False, "is_nested": False, "is_sparse": False, "is_meta": False,
    "has_torch_function": False, "warn": None, "manual_seed": None, "set_grad_enabled": None,
    "_assert": None, "_is_tracing": False,
}  # fmt: skip
_DTYPE_NUMBERS = {
    "uint8": 0, "int8": 1, "int16": 2, "int32": 3, "int64": 4, "float16": 5, "float32": 6,
    "float64": 7, "bool": 11, "bfloat16": 15,
}  # fmt: skip
_OPAQUE = ("device", "layout", "format", "percentFormat", "get_device", "type", "grad", "names")


def plain_call(name: str, values: list[Any]) -> Any:
    """What a call gives, where plain values decide it; `NOT_PLAIN` where they do not."""
    if name in _CONSTANT:
        return _CONSTANT[name]
    if name in _OPAQUE:
        return UNKNOWN_VALUE
    if name in ("__is__", "__isnot__") and len(values) == 2:
        return _is(values) == (name == "__is__") if _is(values) is not None else UNKNOWN_VALUE
    if name == "dtype" and values and isinstance(values[0], Ref):
        dtype = values[0].owner.graph.tensors[values[0].index].dtype
        return _DTYPE_NUMBERS.get(dtype, 6)
    if name == "is_floating_point" and values and isinstance(values[0], Ref):
        dtype = values[0].owner.graph.tensors[values[0].index].dtype
        return dtype.startswith(("float", "bfloat"))
    if name in ("dtype", "is_floating_point", "list") and any(
        isinstance(v, Unknown) for v in values
    ):
        return UNKNOWN_VALUE
    if name == "list" and values and isinstance(values[0], Sizes):
        return values[0]
    if name == "shape" and values and isinstance(values[0], Ref):
        return Sizes(values[0])
    on_lists = _on_lists(name, values)
    if on_lists is not NOT_PLAIN:
        return on_lists
    if name not in _COMPUTED or not values or not all(_is_plain(value) for value in values):
        return NOT_PLAIN
    try:
        found = _COMPUTED[name](*values)
    except (ArithmeticError, TypeError, ValueError, AttributeError):
        return UNKNOWN_VALUE
    too_large = isinstance(found, int) and abs(found) > _LARGEST
    return UNKNOWN_VALUE if too_large else found


def _is(values: list[Any]) -> bool | None:
    one, other = values
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return None
    return one is other


def _on_lists(name: str, values: list[Any]) -> Any:
    """Calls on lists and dicts, whatever is in them."""
    if not values:
        return NOT_PLAIN
    held = values[0]
    if isinstance(held, (list, tuple)):
        if name == "len":
            return len(held)
        if name in ("list", "copy"):
            return list(held)
        if isinstance(held, list) and len(held) <= _LONGEST:
            if name == "append" and len(values) == 2:
                held.append(values[1])
                return held
            if name == "extend" and isinstance(values[1], (list, tuple)):
                held.extend(values[1])
                return held
            if name == "insert" and isinstance(values[1], int):
                held.insert(values[1], values[2])
                return held
            if name == "pop":
                return held.pop() if held else UNKNOWN_VALUE
            if name == "reverse":
                held.reverse()
                return held
        if name == "add" and isinstance(values[1], (list, tuple)):
            return [*held, *values[1]]
        if name == "slice" and all(isinstance(v, (int, type(None))) for v in values[1:]):
            start, end = [*values[1:], None, None][:2]
            return list(held[start : None if end is None or end > _LONGEST else end])
    if isinstance(held, dict):
        if name in ("keys", "values", "items"):
            return list(getattr(held, name)())
        if name == "len":
            return len(held)
        if name == "__contains__":
            return values[1] in held if isinstance(values[1], (str, int)) else UNKNOWN_VALUE
        if name in ("get", "__getitem__"):
            return held.get(values[1]) if isinstance(values[1], (str, int)) else UNKNOWN_VALUE
        if name == "_set_item" and isinstance(values[1], (str, int)):
            held[values[1]] = values[2]
            return held
    return NOT_PLAIN


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    return isinstance(value, (int, float, str, bool, type(None))) and not isinstance(
        value, (Ref, Sizes, Parts, Unknown)
    )


#: Layers that are looked back over.
_FURTHEST = 64
#: Kinds whose output has the rank of their first input.
_KEEPS_RANK = frozenset((
    Kind.UNARY, Kind.NORMALISE, Kind.SOFTMAX, Kind.IDENTITY, Kind.CAST, Kind.POOL,
    Kind.GLOBAL_POOL, Kind.RESIZE, Kind.PAD, Kind.QUANTIZE, Kind.DEQUANTIZE, Kind.CONCAT,
    Kind.TRANSPOSE, Kind.STRIDED_SLICE, Kind.DEPTH_TO_SPACE, Kind.SPACE_TO_DEPTH, Kind.CUMULATIVE,
))  # fmt: skip


def rank_of(ref: Ref) -> int | None:
    """How many axes a tensor has, where that follows from the layers before it."""
    return _rank(ref.owner, ref.index, 0)


def _rank(owner: Recorder, index: int, depth: int) -> int | None:
    shape = owner.graph.tensors[index].shape
    if shape is not None or depth > _FURTHEST:
        return None if shape is None else len(shape)
    while index in owner.graph.captures and owner.outer is not None:
        index, owner = owner.graph.captures[index], owner.outer
    layer = owner.maker(index)
    if layer is None or not layer.inputs:
        return None
    if layer.kind in (Kind.CONV, Kind.CONV_TRANSPOSE) and layer.inputs[1] is not None:
        weight = owner.graph.tensors[layer.inputs[1]].shape
        return None if weight is None else len(weight)
    if layer.kind is Kind.BINARY:
        ranks = [_rank(owner, one, depth + 8) for one in layer.inputs if one is not None]
        return None if None in ranks else max((r for r in ranks if r is not None), default=None)
    first = layer.inputs[0]
    return (
        _rank(owner, first, depth + 1) if layer.kind in _KEEPS_RANK and first is not None else None
    )
