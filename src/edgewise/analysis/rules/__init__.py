"""How a layer's output shapes follow from its inputs: one rule per kind.

A rule takes the scope and the layer and returns the shapes of the outputs in order, None for one
that it cannot tell; it raises `CannotTell` where it can tell nothing. Rules of data movement also
compute small values.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgewise.analysis.rules import (
    arithmetic,
    attention,
    compute,
    control,
    indexing,
    layout,
    movement,
    needs,
    regions,
    sizes,
)
from edgewise.analysis.scope import Dims, Rule, Scope
from edgewise.graph import Kind, Layer

RULES: Mapping[Kind, Rule] = {
    **compute.RULES,
    **attention.RULES,
    **arithmetic.RULES,
    **movement.RULES,
    **indexing.RULES,
    **layout.RULES,
    **regions.RULES,
    **sizes.RULES,
    **control.RULES,
}


def apply(scope: Scope, layer: Layer) -> list[Dims | None]:
    """The shapes of a layer's outputs, after what its reader says that its runtime asks for."""
    if "needs" in layer.attributes:
        needs.check_needs(scope, layer)
    return RULES[layer.kind](scope, layer)
