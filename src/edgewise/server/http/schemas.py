"""JSON schemas of the protocol's messages, for the OpenAPI document: msgspec's, of the types below
and of the request as the codec decodes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from edgewise.protocol.http.codec import DATATYPE, SHAPE, InferRequest, Ms

Schema = dict[str, Any]
_TEMPLATE = "#/components/schemas/{name}"
_Count = Annotated[int, Meta(ge=0)]
_FreeShape = list[Annotated[int, Meta(ge=-1)]]
_Text = str | UnsetType


class Error(Struct):
    error: str


class Refusal(Struct):
    error: str
    retry_after_ms: Ms | UnsetType = UNSET
    device: Annotated[_Text, Meta(description="The variant to run on the caller's device.")] = UNSET


class Live(Struct):
    live: bool


class Ready(Struct):
    ready: bool


class Server(Struct):
    name: str
    version: str
    extensions: list[str]


class Models(Struct):
    models: list[str]


class ModelReady(Struct):
    name: str
    ready: bool


class Port(Struct):
    name: str
    datatype: Annotated[str, DATATYPE]
    shape: _FreeShape


class Model(Struct):
    name: str
    versions: list[str]
    platform: str
    inputs: list[Port]
    outputs: list[Port]


class ConfigPort(Struct):
    name: str
    data_type: str
    dims: _FreeShape


class Config(Struct):
    name: str
    platform: str
    backend: str
    max_batch_size: _Count
    input: list[ConfigPort]
    output: list[ConfigPort]


class Duration(Struct):
    count: _Count
    ns: _Count


class Durations(Struct):
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStats(Struct):
    name: str
    version: str
    last_inference: _Count
    inference_count: _Count
    execution_count: _Count
    inference_stats: Durations
    batch_stats: list[dict[str, Any]]


class Stats(Struct):
    model_stats: list[ModelStats]


class IndexRequest(Struct):
    ready: bool | UnsetType = UNSET


class IndexEntry(Struct):
    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class BinarySize(Struct):
    binary_data_size: _Count


class Output(Struct):
    name: str
    datatype: Annotated[str, DATATYPE]
    shape: Annotated[list[_Count], SHAPE]
    data: list[float | str | bool] | UnsetType = UNSET
    parameters: BinarySize | UnsetType = UNSET


class ResultParameters(Struct):
    """As `InferResult.parameters` gives them."""

    variant: Annotated[_Text, Meta(description="The variant that answered.")] = UNSET
    variant_sha256: Annotated[_Text, Meta(description="The content of its file.")] = UNSET
    accuracy: Annotated[float | UnsetType, Meta(description="Of that variant, in percent.")] = UNSET
    budget_ms: Annotated[
        float | UnsetType, Meta(description="What the network left of the deadline.")
    ] = UNSET
    budget_basis: Literal["client", "proxy", "service", "default"] | UnsetType = UNSET
    predicted_queue_ms: float | UnsetType = UNSET
    queue_ms: float | UnsetType = UNSET
    predicted_ms: float | UnsetType = UNSET
    preprocess_ms: float | UnsetType = UNSET
    inference_ms: float | UnsetType = UNSET
    cold_ms: Annotated[
        float | UnsetType, Meta(description="Loading that this request waited for.")
    ] = UNSET
    policy: Annotated[_Text, Meta(description="Who chose the variant, and why.")] = UNSET
    in_time: Annotated[
        bool | UnsetType, Meta(description="Whether it was ready within the budget.")
    ] = UNSET


class InferResponse(Struct):
    model_name: str
    model_version: str
    outputs: list[Output]
    id: _Text = UNSET
    parameters: ResultParameters | UnsetType = UNSET


_MESSAGES = (Error, Refusal, Live, Ready, Server, Models, ModelReady, Model, Config, Stats,
             IndexRequest, IndexEntry, InferRequest, InferResponse)  # fmt: skip


def schemas() -> dict[str, Schema]:
    """All of them by name."""
    _, found = msgspec.json.schema_components(_MESSAGES, ref_template=_TEMPLATE)
    scalar = {"type": ["number", "string", "boolean"]}
    nested = {
        "type": "array",
        "items": {"anyOf": [scalar, {"$ref": _TEMPLATE.format(name="Data")}]},
    }
    index = {"type": "array", "items": {"$ref": _TEMPLATE.format(name="IndexEntry")}}
    return {**found, "Data": nested, "Index": index}
