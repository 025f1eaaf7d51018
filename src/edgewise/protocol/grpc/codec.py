"""Inference requests and answers, from and to serialised messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from edgewise.protocol.grpc import contents, parameters, raw_contents
from edgewise.protocol.grpc.schema import message
from edgewise.protocol.messages import BadRequest, InferResult, Tensor
from edgewise.protocol.tensors import check_offered

_REQUEST = message("ModelInferRequest")
_RESPONSE = message("ModelInferResponse")
_RAW_INPUTS: int = _REQUEST.DESCRIPTOR.fields_by_name["raw_input_contents"].number
_RAW_OUTPUTS: int = _RESPONSE.DESCRIPTOR.fields_by_name["raw_output_contents"].number
_REQUIRES_RAW = "FP16"
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class Asked:
    """One decoded request. `typed`: its tensors came as lists of elements, so they go back so."""

    model: str
    version: str
    id: str
    inputs: tuple[Tensor, ...]
    wanted: tuple[str, ...]
    parameters: dict[str, parameters.Value]
    typed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One decoded answer of another server."""

    model: str
    outputs: tuple[Tensor, ...]
    parameters: dict[str, parameters.Value]


def decode_request(content: bytes) -> Asked:
    """A request; raw tensors of numbers are views of it.

    Raises:
        BadRequest: what is wrong, and with which tensor.
    """
    try:
        rest, raw = raw_contents.split(content, _RAW_INPUTS)
        request = _REQUEST.FromString(rest)
    except (raw_contents.MalformedMessage, DecodeError) as error:
        raise BadRequest(f"no ModelInferRequest: {error}") from error
    heads = request.inputs
    if not heads:
        raise BadRequest("the request has no inputs")
    if any(_SHARED_MEMORY in each.parameters for each in heads):
        raise BadRequest("shared memory is not offered", hint="send the tensor's contents")
    _check_once("input", [each.name for each in heads])
    wanted = tuple([each.name for each in request.outputs])
    _check_once("output", wanted)
    for each in request.outputs:
        check_offered(each.name, each.parameters)
    return Asked(
        model=request.model_name,
        version=request.model_version,
        id=request.id,
        inputs=contents.tensors(heads, raw),
        wanted=wanted,
        parameters=parameters.values(request.parameters) if request.parameters else {},
        typed=not raw,
    )


def encode_answer(result: InferResult, asked: Asked, version: str) -> bytes:
    """The answer: raw contents for raw contents, typed ones for typed ones where all outputs have
    such an encoding."""
    response = _RESPONSE(model_name=result.model, model_version=version, id=asked.id)
    parameters.fill(response.parameters, result.parameters())
    typed = asked.typed and not any(each.datatype == _REQUIRES_RAW for each in result.outputs)
    for tensor in result.outputs:
        contents.put(response.outputs.add(), tensor, typed=typed)
    content: bytes = response.SerializeToString()
    if typed:
        return content
    return raw_contents.join(content, _RAW_OUTPUTS, contents.raw(result.outputs))


def encode_request(
    model: str,
    version: str,
    inputs: Sequence[Tensor],
    *,
    wanted: Sequence[str] = (),
    id: str = "",
) -> bytes:
    """A request to another server, with raw contents."""
    request = _REQUEST(model_name=model, model_version=version, id=id)
    for tensor in inputs:
        contents.put(request.inputs.add(), tensor, typed=False)
    for name in wanted:
        request.outputs.add(name=name)
    content: bytes = request.SerializeToString()
    return raw_contents.join(content, _RAW_INPUTS, contents.raw(inputs))


def decode_answer(content: bytes) -> Answer:
    """Another server's answer; raw tensors of numbers are views of it.

    Raises:
        ValueError: it is malformed: which part, and why.
    """
    try:
        rest, raw = raw_contents.split(content, _RAW_OUTPUTS)
        response = _RESPONSE.FromString(rest)
        outputs = contents.tensors(response.outputs, raw)
    except (raw_contents.MalformedMessage, DecodeError) as error:
        raise ValueError(f"no ModelInferResponse: {error}") from error
    except BadRequest as error:
        raise ValueError(error.message) from error
    return Answer(response.model_name, outputs, parameters.values(response.parameters))


def _check_once(what: str, names: Sequence[str]) -> None:
    if len(names) > 1 and len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"the {what} '{twice}' is given twice")


def id_of(content: bytes) -> str:
    """The id of a request that may not be decodable further; empty where it has none."""
    try:
        return str(_REQUEST.FromString(raw_contents.split(content, _RAW_INPUTS)[0]).id)
    except (raw_contents.MalformedMessage, DecodeError):
        return ""


def encode_failure(id: str) -> bytes:
    """An answer with nothing but its request's id, as a stream carries it beside an error."""
    content: bytes = _RESPONSE(id=id).SerializeToString()
    return content
