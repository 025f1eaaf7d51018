"""Attention: its sizes in all the ways that files lay it out, and its output shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgewise.analysis.scope import CannotTell, Dims, Scope, require
from edgewise.analysis.symbolic import plain
from edgewise.graph import Kind, Layer


class Inputs(Protocol):
    """Whoever knows the shapes of a layer's inputs."""

    def shape(self, layer: Layer, place: int) -> Dims: ...

    def maybe_shape(self, layer: Layer, place: int) -> Dims | None: ...


@dataclass(frozen=True, slots=True)
class Attention:
    """Sizes of one attention layer. `keys` includes the past ones.

    `projection` is (input size, q + k + v widths) where the layer projects its input itself.
    """

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    size: int
    value_size: int
    projection: tuple[int, int] | None = None


def attention_sizes(inputs: Inputs, layer: Layer) -> Attention:
    """The sizes of an attention layer. Raises CannotTell where a shape is missing."""
    past = inputs.maybe_shape(layer, 4)
    before = past[-2] if past else 0
    if layer.attributes.get("project"):
        return _projecting(inputs, layer, before)
    if layer.attributes.get("joined"):
        return _joined(inputs, layer, before)
    return _apart(inputs, layer, before)


def _heads(layer: Layer) -> tuple[int, int]:
    heads = layer.attributes.get("heads")
    if not heads:
        raise CannotTell
    return heads, layer.attributes.get("kv_heads") or heads


def _projecting(inputs: Inputs, layer: Layer, before: int) -> Attention:
    x, weight = inputs.shape(layer, 0), inputs.shape(layer, 1)
    heads, _ = _heads(layer)
    width = weight[-1]
    q, _, v = layer.attributes.get("widths") or (width // 3,) * 3
    return Attention(
        x[0], heads, heads, x[1], x[1] + before, q // heads, v // heads, (x[-1], width)
    )


def _joined(inputs: Inputs, layer: Layer, before: int) -> Attention:
    x = inputs.shape(layer, 0)
    if len(x) == 5:
        return Attention(x[0], x[2], x[2], x[1], x[1] + before, x[4], x[4])
    heads, kv_heads = _heads(layer)
    size = x[2] // (heads + 2 * kv_heads)
    return Attention(x[0], heads, kv_heads, x[1], x[1] + before, size, size)


def _apart(inputs: Inputs, layer: Layer, before: int) -> Attention:
    q, k = inputs.shape(layer, 0), inputs.shape(layer, 1)
    v = inputs.maybe_shape(layer, 2)
    if len(q) == 4:
        heads = layer.attributes.get("heads") or q[1]
        value_size = q[3] if v is None else v[3]
        return Attention(q[0], heads, k[1], q[2], k[2] + before, q[3], value_size)
    if len(q) == 3 and not layer.attributes.get("packed") and v is not None:
        return Attention(q[0], 1, 1, q[1], k[1] + before, q[2], v[2])
    heads, kv_heads = _heads(layer)
    size = q[2] // heads
    if v is None:  # k holds both: (batch, seq, heads, 2, size)
        return Attention(q[0], heads, heads, q[1], k[1] + before, size, size)
    keys = k[2] if len(k) == 4 else k[1]
    value_size = v[3] if len(v) == 4 else v[2] // kv_heads
    return Attention(q[0], heads, kv_heads, q[1], keys + before, size, value_size)


def _check(scope: Scope, layer: Layer, found: Attention) -> None:
    """Widths must be whole heads, keys as wide as queries and as many as values."""
    groups = found.kv_heads > 0 and found.heads % found.kv_heads == 0
    require(groups, f"{int(found.heads)} heads for {int(found.kv_heads)} of keys")
    if layer.attributes.get("project") or layer.attributes.get("joined"):
        return
    q, k, v = scope.shape(layer, 0), scope.shape(layer, 1), scope.maybe_shape(layer, 2)
    if len(q) == 3 and len(k) == 3 and v is not None and len(v) == 3:
        require(q[2] % found.heads == 0, f"a width of {int(q[2])} in {int(found.heads)} heads")
        wide = k[2] == found.kv_heads * found.size and v[2] % found.kv_heads == 0
        require(
            wide and k[1] == v[1],
            f"queries of {plain(q)}, keys of {plain(k)}, values of {plain(v)}",
        )


def _attention(scope: Scope, layer: Layer) -> list[Dims | None]:
    found = attention_sizes(scope, layer)
    _check(scope, layer, found)
    batch, keys = found.batch, found.keys
    if len(scope.shape(layer, 0)) == 4:
        out: Dims = (batch, found.heads, found.queries, found.value_size)
    else:
        out = (batch, found.queries, found.heads * found.value_size)
    if layer.attributes.get("project"):
        return [out, (2, batch, found.heads, keys, found.size)]
    present_k: Dims = (batch, found.kv_heads, keys, found.size)
    present_v: Dims = (batch, found.kv_heads, keys, found.value_size)
    return [out, present_k, present_v, (batch, found.heads, found.queries, keys)]


RULES = {Kind.ATTENTION: _attention}
