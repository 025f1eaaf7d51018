"""What crosses rooms: frozen, typed, versioned records.

Field names are those of the command line's JSON and of the store's tables. They end in their unit
(`_ms`, `_bytes`, `_j`, `_w`); a value that could not be determined is None and `notes` (or
`reason`) says why: never 0 for "unknown".
"""

from __future__ import annotations

from edgewise.records.apps import (
    App,
    Coverage,
    Evidence,
    LayerRow,
    Level,
    Model,
    PackageKind,
    Port,
    Status,
    TensorRow,
)
from edgewise.records.base import (
    ANALYSIS_VERSION,
    SCHEMA_VERSION,
    Record,
)
from edgewise.records.choosing import (
    AccuracyRow,
    LinkProfile,
    Origin,
    PolicyComparison,
    Profile,
    Recommendation,
    SimulationRow,
)
from edgewise.records.measuring import (
    Context,
    Device,
    Distribution,
    Energy,
    LayerTime,
    Measurement,
    Outcome,
    RuntimeInfo,
    Sample,
    Stability,
    Target,
)

__all__ = [
    "ANALYSIS_VERSION",
    "SCHEMA_VERSION",
    "AccuracyRow",
    "App",
    "Context",
    "Coverage",
    "Device",
    "Distribution",
    "Energy",
    "Evidence",
    "LayerRow",
    "LayerTime",
    "Level",
    "LinkProfile",
    "Measurement",
    "Model",
    "Origin",
    "Outcome",
    "PackageKind",
    "PolicyComparison",
    "Port",
    "Profile",
    "Recommendation",
    "Record",
    "RuntimeInfo",
    "Sample",
    "SimulationRow",
    "Stability",
    "Status",
    "Target",
    "TensorRow",
]
