"""Rules of data movement between space, depth and batch, of resizing, and of strided slices."""

from __future__ import annotations

import numpy as np

from edgewise.analysis.rules.arithmetic import axis_in
from edgewise.analysis.rules.movement import strided_length
from edgewise.analysis.rules.windows import assemble, spatial
from edgewise.analysis.scope import CannotTell, Dims, Scope, require, whole
from edgewise.analysis.symbolic import Dim, plain, product
from edgewise.graph import Kind, Layer


def _space_to_depth(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    block, layout = layer.attributes["block"], layer.attributes.get("layout", "channels_first")
    channels = x[-1] if layout == "channels_last" else x[1]
    space = spatial(x, layout)
    require(len(x) == 4, f"{len(x)} dimensions")
    fits = all(size % block == 0 for size in space)
    require(fits, f"{plain(space)} is not divided by {block}")
    places = [size // block for size in space]
    return [assemble(x[0], channels * block ** len(places), places, layout)]


def _depth_to_space(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    block, layout = layer.attributes["block"], layer.attributes.get("layout", "channels_first")
    channels = x[-1] if layout == "channels_last" else x[1]
    require(len(x) == 4, f"{len(x)} dimensions")
    places = [size * block for size in spatial(x, layout)]
    deep = block ** len(places)
    require(channels % deep == 0, f"{int(channels)} channels in blocks of {deep}")
    return [assemble(x[0], channels // block ** len(places), places, layout)]


def _block_and_edges(scope: Scope, layer: Layer) -> tuple[list[int], list[tuple[int, int]]]:
    block, flat = scope.ints(layer, "block", 1), scope.ints(layer, "edges", 2)
    if block is None or flat is None:
        raise CannotTell
    require(len(flat) == 2 * len(block), f"{len(flat)} edges for {len(block)} blocks")
    return block, list(zip(flat[0::2], flat[1::2], strict=True))


def _check_blocks(layer: Layer, x: Dims, block: list[int]) -> None:
    """A block for each axis between batch and channels; some runtimes let some be left out."""
    wanted = len(x) - 2 if layer.attributes.get("strict") else len(block)
    fits = len(block) == wanted and len(x) > len(block)
    require(fits, f"{len(block)} blocks of {len(x)} dimensions")


def _space_to_batch(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    block, pads = _block_and_edges(scope, layer)
    _check_blocks(layer, x, block)
    padded = [size + low + high for size, (low, high) in zip(x[1:], pads, strict=False)]
    fits = all(by > 0 and size % by == 0 for size, by in zip(padded, block, strict=True))
    require(fits, f"{plain(tuple(padded))} is not divided by {block}")
    space = [size // by for size, by in zip(padded, block, strict=True)]
    return [(x[0] * product(block), *space, *x[1 + len(block) :])]


def _batch_to_space(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    block, crops = _block_and_edges(scope, layer)
    if any(low or high for low, high in crops):
        scope.note(
            f"{layer.op} {layer.name}: a dilated convolution computed on blocks that are padded to "
            "fit: what is cut off again is counted"
        )
    space = [
        size * by - low - high for size, by, (low, high) in zip(x[1:], block, crops, strict=False)
    ]
    _check_blocks(layer, x, block)
    fits = product(block) > 0 and x[0] % product(block) == 0
    require(fits, f"a batch of {int(x[0])} in blocks of {block}")
    require(min(space, default=0) >= 0, f"crops of {crops} leave {plain(tuple(space))}")
    return [(x[0] // product(block), *space, *x[1 + len(block) :])]


def _resize(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    layout = layer.attributes.get("layout")
    sizes = _maybe(scope, layer, "sizes", 3)
    if layer.attributes.get("any_axes"):
        given = _scales(scope, layer) if sizes is None else sizes
        layout = None if len(given) == len(x) else layout
    like = layer.attributes.get("like")
    if layout is not None and like is not None:
        channels = x[-1] if layout == "channels_last" else x[1]
        return [assemble(x[0], channels, spatial(scope.shape(layer, like), layout), layout)]
    stretch = layer.attributes.get("stretch")
    if layout is not None and stretch is not None:
        channels = x[-1] if layout == "channels_last" else x[1]
        places = [(size - 1) * stretch + 1 for size in spatial(x, layout)]
        return [assemble(x[0], channels, places, layout)]
    if layout is not None:
        if sizes is None:
            return [_scaled_space(scope, layer, x, layout)]
        channels = x[-1] if layout == "channels_last" else x[1]
        fits = len(sizes) == len(x) - 2 and min(sizes) > 0
        require(fits, f"sizes of {plain(tuple(sizes))} for {len(x)} dimensions")
        return [assemble(x[0], channels, sizes, layout)]
    axes = layer.attributes.get("axes") or list(range(len(x)))
    axes = [axis_in(axis, len(x)) for axis in axes]
    dims = list(x)
    if sizes:
        require(len(sizes) == len(axes), f"{len(sizes)} sizes for {len(axes)} axes")
        require(min(sizes) > 0, f"sizes of {plain(tuple(sizes))}")
        for axis, size in zip(axes, _boxed(layer, [x[a] for a in axes], sizes), strict=True):
            dims[axis] = size
        return [tuple(dims)]
    scales = _scales(scope, layer)
    require(len(scales) == len(axes), f"{len(scales)} scales for {len(axes)} axes")
    for axis, scale in zip(axes, scales, strict=True):
        dims[axis] = _scaled(dims[axis], scale)
    return [tuple(dims)]


def _boxed(layer: Layer, have: list[int], box: list[int]) -> list[int]:
    """Sizes, or with a kept aspect ratio the sizes that fit into (or around) the box."""
    keep = layer.attributes.get("keep_aspect")
    if keep is None:
        return box
    require(len(box) == len(have), f"{len(box)} sizes for {len(have)} axes")
    ratios = [np.float32(want) / np.float32(size) for want, size in zip(box, have, strict=True)]
    scale = min(ratios) if keep == "not_larger" else max(ratios)
    # Half a pixel is rounded up, as C's `round` does.
    return [int(np.floor(scale * np.float32(size) + np.float32(0.5))) for size in have]


def _grid_sample(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, grid = scope.shape(layer, 0), scope.shape(layer, 1)
    fits = len(x) == len(grid) and grid[-1] == len(x) - 2 and x[0] == grid[0]
    require(fits, f"a grid of {plain(grid)} for {plain(x)}")
    return [(*x[:2], *grid[1:-1])]


def _maybe(scope: Scope, layer: Layer, name: str, place: int) -> list[int] | None:
    found = scope.ints(layer, name, place)
    return found or None


def _scales(scope: Scope, layer: Layer) -> list[float]:
    given = layer.attributes.get("scales")
    if given:
        return list(given)
    value = scope.value(layer, 2)
    if value is None or not value.size:
        raise CannotTell
    return list(value.reshape(-1))


def _scaled_space(scope: Scope, layer: Layer, x: Dims, layout: str) -> Dims:
    places = [
        _scaled(size, scale)
        for size, scale in zip(spatial(x, layout), _scales(scope, layer), strict=True)
    ]
    return assemble(x[0], x[-1] if layout == "channels_last" else x[1], places, layout)


def _scaled(size: int, scale: float) -> int:
    """⌊size · scale⌋; a whole scale keeps the formula."""
    require(scale > 0, f"a scale of {scale}")
    if scale == int(scale):
        return size * int(scale)
    # Runtimes multiply 32-bit floats and cut.
    result = int(np.float32(int(size)) * np.float32(scale))
    inverse = round(1 / scale)
    if isinstance(size, Dim) and inverse and int(size) // inverse == result:
        near = abs(1 / scale - inverse) < 1e-6
        if near:
            return whole(size // inverse)
    if isinstance(size, Dim):
        float(size)  # tells that the formula is lost
    return result


def _strided_slice(scope: Scope, layer: Layer) -> list[Dims | None]:
    if layer.attributes.get("onnx"):
        return _onnx_slice(scope, layer)
    x = scope.shape(layer, 0)
    begin, end = scope.ints(layer, "begin", 1), scope.ints(layer, "end", 2)
    if begin is None or end is None:
        raise CannotTell
    if layer.attributes.get("offset"):
        end = [start + length for start, length in zip(begin, end, strict=True)]
    steps = scope.ints(layer, "steps", 3) or [1] * len(begin)
    require(len(begin) == len(end) == len(steps), "places of different lengths")
    require(0 not in steps, "a step of 0")
    dims, cuts = _masked(layer, x, begin, end, steps)
    value = scope.value(layer, 0)
    if value is not None:
        scope.set_value(layer, np.asarray(value[tuple(cuts)], dtype=object))
    return [dims]


def _masked(
    layer: Layer, x: Dims, begin: list[int], end: list[int], steps: list[int]
) -> tuple[Dims, list[slice | int | None]]:
    """TensorFlow's strided slice with its five masks: the shape, and numpy's index for it."""
    mask = {
        name: layer.attributes.get(f"{name}_mask", 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    dims: list[int] = []
    cuts: list[slice | int | None] = []
    axis = 0
    for place, step in enumerate(steps):
        bit = 1 << place
        if mask["ellipsis"] & bit:
            later = sum(not mask["new_axis"] & (1 << p) for p in range(place + 1, len(steps)))
            while axis < len(x) - later:
                dims.append(x[axis])
                cuts.append(slice(None))
                axis += 1
        elif mask["new_axis"] & bit:
            dims.append(1)
            cuts.append(None)
        elif mask["shrink_axis"] & bit:
            cuts.append(int(begin[place]))
            axis += 1
        else:
            start = None if mask["begin"] & bit else begin[place]
            stop = None if mask["end"] & bit else end[place]
            dims.append(strided_length(x[axis], start, stop, step))
            cuts.append(slice(_int(start), _int(stop), int(step)))
            axis += 1
    return (*dims, *x[axis:]), cuts


def _int(number: int | None) -> int | None:
    return None if number is None else int(number)


def _onnx_slice(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    begin, end = scope.ints(layer, "begin", 1), scope.ints(layer, "end", 2)
    if begin is None or end is None:
        raise CannotTell
    axes = scope.ints(layer, "axes", 3)
    axes = list(range(len(begin))) if axes is None else [axis_in(a, len(x)) for a in axes]
    steps = scope.ints(layer, "steps", 4) or [1] * len(begin)
    fits = len(begin) == len(end) == len(axes) == len(steps) and 0 not in steps
    require(fits and len(set(axes)) == len(axes), f"starts {begin}, ends {end} along axes {axes}")
    dims = list(x)
    cuts: list[slice] = [slice(None)] * len(x)
    for axis, start, stop, step in zip(axes, begin, end, steps, strict=True):
        # The format writes "to the end" as a huge number.
        huge = stop >= 2**31 - 1 if step > 0 else stop <= -(2**31) + 1
        past = None if huge else stop
        dims[axis] = strided_length(x[axis], start, past, step)
        cuts[axis] = slice(_int(start), _int(past), int(step))
    value = scope.value(layer, 0) if layer.attributes.get("exact", True) else None
    if value is not None:
        scope.set_value(layer, value[tuple(cuts)])
    return [tuple(dims)]


RULES = {
    Kind.SPACE_TO_DEPTH: _space_to_depth,
    Kind.DEPTH_TO_SPACE: _depth_to_space,
    Kind.SPACE_TO_BATCH: _space_to_batch,
    Kind.BATCH_TO_SPACE: _batch_to_space,
    Kind.RESIZE: _resize,
    Kind.GRID_SAMPLE: _grid_sample,
    Kind.STRIDED_SLICE: _strided_slice,
}
