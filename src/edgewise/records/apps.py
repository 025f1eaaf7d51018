"""The app wing: packages, models, and what was looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records.base import ANALYSIS_VERSION, Record

Status = Literal["parsed", "opaque", "rejected", "not_examined"]
Level = Literal["graph", "operators"]
EvidenceKind = Literal["framework", "accelerator", "cloud_api", "packer", "llm"]
Grade = Literal["class", "native_lib", "manifest", "asset", "url", "string"]
Reach = Literal["loaded", "referenced", "unreferenced"]
Owner = Literal["app", "sdk"]


class Port(Record, frozen=True):
    """An input or output of a model.

    `shape` is what was counted with, free dimensions filled in; `signature` has the names of the
    free ones in their place, None where there are none. A quantised one stands for real values of
    `scale` × (integer - `zero_point`); both are None where the file states no such scale.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: str
    signature: tuple[int | str, ...] | None = None
    scale: float | None = None
    zero_point: int | None = None


class LayerRow(Record, frozen=True):
    """One layer of a model. `macs` and `flops` are None where the operator is not understood.

    `macs_formula` gives the multiply-accumulates in the model's free dimensions, None where it
    has none or they do not matter to this layer.
    """

    index: int
    name: str
    op: str
    kind: str
    input_shapes: tuple[tuple[int, ...] | None, ...]
    output_shapes: tuple[tuple[int, ...] | None, ...]
    dtype: str | None
    macs: int | None
    macs_formula: str | None
    flops: int | None
    parameters: int
    weight_bytes: int
    output_bytes: int | None


class TensorRow(Record, frozen=True):
    """One stored weight tensor, with statistics where the weights were read.

    `fingerprint` is the hex SHA-256 of its bytes in canonical form (dtype, shape, values).
    `distinct_values` is None above 65,536. `sketch` and `bottom` are what `lineage` compares
    (`analysis.sketch`); None and empty for what is no weight of a layer that multiplies, or says
    nothing: too few values, or all alike. `quantized_per` says what shares a scale (or that the
    values lie in a palette), None for what is not quantised; `bits` are those that an element
    takes, with the scales of its block where it lies in one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    elements: int
    size_bytes: int
    fingerprint: str | None = None
    zero_fraction: float | None = None
    near_zero_fraction: float | None = None
    distinct_values: int | None = None
    sketch: tuple[float, ...] | None = None
    bottom: tuple[int, ...] = ()
    quantized_per: Literal["tensor", "channel", "block", "palette"] | None = None
    bits: float | None = None


class Deployability(Record, frozen=True):
    """Whether a delegate or execution provider takes every operator of a model.

    `blocking` counts those that it does not take, by operator. `target` `builtin` is the runtime by
    itself, without custom operators that an app brings along (Flex operators are such).
    """

    target: str
    runs_whole: bool
    blocking: dict[str, int] = msgspec.field(default_factory=dict)


class Model(Record, frozen=True):
    """A file with its outcome and, if parsed, its summary (counted as counting.md says).

    `path` joins nested containers by `!/`. `sha256` and `size_bytes` are None only where the
    bytes could not be read. `reach` says how an app's code gets to it, None where code cannot
    tell. `layer_table` and `tensors` are filled when asked for. `deployability` is None where no
    list of supported operators is known for the format.
    """

    path: str
    format: str | None
    level: Level | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    status: Status = "parsed"
    reason: str | None = None
    reach: Reach | None = None
    companions: tuple[str, ...] = ()
    name: str | None = None
    producer: str | None = None
    architecture: str | None = None
    inputs: tuple[Port, ...] | None = None
    outputs: tuple[Port, ...] | None = None
    layers: int | None = None
    ops: dict[str, int] | None = None
    parameters: int | None = None
    macs: int | None = None
    macs_known: int | None = None
    macs_formula: str | None = None
    flops: int | None = None
    weight_bytes: int | None = None
    peak_activation_bytes: int | None = None
    weight_dtypes: dict[str, int] | None = None
    quantization: Literal["none", "float16", "weights", "full", "mixed"] | None = None
    modality: str | None = None
    task: str | None = None
    task_confidence: float | None = None
    labels: tuple[str, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    layer_table: tuple[LayerRow, ...] | None = None
    tensors: tuple[TensorRow, ...] | None = None
    fingerprint: str | None = None
    zero_fraction: float | None = None
    near_zero_fraction: float | None = None
    clustered_tensors: int | None = None
    verified: bool | None = None
    verify_reason: str | None = None
    deployability: tuple[Deployability, ...] | None = None


class Evidence(Record, frozen=True):
    """A graded hint of what an app's code uses.

    `grade` is how sure it is that the thing is there, `reach` whether code outside the thing gets
    to it (`loaded`: a model's path is a constant that flows to its loader; None: code cannot tell),
    `owner` whose code that is: the app's own, or an SDK's. `where` lists entries of the package.
    """

    kind: EvidenceKind
    name: str
    grade: Grade
    reach: Reach | None = None
    owner: Owner | None = None
    where: str = ""
    detail: str = ""


class Coverage(Record, frozen=True):
    """What was looked at. `candidates` is the sum of the four outcomes below it."""

    entries: int = 0
    examined: int = 0
    candidates: int = 0
    parsed: int = 0
    opaque: int = 0
    rejected: int = 0
    not_examined: int = 0


PackageKind = Literal["apk", "apks", "xapk", "apkm", "aab", "aar", "obb", "ipa", "zip", "folder"]


class App(Record, frozen=True):
    """A package as found. `error` is set where it could not be processed at all.

    `signatures` is the version of what evidence was looked for by; `listing` is what the store that
    it came from says of it (category, installs, rating, date).
    """

    path: str
    sha256: str | None = None
    size_bytes: int | None = None
    kind: PackageKind | None = None
    package: str | None = None
    version_name: str | None = None
    version_code: int | None = None
    label: str | None = None
    min_sdk: int | None = None
    target_sdk: int | None = None
    models: tuple[Model, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    coverage: Coverage = Coverage()
    notes: tuple[str, ...] = ()
    error: str | None = None
    signatures: str | None = None
    listing: dict[str, str] = msgspec.field(default_factory=dict)
    analysis_version: int = ANALYSIS_VERSION


class Sighting(Record, frozen=True):
    """An app was there when a market or a phone was looked at: one row for each app and snapshot,
    also of apps that need no new look. Snapshots stand in the order of their names."""

    snapshot: str
    path: str
    sha256: str | None = None
    package: str | None = None
