"""A layer of OpenVINO's while it is translated, and its names of element types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgewise.formats.building import Builder
from edgewise.graph import Tensor

_DTYPES = {
    "f16": "float16", "fp16": "float16", "f32": "float32", "fp32": "float32", "f64": "float64",
    "fp64": "float64", "bf16": "bfloat16", "boolean": "bool", "bool": "bool", "u1": "uint1",
    "f8e4m3": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "f8e8m0": "float8_e8m0",
    "f4e2m1": "float4_e2m1", "nf4": "uint4", "string": "string",
    **{f"{sign}{bits}": f"{name}{bits}" for sign, name in (("i", "int"), ("u", "uint"))
       for bits in (2, 3, 4, 6, 8, 16, 32, 64)},
}  # fmt: skip


def dtype_name(name: str) -> str:
    """Our word for an element type or a port's precision."""
    return _DTYPES.get(name.lower(), "unknown")


@dataclass(slots=True)
class Operator:
    """A layer and what is known of its inputs when it is read."""

    op: str
    data: Mapping[str, str]
    builder: Builder
    inputs: list[int | None]
    outputs: int

    def given(self, place: int) -> bool:
        """Whether the layer has this input."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def tensor(self, place: int) -> Tensor | None:
        """The input at a place."""
        return self.builder.tensor(self.inputs[place]) if self.given(place) else None

    def numbers(self, place: int) -> list[Any] | None:
        """The numbers of a constant input, None where it is none."""
        return self.builder.numbers(self.inputs[place]) if self.given(place) else None

    def text(self, name: str, default: str = "") -> str:
        """An attribute as it stands."""
        return self.data.get(name, default)

    def integer(self, name: str, default: int) -> int:
        """A whole number. Raises ValueError where it is none."""
        return int(self.data.get(name, default))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Whole numbers with commas between them, None where missing or empty."""
        text = self.data.get(name, "")
        return tuple(int(part) for part in text.split(",")) if text.strip() else None

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no."""
        return self.data.get(name, str(default)).lower() in ("true", "1")
