"""JSON schemas of the protocol's messages, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from edgewise.protocol.messages import DATATYPES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MS: Schema = {"type": "number", "minimum": 0}
_DATATYPE: Schema = {"enum": [*DATATYPES, "BYTES"]}
_FREE_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": -1}}
_SHAPE: Schema = {"type": "array", "items": _COUNT, "maxItems": 32}
#: A parameter is a word, a number or a flag.
_PARAMETER: Schema = {"type": ["string", "number", "boolean"]}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameters(known: Schema) -> Schema:
    return _maybe({"type": "object", "properties": known, "additionalProperties": _PARAMETER})


_PORT = _object({"name": _TEXT, "datatype": _DATATYPE, "shape": _FREE_SHAPE})
_CONFIG_PORT = _object({"name": _TEXT, "data_type": _TEXT, "dims": _FREE_SHAPE})
_DURATION = _object({"count": _COUNT, "ns": _COUNT})
_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output",
              "cache_hit", "cache_miss")  # fmt: skip

#: Of the caller's: how much time there is, and what it knows of the network.
_REQUEST_PARAMETERS: Schema = {
    "sla_ms": {**_MS, "description": "The deadline, end to end, as the caller sees it."},
    "elapsed_ms": {**_MS, "description": "Already spent of it before sending."},
    "rtt_ms": {**_MS, "description": "The network's round trip as the caller knows it."},
    "upload_ms": {**_MS, "description": "What the caller expects the upload to take."},
    "download_ms": {**_MS, "description": "What it expects the answer to take."},
    "timeout": {**_MS, "description": "Triton's: microseconds from arrival; 0: none."},
    "binary_data_output": {
        **_FLAG,
        "description": "Whether outputs come as binary data where they do not say it themselves.",
    },
}
_INPUT = _object(
    {"name": _TEXT, "datatype": _DATATYPE, "shape": _SHAPE},
    {
        "data": {
            "description": "Flat, or nested as the shape is; strings for BYTES.",
            **_maybe(_ref("Data")),
        },
        "parameters": _parameters(
            {
                "binary_data_size": {
                    **_COUNT,
                    "description": "Bytes of this input in the binary part, instead of `data`.",
                },
                "content_type": {
                    **_TEXT,
                    "description": "`base64`: the strings of BYTES are base64.",
                },
            }
        ),
    },
)
_REQUESTED_OUTPUT = _object({"name": _TEXT}, {"parameters": _parameters({"binary_data": _FLAG})})
_OUTPUT = _object(
    {"name": _TEXT, "datatype": _DATATYPE, "shape": _SHAPE},
    {
        "data": _list({"type": ["number", "string", "boolean"]}),
        "parameters": _object({"binary_data_size": _COUNT}),
    },
)
#: As `InferResult.parameters` gives them.
_RESULT_PARAMETERS: Schema = {
    "variant": {**_TEXT, "description": "The variant that answered."},
    "accuracy": {"type": "number", "description": "Of that variant, in percent."},
    "budget_ms": {"type": "number", "description": "What the network left of the deadline."},
    "budget_basis": {"enum": ["client", "proxy", "service", "default"]},
    "predicted_queue_ms": {"type": "number"},
    "queue_ms": {"type": "number"},
    "predicted_ms": {"type": "number"},
    "preprocess_ms": {"type": "number"},
    "inference_ms": {"type": "number"},
    "cold_ms": {"type": "number", "description": "Loading that this request waited for."},
    "policy": {**_TEXT, "description": "Who chose the variant, and why."},
    "in_time": {**_FLAG, "description": "Whether it was ready within the budget."},
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object({"error": _TEXT}),
    "Refusal": _object(
        {"error": _TEXT},
        {
            "retry_after_ms": _MS,
            "device": {**_TEXT, "description": "The variant to run on the caller's device."},
        },
    ),
    "Live": _object({"live": _FLAG}),
    "Ready": _object({"ready": _FLAG}),
    "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Models": _object({"models": _list(_TEXT)}),
    "ModelReady": _object({"name": _TEXT, "ready": _FLAG}),
    "Model": _object(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _list(_PORT),
            "outputs": _list(_PORT),
        }
    ),
    "Config": _object(
        {
            "name": _TEXT,
            "platform": _TEXT,
            "backend": _TEXT,
            "max_batch_size": _COUNT,
            "input": _list(_CONFIG_PORT),
            "output": _list(_CONFIG_PORT),
        }
    ),
    "Stats": _object(
        {
            "model_stats": _list(
                _object(
                    {
                        "name": _TEXT,
                        "version": _TEXT,
                        "last_inference": _COUNT,
                        "inference_count": _COUNT,
                        "execution_count": _COUNT,
                        "inference_stats": _object(dict.fromkeys(_DURATIONS, _DURATION)),
                        "batch_stats": _list({"type": "object"}),
                    }
                )
            )
        }
    ),
    "IndexRequest": _object({}, {"ready": _FLAG}),
    "Index": _list(
        _object(
            {
                "name": _TEXT,
                "version": _TEXT,
                "state": {"enum": ["READY", "UNAVAILABLE"]},
                "reason": _TEXT,
            }
        )
    ),
    "Data": {
        "type": "array",
        "items": {"anyOf": [{"type": ["number", "string", "boolean"]}, _ref("Data")]},
    },
    "InferRequest": _object(
        {"inputs": {**_list(_INPUT), "minItems": 1}},
        {
            "id": {"type": ["string", "null"]},
            "parameters": _parameters(_REQUEST_PARAMETERS),
            "outputs": _maybe(_list(_REQUESTED_OUTPUT)),
        },
    ),
    "InferResponse": _object(
        {"model_name": _TEXT, "model_version": _TEXT, "outputs": _list(_OUTPUT)},
        {"id": _TEXT, "parameters": _object({}, _RESULT_PARAMETERS)},
    ),
}
