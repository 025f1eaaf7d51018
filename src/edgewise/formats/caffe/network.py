"""A network of Caffe's while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgewise.archive import File
from edgewise.formats.netlist import Netlist, absent


@dataclass(slots=True)
class Caffe:
    """A network while it is read: what is built, and the trained blobs by layer."""

    netlist: Netlist
    file: File
    weights_name: str
    blobs: dict[str, list[int]] = field(default_factory=dict)

    def weight(self, layer: str, position: int, name: str) -> int:
        """A trained blob; without the file one whose shape follows from the layer."""
        found = self.blobs.get(layer, [])
        if position < len(found):
            return found[position]
        load = absent(self.file, self.weights_name)
        index = self.netlist.weight(f"{layer}.{name}", "float32", (), load)
        self.netlist.tensor(index).shape = None
        return index
