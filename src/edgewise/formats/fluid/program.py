"""A program as all of Paddle's formats write it: variables, and operators over them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgewise.formats.netlist import Netlist

#: VarType.Type, by number.
TYPES = {
    0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64",
    19: "uint64", 20: "uint8", 21: "int8", 22: "bfloat16", 23: "complex64", 24: "complex128",
}  # fmt: skip
#: Outputs that say nothing about the network: shapes for training, statistics, random masks.
_ASIDE = frozenset({
    "XShape", "MeanOut", "VarianceOut", "SavedMean", "SavedVariance", "ReserveSpace", "Reserve",
    "DropoutState", "Mask", "Mean", "Variance", "MidOut", "BatchGate", "BatchCellPreAct",
    "BatchResetHiddenPrev", "BatchHidden",
})  # fmt: skip


@dataclass(slots=True)
class Variable:
    """A variable as the program states it; `dims` is None where it is no tensor."""

    name: str
    dtype: str
    dims: tuple[int, ...] | None
    persistable: bool


@dataclass(slots=True)
class Operator:
    """An operator: arguments by the name of the parameter that they stand for, and attributes."""

    type: str
    inputs: dict[str, list[str]]
    outputs: dict[str, list[str]]
    attributes: dict[str, Any] = field(default_factory=dict)

    def first(self, *names: str) -> str | None:
        """The first argument of the first of these inputs that has one."""
        for name in names:
            found = self.inputs.get(name)
            if found:
                return found[0]
        return None

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.attributes.get(name, default)
        return int(value) if isinstance(value, (int, float)) else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth."""
        return bool(self.attributes.get(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def integers(self, name: str) -> list[int]:
        """Whole numbers; empty where there are none."""
        value = self.attributes.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return [int(value)]
        return [int(one) for one in value] if isinstance(value, (list, tuple)) else []

    def results(self, *wanted: str) -> list[str]:
        """What it writes: the outputs named first, then all others that matter."""
        names = [name for name in wanted if name in self.outputs]
        main = ("Out", "Output", "Y", "Hidden")
        names += [name for name in main if name in self.outputs and name not in names]
        names += [name for name in self.outputs if name not in names and name not in _ASIDE]
        return [argument for name in names for argument in self.outputs[name]]


@dataclass(slots=True)
class Program:
    """The first block: what runs. `store` makes a persistable variable a stored tensor."""

    variables: dict[str, Variable]
    operators: list[Operator]
    #: Adds the weights of that name to the netlist as what the name means.
    store: Callable[[Netlist, Variable], None]
