"""What the file states of a shape that no rule can compute, where the sizes in force allow it.

A stated shape belongs to the sizes that the file was written with. Another batch, or a size given
by the user, makes it stale: then it follows along where that is plain, and is unknown elsewhere.
"""

from __future__ import annotations

from edgewise.analysis.scope import Dims, Scope
from edgewise.graph import FreeDim, Kind, Layer, Shape

#: Kinds whose outputs nothing but the file tells: no word is lost on it.
_BY_THE_FILE = (Kind.POSTPROCESS, Kind.VARIABLE, Kind.UNKNOWN, Kind.DATA_DEPENDENT)
#: Of these, a size that depends on data counts as the file's default, or 1.
_OPENED = (Kind.POSTPROCESS, Kind.VARIABLE)


def stated_dims(scope: Scope, layer: Layer, index: int) -> Dims | None:
    """The file's word on an output of a layer, None where it gives none that still holds."""
    tensor = scope.graph.tensors[index]
    if tensor.shape is None:
        return None
    given = _inputs(scope, layer)
    shape = _followed(tensor.shape, given)
    if scope.symbols.stale and _some_unknown(scope, layer):
        return None
    if shape is None:
        scope.symbols.stale = True
        scope.note(f"{layer.op}: the file states its shape for other sizes than these")
        return None
    dims: list[int] = []
    for axis, size in enumerate(shape):
        if isinstance(size, int):
            dims.append(size)
            continue
        known = scope.symbols.opened.get(size.name)
        if known is None:
            known = _on_axis(tensor.shape, axis, given)
        if known is None:
            if layer.kind not in _OPENED:
                return None
            known = scope.supposed_size(tensor, size)
        dims.append(known)
    if any(size < 0 for size in dims):
        return None
    if layer.kind not in _BY_THE_FILE:
        scope.note(f"{layer.op}: shape taken from the file, it does not follow from the inputs")
    return tuple(dims)


def _some_unknown(scope: Scope, layer: Layer) -> bool:
    """Whether what a layer computes with is not known: then other sizes may have led there."""
    return any(index is not None and scope.dims[index] is None for index in layer.inputs)


def _inputs(scope: Scope, layer: Layer) -> list[tuple[Shape, Dims]]:
    """(what the file states, what is in force) of the inputs that are computed."""
    found = []
    for index in layer.inputs:
        if index is None or scope.graph.tensors[index].weights is not None:
            continue
        stated, dims = scope.graph.tensors[index].shape, scope.dims[index]
        if stated is not None and dims is not None and len(stated) == len(dims):
            found.append((stated, dims))
    return found


def _followed(shape: Shape, given: list[tuple[Shape, Dims]]) -> Shape | None:
    """A stated shape with another batch put in; None where other sizes changed too."""
    batch: int | FreeDim | None = None
    for stated, dims in given:
        for axis, (said, now) in enumerate(zip(stated, dims, strict=True)):
            if isinstance(said, FreeDim):
                own = shape[axis] if len(shape) == len(stated) else None
                if said.default is None and (not isinstance(own, int) or own == now):
                    continue
                if said.default == now:
                    continue
            elif said == now:
                continue
            first = said.default if isinstance(said, FreeDim) else said
            if axis or not shape or shape[0] != first:
                if axis or not shape or isinstance(shape[0], int):
                    return None
                continue
            batch = now
    return shape if batch is None else (batch, *shape[1:])


def _on_axis(shape: Shape, axis: int, given: list[tuple[Shape, Dims]]) -> int | None:
    """The size in force of an axis that is free in an input of the same rank too."""
    for stated, dims in given:
        if len(stated) == len(shape) and isinstance(stated[axis], FreeDim):
            return dims[axis]
    return None
