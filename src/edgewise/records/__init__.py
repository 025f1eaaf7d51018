"""What crosses rooms: frozen, typed, versioned records.

Field names are those of the command line's JSON and of the store's tables. They end in their unit
(`_ms`, `_bytes`, `_j`, `_w`); a value that could not be determined is None and `notes` (or
`reason`) says why: never 0 for "unknown".
"""

from __future__ import annotations

from edgewise.records.apps import (
    App,
    Coverage,
    Deployability,
    Evidence,
    EvidenceKind,
    Grade,
    LayerRow,
    Level,
    Model,
    Owner,
    PackageKind,
    Port,
    Reach,
    Status,
    TensorRow,
)
from edgewise.records.base import (
    ANALYSIS_VERSION,
    SCHEMA_VERSION,
    Record,
)
from edgewise.records.changes import Change, Cost, Violation
from edgewise.records.choosing import (
    AccuracyRow,
    LinkProfile,
    Origin,
    PolicyComparison,
    Profile,
    Recommendation,
    SimulationRow,
)
from edgewise.records.decisions import Decision, DecisionOutcome, OffPolicyEstimate
from edgewise.records.fetching import Fetched
from edgewise.records.measuring import (
    Context,
    Delegation,
    Device,
    DeviceFacts,
    DeviceState,
    Distribution,
    Energy,
    LayerTime,
    Measurement,
    Outcome,
    RailEnergy,
    RuntimeInfo,
    RuntimeOption,
    Sample,
    Stability,
    Sustained,
    SustainedWindow,
    Target,
)
from edgewise.records.placing import (
    BreakEven,
    CloudPhases,
    DevicePhases,
    FrontierPoint,
    Method,
    Placement,
    PlacementMix,
    Way,
)
from edgewise.records.published import Agreement, PublishedFinding
from edgewise.records.related import Kinship, Lineage
from edgewise.records.reported import Reported, ReportedLayer
from edgewise.records.serving import LoadOutcome, LoadPhases, LoadRun, LoadSample, LoadStatus

__all__ = [
    "ANALYSIS_VERSION",
    "SCHEMA_VERSION",
    "AccuracyRow",
    "Agreement",
    "App",
    "BreakEven",
    "Change",
    "CloudPhases",
    "Context",
    "Cost",
    "Coverage",
    "Decision",
    "DecisionOutcome",
    "Delegation",
    "Deployability",
    "Device",
    "DeviceFacts",
    "DevicePhases",
    "DeviceState",
    "Distribution",
    "Energy",
    "Evidence",
    "EvidenceKind",
    "Fetched",
    "FrontierPoint",
    "Grade",
    "Kinship",
    "LayerRow",
    "LayerTime",
    "Level",
    "Lineage",
    "LinkProfile",
    "LoadOutcome",
    "LoadPhases",
    "LoadRun",
    "LoadSample",
    "LoadStatus",
    "Measurement",
    "Method",
    "Model",
    "OffPolicyEstimate",
    "Origin",
    "Outcome",
    "Owner",
    "PackageKind",
    "Placement",
    "PlacementMix",
    "PolicyComparison",
    "Port",
    "Profile",
    "PublishedFinding",
    "RailEnergy",
    "Reach",
    "Recommendation",
    "Record",
    "Reported",
    "ReportedLayer",
    "RuntimeInfo",
    "RuntimeOption",
    "Sample",
    "SimulationRow",
    "Stability",
    "Status",
    "Sustained",
    "SustainedWindow",
    "Target",
    "TensorRow",
    "Violation",
    "Way",
]
