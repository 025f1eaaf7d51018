"""What both protocols tell about a model."""

from __future__ import annotations

from dataclasses import dataclass

#: The version that every model has.
VERSION = "1"


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """Name, datatype of the Open Inference Protocol, and shape with −1 for a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What both protocols tell about a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
