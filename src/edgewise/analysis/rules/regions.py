"""Rules of Fourier transforms, and of pooling regions of interest."""

from __future__ import annotations

from edgewise.analysis.rules.arithmetic import axis_in
from edgewise.analysis.scope import CannotTell, Dims, Scope
from edgewise.graph import Kind, Layer


def _fourier(scope: Scope, layer: Layer) -> list[Dims | None]:
    match layer.attributes["style"]:
        case "rfft":
            return [_rfft(scope, layer)]
        case "dft":
            return [_dft(scope, layer)]
        case "stft":
            return [_stft(scope, layer)]
    raise CannotTell


def _rfft(scope: Scope, layer: Layer) -> Dims:
    """Over the last axes, as many as there are lengths; of a real signal half is enough."""
    x, lengths = scope.shape(layer, 0), scope.ints(layer, "lengths", 1)
    if not lengths or len(lengths) > len(x):
        raise CannotTell
    return (*x[: -len(lengths)], *lengths[:-1], lengths[-1] // 2 + 1)


def _dft(scope: Scope, layer: Layer) -> Dims:
    """Over one axis; the last one holds real and imaginary parts."""
    x = list(scope.shape(layer, 0))
    axis = axis_in((scope.ints(layer, "axis", 2) or [-2])[0], len(x))
    if layer.attributes.get("one_sided") and layer.attributes.get("inverse"):
        raise CannotTell
    length = (scope.ints(layer, "length", 1) or [x[axis]])[0]
    x[axis] = length // 2 + 1 if layer.attributes.get("one_sided") else length
    return (*x[:-1], 2)


def _stft(scope: Scope, layer: Layer) -> Dims:
    """Frames of a signal (batch, length, 1 or 2); without a length that of the window."""
    x, step = scope.shape(layer, 0), scope.ints(layer, "step", 1)
    length = (scope.ints(layer, "length", 3) or [0])[0] or scope.shape(layer, 2)[0]
    if not step or step[0] < 1 or x[1] < length:
        raise CannotTell
    bins = length // 2 + 1 if layer.attributes.get("one_sided", True) else length
    return (x[0], (x[1] - length) // step[0] + 1, bins, 2)


def _roi_pool(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, regions = scope.shape(layer, 0), scope.shape(layer, 1)
    return [(regions[0], x[1], *layer.attributes["size"])]


RULES = {Kind.FOURIER: _fourier, Kind.ROI_POOL: _roi_pool}
