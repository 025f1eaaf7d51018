"""What both protocols tell about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The version that every model has.
VERSION = "1"


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """Name, datatype of the Open Inference Protocol, and shape with −1 for a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def config(self) -> dict[str, Any]:
        """As Triton's configuration of a model describes a tensor."""
        kind = "STRING" if self.datatype == "BYTES" else self.datatype
        return {"name": self.name, "data_type": f"TYPE_{kind}", "dims": self.shape}


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What both protocols tell about a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]

    def config(self) -> dict[str, Any]:
        """The model's configuration as Triton gives it; `perf_analyzer` needs it."""
        return {
            "name": self.name,
            "platform": self.platform,
            "backend": "edgewise",
            "max_batch_size": 0,
            "input": [each.config() for each in self.inputs],
            "output": [each.config() for each in self.outputs],
        }


def repository_index(ready: Mapping[str, bool], *, only_ready: bool) -> list[dict[str, str]]:
    """The models by name, with whether each can answer, as an index of a model repository."""
    return [
        {
            "name": name,
            "version": VERSION,
            "state": "READY" if is_ready else "UNAVAILABLE",
            "reason": "",
        }
        for name, is_ready in ready.items()
        if is_ready or not only_ready
    ]
