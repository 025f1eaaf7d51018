"""How a layer's output shapes follow from its inputs: one rule per kind.

A rule takes the scope and the layer and returns the shapes of the outputs in order, None for one
that it cannot tell; it raises `CannotTell` where it can tell nothing. Rules of data movement also
compute small values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgewise.analysis.rules import (
    arithmetic,
    attention,
    compute,
    control,
    indexing,
    layout,
    movement,
    regions,
    sizes,
)
from edgewise.analysis.shapes import Dims, Scope
from edgewise.graph import Kind, Layer

Rule = Callable[[Scope, Layer], list[Dims | None]]

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
