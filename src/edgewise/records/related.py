"""How models are related to one another."""

from __future__ import annotations

from typing import Literal

from edgewise.records.base import Record

Kinship = Literal[
    "identical", "same_network", "quantised", "fine_tuned", "shares_layers", "same_architecture"
]


class Lineage(Record, frozen=True):
    """A related pair (cli.md, `lineage`).

    `identical`: the same bytes. `same_network`: the same weights in another file, format or number
    type, batch normalisation folded or not. `quantised`: one is the other with its weights as few
    integers or a palette. `fine_tuned`: one was trained on from the other, or pruned: some layers
    differ, or all a little. `shares_layers`: other networks with equal layers. `same_architecture`:
    layers of the same sizes with other weights. `shared_weight_fraction` is of the elements of the
    smaller one's compared weights.
    """

    a: str
    b: str
    relation: Kinship
    shared_weight_fraction: float
    layers_differing: int
    notes: tuple[str, ...] = ()
