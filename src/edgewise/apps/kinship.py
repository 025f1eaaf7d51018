"""What one model is of another, by their layers: enough to say what a release replaced."""

from __future__ import annotations

from edgewise.records import LayerRow, Model, Relation

#: Kinds of layers that only convert numbers, and come and go with quantisation.
_CONVERTING = frozenset(("quantize", "dequantize", "quantise", "dequantise", "cast", "identity"))
#: Share of layers in common, counted in order from the first, that tells a common trunk.
_SHARED = 0.5


def relation(old: Model, new: Model) -> Relation | None:
    """How two models are related, or None where nothing tells that they are.

    - `identical`: the same bytes
    - `same_network`: the same layers and the same fingerprint of weights
    - `quantised`: the same layers, stored in other number types
    - `fine_tuned`: the same layers and number types, other weights
    - `shares_layers`: the first half of the layers and more in common
    - `same_architecture`: the same operators, other sizes
    """
    if old.sha256 is not None and old.sha256 == new.sha256:
        return "identical"
    before, after = _layers(old), _layers(new)
    if not before or not after:
        return None
    if [_shape(row) for row in before] == [_shape(row) for row in after]:
        if old.fingerprint is not None and old.fingerprint == new.fingerprint:
            return "same_network"
        return "fine_tuned" if _types(old) == _types(new) else "quantised"
    common = 0
    for one, other in zip(before, after, strict=False):
        if _shape(one) != _shape(other):
            break
        common += 1
    if common >= 3 and common / min(len(before), len(after)) >= _SHARED:
        return "shares_layers"
    if [row.kind for row in before] == [row.kind for row in after]:
        return "same_architecture"
    return None


def _layers(model: Model) -> list[LayerRow]:
    return [row for row in model.layer_table or () if row.kind.lower() not in _CONVERTING]


def _shape(row: LayerRow) -> tuple[object, ...]:
    return row.kind, row.output_shapes, row.parameters, row.macs


def _types(model: Model) -> frozenset[str]:
    """The number types that hold most of the weights."""
    held = model.weight_dtypes or {}
    most = sum(held.values())
    return frozenset(name for name, size in held.items() if size * 10 >= most)
