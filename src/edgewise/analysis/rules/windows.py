"""Sliding windows: the arithmetic that convolutions and pools share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise.analysis.scope import Dims, require
from edgewise.analysis.symbolic import ceil_div


def spatial(dims: Dims, layout: str) -> Dims:
    """The spatial part of (N, spatial…, C) or (N, C, spatial…)."""
    return dims[1:-1] if layout == "channels_last" else dims[2:]


def assemble(batch: int, channels: int, space: Sequence[int], layout: str) -> Dims:
    """A shape from its parts."""
    if layout == "channels_last":
        return (batch, *space, channels)
    return (batch, channels, *space)


def per_axis(attribute: Any, axes: int, default: int = 1) -> list[int]:
    """An attribute with one number per spatial axis; a single number stands for all."""
    if attribute is None:
        return [default] * axes
    values = [attribute] if isinstance(attribute, int) else list(attribute)
    if len(values) == 1:
        values *= axes
    require(len(values) == axes, f"{values} for {axes} spatial axes")
    return values


def slide(
    space: Dims,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Any,
    *,
    ceil_mode: bool | str = False,
    small: str = "cut",
) -> list[int]:
    """How many places a window takes along each axis.

    `small` says what becomes of an input that a window does not fit into: it is refused
    ("refuse"), has no place for it ("none"), or, as ONNX Runtime's pools divide towards zero, no
    or one place where a stride reaches beyond it ("cut").
    """
    if pads in ("same", "same_lower"):
        return [ceil_div(size, step) for size, step in zip(space, strides, strict=True)]
    before, after = both_sides(pads, len(space))
    result = []
    for size, taps, step, gap, low, high in zip(
        space, kernel, strides, dilations, before, after, strict=True
    ):
        room = size + low + high - ((taps - 1) * gap + 1)
        require(step > 0 and gap > 0, f"a step of {step}, a dilation of {gap}")
        if room < 0:
            places = 0 if small == "none" else 1 - (-int(room) // step)
            require(
                places >= 0 and small != "refuse",
                f"a window of {taps} does not fit into {int(size)}",
            )
            result.append(places)
            continue
        if not ceil_mode:
            result.append(room // step + 1)
            continue
        places = ceil_div(room, step) + 1
        if ceil_mode == "all":
            result.append(places)
            continue
        # The last window must start inside the input or its left padding.
        result.append(places - 1 if (places - 1) * step >= size + low else places)
    return result


def spread(
    space: Dims,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Any,
    extra: Sequence[int],
) -> list[int]:
    """Sizes after a transposed convolution."""
    if pads in ("same", "same_lower"):
        natural = spread(space, kernel, strides, dilations, "valid", extra)
        wanted = [size * step for size, step in zip(space, strides, strict=True)]
        return [want if want <= most else most for want, most in zip(wanted, natural, strict=True)]
    before, after = both_sides(pads, len(space))
    return [
        (size - 1) * step + (taps - 1) * gap + 1 - low - high + more
        for size, taps, step, gap, low, high, more in zip(
            space, kernel, strides, dilations, before, after, extra, strict=True
        )
    ]


def both_sides(pads: Any, axes: int) -> tuple[list[int], list[int]]:
    """Explicit pads, (begin…, end…), as two lists."""
    if pads is None or pads == "valid":
        return [0] * axes, [0] * axes
    require(len(pads) == 2 * axes, f"{len(pads)} pads for {axes} axes")
    return list(pads[:axes]), list(pads[axes:])
