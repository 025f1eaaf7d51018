"""A network of ncnn's while it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.ncnn.binfile import BinFile
from edgewise.formats.ncnn.params import Entry
from edgewise.formats.netlist import Netlist
from edgewise.graph import Kind

#: "Not given" in ncnn's parameters.
ABSENT = -233


@dataclass(slots=True)
class Context:
    """A network while it is read: what is built, its weights, and what pnnx left in it."""

    builder: Netlist
    bin: BinFile
    left_over: set[str] = field(default_factory=set)

    def add(self, entry: Entry, kind: Kind, *weights: int | None, **attributes: Any) -> None:
        """A layer that reads what the entry names, then `weights`."""
        inputs = (*entry.inputs, *weights)
        self.builder.layer(entry.name, entry.type, kind, inputs, entry.outputs, **attributes)

    def take(self, entry: Entry, part: str, *shape: int, tagged: bool = True) -> int:
        """The next weights of the file."""
        if min(shape, default=0) < 0:
            raise RejectedModel(f"{entry.type} {entry.name}: weights of shape {list(shape)}")
        return self.bin.take(f"{entry.name}.{part}", shape, tagged)

    def raw(self, entry: Entry, part: str, *shape: int) -> int:
        """The next weights of the file, which are always float32."""
        return self.take(entry, part, *shape, tagged=False)


Translator = Callable[[Context, Entry], None]
