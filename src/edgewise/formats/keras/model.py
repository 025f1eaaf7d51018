"""A model of Keras' while it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgewise.formats.keras.store import Store
from edgewise.formats.netlist import Netlist
from edgewise.graph import Graph, Shape

#: A value: the layer that makes it, which call of the layer, which of its outputs.
Key = tuple[str, int, int]


@dataclass(slots=True)
class Call:
    """One use of a layer: its class and settings, what it reads, and the weights it has."""

    kind: str
    name: str
    config: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    weights: list[tuple[str, int]]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """A model (or one inside another) while it is read."""

    netlist: Netlist
    store: Store
    prefix: str
    #: Fills the netlist of a model with its layers: of one inside another, too.
    build: Callable[[Model, dict[str, Any]], None]
    depth: int = 0
    shapes: dict[Key, Shape] = field(default_factory=dict)
    #: Models inside, by where their weights are: one that is called twice has its weights once.
    inside: dict[str, Graph] = field(default_factory=dict)
