"""Values for a model's inputs where no real ones are at hand.

They are seeded and respect type and shape. Floating point is uniform in [0, 1). Integers of up to
16 bits use their whole range, as quantised models do; wider ones are 0 or 1, because they are
indices (token ids, positions) that must stay inside a table of unknown length. An integer vector
with as many elements as an output has dimensions, beside other inputs, is taken for that output's
shape. Strings are "0".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import Port

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Shapes = Mapping[str, tuple[int, ...]]
_WHOLE_RANGE = ("int8", "uint8", "int16", "uint16")
_INDICES = ("int32", "int64", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")


def random_values(
    inputs: Sequence[Port], outputs: Sequence[Port], shapes: Shapes, seed: int
) -> dict[str, Array]:
    """Seeded values for every input; see the module.

    Raises:
        RuntimeRefused: an input is of a type that cannot be made up.
    """
    import numpy as np

    values = {}
    for index, port in enumerate(inputs):
        as_shape = _output_shape(port, outputs) if len(inputs) > 1 else None
        if as_shape is not None:
            values[port.name] = np.array(as_shape, port.dtype)
        else:
            generator = np.random.default_rng([seed, index])
            values[port.name] = _random(port, shapes[port.name], generator)
    return values


def _output_shape(port: Port, outputs: Sequence[Port]) -> tuple[int, ...] | None:
    if port.dtype not in ("int32", "int64") or port.shape is None or len(port.shape) != 1:
        return None
    fitting = (each.shape for each in outputs if each.shape and len(each.shape) == port.shape[0])
    return next(fitting, None)


def _random(port: Port, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    import numpy as np

    if port.dtype in _FLOATS:
        exact = "float64" if port.dtype == "float64" else "float32"
        return generator.random(shape, dtype=exact).astype(port.dtype, copy=False)  # type: ignore[call-overload,no-any-return]
    if port.dtype in _WHOLE_RANGE:
        limits = np.iinfo(port.dtype)
        return generator.integers(limits.min, limits.max, shape, port.dtype, endpoint=True)
    if port.dtype in _INDICES:
        return generator.integers(0, 2, shape, port.dtype)
    if port.dtype == "bool":
        return generator.integers(0, 2, shape, "uint8").astype("bool")
    if port.dtype == "string":
        return np.full(shape, b"0", dtype=object)
    raise RuntimeRefused(
        f"input {port.name!r} is of type {port.dtype}: no values can be made up (use --input)"
    )
