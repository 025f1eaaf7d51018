"""The weights of a model of Keras', by the path of a layer's group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgewise.errors import InputError
from edgewise.formats import hdf5
from edgewise.formats.netlist import Netlist, slice_of

#: Roles of weights in the order in which layers make them.
ROLES = (
    "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "kernel", "embeddings", "gamma",
    "beta", "bias", "moving_mean", "moving_variance", "alpha",
)  # fmt: skip
_ORDER = {
    "kernel": 0, "depthwise_kernel": 0, "embeddings": 0, "gamma": 0, "alpha": 0,
    "pointwise_kernel": 1, "recurrent_kernel": 1, "beta": 1, "bias": 2, "moving_mean": 2,
    "moving_variance": 3,
}  # fmt: skip


@dataclass(slots=True)
class Store:
    """The weights of a file, by the path of a layer's group."""

    data: memoryview
    datasets: dict[str, hdf5.Dataset]
    #: Whether groups are called by their layers (.h5), not by their classes (.keras).
    by_name: bool

    def of(self, netlist: Netlist, prefix: str, label: str) -> list[tuple[str, int]]:
        """Roles (or paths) and tensors of what is stored below a group, in the layer's order."""
        start = f"{prefix}/"
        found = [path for path in self.datasets if path.startswith(start)]
        found.sort(key=_natural if not self.by_name else _by_role)
        return [
            (path[len(start) :], self._tensor(netlist, path, f"{label}/{path[len(start) :]}"))
            for path in found
        ]

    def _tensor(self, netlist: Netlist, path: str, name: str) -> int:
        dataset = self.datasets[path]
        if dataset.start is None:
            return netlist.weight(name, dataset.dtype, dataset.shape, scattered, dataset.nbytes)
        load = slice_of(self.data, dataset.start, dataset.nbytes, name)
        return netlist.weight(name, dataset.dtype, dataset.shape, load, dataset.nbytes)


def scattered() -> memoryview:
    """Weights without a place in the file. Raises `InputError`."""
    raise InputError("weights that are compressed or in chunks are not read")


def _natural(path: str) -> list[Any]:
    return [int(part) if part.isdigit() else -1 for part in re.split(r"[/_]", path)] + [path]


def _by_role(path: str) -> tuple[Any, ...]:
    """A backward layer after its forward one; in a layer by role."""
    last = path.rsplit("/", 1)[-1].split(":", maxsplit=1)[0]
    role = next((one for one in ROLES if last == one or last.endswith(f"_{one}")), last)
    group = path.rsplit("/", 1)[0]
    return ("backward" in group, group, _ORDER.get(role, 9), path)
