"""One line of pnnx's text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import RejectedModel


@dataclass(slots=True)
class Operator:
    """One line: torch's name of an operator, what it reads and writes, and its arguments."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    arguments: dict[str, Any] = field(default_factory=dict)
    #: Stored tensors by name, and which input is which argument.
    weights: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number; the default where it is missing or something else."""
        value = self.arguments.get(key, default)
        return value if isinstance(value, int) else default

    def sizes(self, key: str, axes: int, default: int = 0) -> tuple[int, ...]:
        """One whole number per axis; a single one stands for all."""
        value = self.arguments.get(key, default)
        given = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(one, int) for one in given) or len(given) not in (1, axes):
            raise RejectedModel(f"{self.type} {self.name}: {key} is {value!r}")
        return given * axes if len(given) == 1 else given

    def input_rank(self) -> int:
        """Dimensions of the first input as stated; 0 where nothing is."""
        stated = self.shapes.get(self.inputs[0]) if self.inputs else None
        return len(stated[0]) if stated else 0
