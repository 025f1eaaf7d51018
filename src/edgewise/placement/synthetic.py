"""Questions where nobody gave any: photos for a model that takes colour images, else numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from edgewise.bench.inputs import wanted_shapes
from edgewise.errors import InputError, RuntimeRefused
from edgewise.family import Preprocess
from edgewise.placement import photos
from edgewise.protocol.messages import Tensor
from edgewise.records import Port
from edgewise.runtimes import variant
from edgewise.runtimes.values import random_values
from edgewise.server.pool.ports import tensor

NOTES = {
    "image": "inputs are made up: photos of noise, 1.2 to 3.1 million pixels; --input gives real "
    "ones",
    "tensor": "inputs are made up: random numbers of the model's shape; --input gives real ones",
}
#: The same numbers every time.
_SEED = 0


def kind_of(inputs: Sequence[Port], how: Preprocess) -> Literal["image", "tensor"]:
    """Images where the model's only input has room for three colours. One channel may be a grey
    image as well as a spectrum: that is asked in numbers."""
    if len(inputs) != 1:
        return "tensor"
    try:
        return "tensor" if variant.resolve(how, inputs[0]).colour == "grey" else "image"
    except RuntimeRefused:
        return "tensor"


@cache
def pictures() -> tuple[bytes, ...]:
    """Photos as a phone takes them.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    return tuple(photos.photo(size, _SEED + i) for i, size in enumerate(photos.SIZES))


def tensors(inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[Tensor, ...]:
    """A model's inputs, random.

    Raises:
        InputError: a size is open, or a type that cannot be made up.
    """
    try:
        values = random_values(inputs, outputs, wanted_shapes(inputs, 1, {}), _SEED)
    except RuntimeRefused as error:
        takes = ", ".join(f"{port.name!r} {port.dtype} {_words(port)}" for port in inputs)
        raise InputError(
            f"no inputs can be made up for it: it takes {takes}", hint="--input FILE.npz has them"
        ) from error
    return tuple(tensor(name, array) for name, array in values.items())


def _words(port: Port) -> str:
    return "×".join(map(str, port.signature or port.shape or ())) or "of no stated shape"
