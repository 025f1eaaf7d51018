"""Values that decide shapes, held as the type of their tensor holds them.

A runtime computes sizes in 32-bit floats, narrow integers and booleans, and rounds, wraps and cuts
on the way. What decides a shape is therefore put into its tensor's type after every operator.
A size with a formula (`Dim`) stays one where the type changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.analysis.symbolic import Dim

Value = np.ndarray[Any, Any]

#: Whole numbers up to this are the same in every floating-point type but the half-width ones.
_EXACT = {"float16": 1 << 11, "bfloat16": 1 << 8, "float32": 1 << 24, "float64": 1 << 53}
_FLOATS: dict[str, type[np.floating[Any]]] = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
}


def as_type(value: Value, dtype: str) -> Value:
    """An array of Python numbers as a tensor of that type holds them; others as they are."""
    convert = _CONVERSIONS.get(dtype)
    if convert is None:
        return value
    result = np.empty(value.shape, dtype=object)
    result.reshape(-1)[:] = convert(value.reshape(-1).tolist())
    return result


def _to_float(dtype: str) -> Callable[[list[Any]], list[Any]]:
    exact, rounded = _EXACT[dtype], _FLOATS[dtype]

    def convert(numbers: list[Any]) -> list[Any]:
        kept = {at: n for at, n in enumerate(numbers) if isinstance(n, Dim) and abs(n) <= exact}
        floats = np.array([0.0 if at in kept else float(n) for at, n in enumerate(numbers)])
        with np.errstate(over="ignore"):
            held: list[Any] = floats.astype(rounded).astype(np.float64).tolist()
        for at, number in kept.items():
            held[at] = number
        return held

    return convert


def _to_integer(bits: int, signed: bool) -> Callable[[list[Any]], list[Any]]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def narrowed(number: Any) -> Any:
        if isinstance(number, bool) or not isinstance(number, int):
            number = int(number)
        if low <= number <= high:
            return number
        return (int(number) - low) % (1 << bits) + low

    return lambda numbers: list(map(narrowed, numbers))


_CONVERSIONS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "bool": lambda numbers: list(map(bool, numbers)),
    **{dtype: _to_float(dtype) for dtype in ("float16", "float32", "float64")},
    **{f"int{bits}": _to_integer(bits, True) for bits in (4, 8, 16, 32, 64)},
    **{f"uint{bits}": _to_integer(bits, False) for bits in (4, 8, 16, 32, 64)},
}
