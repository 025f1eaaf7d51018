"""The OpenAPI document of the service, as plain data.

Names of models are not part of it: they change with a reload, and `/v2/models` lists them.
"""

from __future__ import annotations

from typing import Any

from edgewise.protocol.messages import DATATYPES
from edgewise.server.http.schemas import schemas

Part = dict[str, Any]

_MODEL: Part = {
    "name": "family_or_variant",
    "in": "path",
    "required": True,
    "description": "Name of a family (the policy chooses its variant) or of a variant, as served.",
    "schema": {"type": "string", "minLength": 1},
}
_VERSION: Part = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Every model has the version 1.",
    "schema": {"type": "string", "minLength": 1},
}
_HEADER_LENGTH: Part = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "How many bytes of the body are JSON; binary tensor data follows. "
    "0: the body is the model's one input as it is. Missing: all of it is JSON.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}


def document(*, with_token: bool) -> Part:
    """The whole document; `with_token` where requests need one."""
    from edgewise import __version__

    paths = {**_pages(), **_server(), **_repository()}
    for of_version in (False, True):
        paths |= _model(of_version)
    components: Part = {"schemas": schemas()}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        _secure(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Edgewise",
            "version": __version__,
            "description": "The Open Inference Protocol v2: for every request the most accurate "
            "variant that still meets its deadline.",
        },
        "paths": paths,
        "components": components,
    }


def _pages() -> Part:
    return {
        "/": {"get": _get("page", "The status page", {"text/html": {"type": "string"}})},
        "/status.json": {"get": _get("status", "What the status page shows", _object())},
        "/metrics": {
            "get": _get("metrics", "Metrics for Prometheus", {"text/plain": {"type": "string"}})
        },
        "/openapi.json": {"get": _get("openapi", "This document", _object())},
    }


def _server() -> Part:
    live = _get("live", "Whether the process works", _json("Live"))
    live["responses"]["503"] = _busy("It does not", "Live")
    ready = _get("ready", "Whether new requests are welcome", _json("Ready"))
    ready["responses"]["503"] = _busy("It drains, or has no worker", "Ready")
    return {
        "/v2": {"get": _get("server", "Name, version, extensions", _json("Server"))},
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        "/v2/models": {"get": _get("models", "The names of all models", _json("Models"))},
        "/v2/models/stats": {"get": _get("allStats", "Statistics of all models", _json("Stats"))},
    }


def _repository() -> Part:
    index = _get("index", "All models with their state", _json("Index"))
    index["requestBody"] = {
        "required": False,
        "content": {"application/json": {"schema": _ref("IndexRequest")}},
    }
    index["responses"] |= {"400": _error("No JSON of that form"), **_body_errors()}
    return {"/v2/repository/index": {"post": index}}


def _model(of_version: bool) -> Part:
    where = "/v2/models/{family_or_variant}" + ("/versions/{version}" if of_version else "")
    suffix = "OfVersion" if of_version else ""
    parameters = [_MODEL, _VERSION] if of_version else [_MODEL]
    ready = _get("modelReady" + suffix, "Whether a model can answer now", _json("ModelReady"))
    ready["responses"]["503"] = _response("Not now", _json("ModelReady"))
    paths = {
        "": {"get": _get("model" + suffix, "What a model takes and gives", _json("Model"))},
        "/ready": {"get": ready},
        "/config": {"get": _get("config" + suffix, "The same, as Triton's", _json("Config"))},
        "/stats": {"get": _get("stats" + suffix, "Counts and times", _json("Stats"))},
        "/infer": {"post": _infer(suffix)},
    }
    for path in paths.values():
        for operation in path.values():
            operation["responses"]["404"] = _error("No model of that name and version")
        path["parameters"] = parameters  # type: ignore[assignment]
    return {where + path: operations for path, operations in paths.items()}


def _infer(suffix: str) -> Part:
    answer = _response(
        "Outputs, and in `parameters` which variant gave them and why",
        {**_json("InferResponse"), "application/octet-stream": {}},
    )
    answer["headers"] = {
        "Inference-Header-Content-Length": {
            "description": "With binary outputs: how much of the body is JSON.",
            "schema": {"type": "integer", "minimum": 1},
        }
    }
    return {
        "operationId": "infer" + suffix,
        "summary": "Answer one request",
        "description": f"Datatypes are {', '.join(DATATYPES)} and BYTES. FP16 is taken as binary "
        "data only. Bodies may be compressed (Content-Encoding gzip or deflate); an "
        "answer is where gzip or deflate alone is accepted.",
        "parameters": [_HEADER_LENGTH],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref("InferRequest")},
                "application/octet-stream": {},
            },
        },
        "responses": {
            "200": answer,
            "400": _error("Malformed, or it does not fit the model: which part, and why"),
            "500": _error("The runtime refused or crashed on this input"),
            "503": _busy("Refused unexecuted, or nothing can execute it just now", "Refusal"),
            **_body_errors(),
        },
    }


def _body_errors() -> Part:
    return {
        "408": _error("The body did not arrive in time"),
        "413": _error("The body is above the limit"),
        "415": _error("The body's Content-Encoding is neither gzip nor deflate"),
    }


def _get(name: str, summary: str, content: Part) -> Part:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _response(summary, content)},
    }


def _secure(paths: Part) -> None:
    """Every operation but health needs the token."""
    for path, operations in paths.items():
        for operation in operations.values():
            if isinstance(operation, dict) and not path.startswith("/v2/health/"):
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _error("No token, or a wrong one")


def _response(description: str, content: Part) -> Part:
    media = {name: {"schema": schema} if schema else {} for name, schema in content.items()}
    return {"description": description, "content": media}


def _error(description: str) -> Part:
    return _response(description, _json("Error"))


def _busy(description: str, schema: str) -> Part:
    response = _response(description, _json(schema))
    response["headers"] = {
        "Retry-After": {
            "description": "Seconds until it may be worth trying again.",
            "schema": {"type": "integer", "minimum": 1},
        }
    }
    return response


def _json(schema: str) -> Part:
    return {"application/json": _ref(schema)}


def _object() -> Part:
    return {"application/json": {"type": "object"}}


def _ref(schema: str) -> Part:
    return {"$ref": f"#/components/schemas/{schema}"}
