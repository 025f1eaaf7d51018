"""Inference requests and results, from and to the bodies of HTTP.

A body is JSON, or JSON followed by the binary data of tensors; the header
`Inference-Header-Content-Length` tells how long the JSON is. With a length of 0 the whole body is
the one input of the model, Triton's raw binary request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, structs

from edgewise.protocol.http import jsondata
from edgewise.protocol.messages import DATATYPES, BadRequest, InferResult, Tensor
from edgewise.protocol.metadata import VERSION, TensorMetadata
from edgewise.protocol.tensors import MAX_DIMENSIONS, check_offered, from_raw, to_raw

HEADER_LENGTH = b"inference-header-content-length"

Parameters = dict[str, str | int | float | bool]
_Size = Annotated[int, Meta(ge=0)]


#: Times in ms, and what is said of a tensor, as the OpenAPI document has them beyond their types.
Ms = Annotated[float, Meta(ge=0)]
DATATYPE = Meta(extra_json_schema={"enum": [*DATATYPES, "BYTES"]})
SHAPE = Meta(extra_json_schema={"maxItems": MAX_DIMENSIONS})


def _known(**parameters: Any) -> Meta:
    """Parameters of which some have a meaning here; their types by name."""
    found = {name: msgspec.json.schema(each) for name, each in parameters.items()}
    return Meta(extra_json_schema={"properties": found})


def _told(kind: Any, description: str) -> Any:
    return Annotated[kind, Meta(description=description)]


_INPUT_PARAMETERS = _known(
    binary_data_size=_told(_Size, "Bytes of this input in the binary part, instead of `data`."),
    content_type=_told(str, "`base64`: the strings of BYTES are base64."),
)
_OUTPUT_PARAMETERS = _known(binary_data=bool)
#: Of the caller's: how much time there is, and what it knows of the network.
_REQUEST_PARAMETERS = _known(
    sla_ms=_told(Ms, "The deadline, end to end, as the caller sees it."),
    elapsed_ms=_told(Ms, "Already spent of it before sending."),
    rtt_ms=_told(Ms, "The network's round trip as the caller knows it."),
    upload_ms=_told(Ms, "What the caller expects the upload to take."),
    download_ms=_told(Ms, "What it expects the answer to take on its way back: the median."),
    download_p90_ms=_told(Ms, "What that does not exceed in nine of ten cases."),
    raw_outputs=_told(
        bool, "Integers as the file that answers has them, instead of real values by its scale."
    ),
    timeout=_told(Ms, "Triton's: microseconds from arrival; 0: none."),
    binary_data_output=_told(
        bool, "Whether outputs come as binary data where they do not say it themselves."
    ),
)
_DATA = Meta(
    description="Flat, or nested as the shape is; strings for BYTES.",
    extra_json_schema={"anyOf": [{"$ref": "#/components/schemas/Data"}, {"type": "null"}]},
)


class InferInput(msgspec.Struct, gc=False):
    """One input."""

    name: str
    datatype: Annotated[str, DATATYPE]
    shape: Annotated[list[_Size], SHAPE]
    parameters: Annotated[Parameters, _INPUT_PARAMETERS] | None = None
    data: Annotated[msgspec.Raw, _DATA] = msgspec.field(default_factory=msgspec.Raw)


class RequestedOutput(msgspec.Struct, gc=False):
    """An output that is wanted."""

    name: str
    parameters: Annotated[Parameters, _OUTPUT_PARAMETERS] | None = None


class InferRequest(msgspec.Struct, gc=False):
    """The JSON of a request."""

    inputs: Annotated[list[InferInput], Meta(min_length=1)]
    id: str | None = None
    parameters: Annotated[Parameters, _REQUEST_PARAMETERS] | None = None
    outputs: list[RequestedOutput] | None = None


#: Elements of an answer in JSON that take longer to write than others should wait, about 2 ms.
_LONG_ELEMENTS = 32 * 1024
_REQUEST = msgspec.json.Decoder(InferRequest)
#: So many heads are remembered, none longer than this.
_REMEMBERED, _LONGEST_HEAD_BYTES = 256, 2048


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One decoded request. `binary` are the names of outputs that go back as binary data,
    `binary_default` says it for those that were not named.
    """

    inputs: tuple[Tensor, ...]
    parameters: Parameters
    id: str = ""
    wanted: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    binary_default: bool = False


class _Head(msgspec.Struct, frozen=True, gc=False):
    """What a request's JSON said, where all inputs came as binary data of so many bytes: callers
    that ask for the same again send the same JSON. Each input's name, datatype, shape, type and
    place."""

    asked: Asked
    places: tuple[tuple[str, str, tuple[int, ...], np.dtype[Any], int], ...]
    size: int


_HEADS: dict[bytes, _Head] = {}


def decode(body: bytes | memoryview, json_bytes: int | None) -> Asked:
    """A request from its body; tensors of numbers that came as binary data are views of it.

    `json_bytes` is how much of it is JSON, None: all.

    Raises:
        BadRequest: what is wrong, and with which input.
    """
    view = memoryview(body)
    if json_bytes is not None and json_bytes > view.nbytes:
        raise BadRequest(
            f"Inference-Header-Content-Length is {json_bytes}, the body has {view.nbytes} bytes"
        )
    binary = view[view.nbytes if json_bytes is None else json_bytes :].toreadonly()
    text = b""
    if json_bytes is not None and json_bytes <= _LONGEST_HEAD_BYTES:
        text = bytes(view[:json_bytes])
        known = _HEADS.get(text)
        if known is not None and known.size == binary.nbytes:
            return _as_before(known, binary)
    request = _parsed(view if json_bytes is None else view[:json_bytes])
    parameters = request.parameters or {}
    outputs = request.outputs or []
    wanted = tuple(output.name for output in outputs)
    _check_once("output", wanted)
    default = _flag(parameters, "binary_data_output", False, "the request")
    asked = Asked(
        inputs=_tensors(request.inputs, binary),
        parameters=parameters,
        id=request.id or "",
        wanted=wanted,
        binary=frozenset(each.name for each in outputs if _is_binary(each, default)),
        binary_default=default,
    )
    if text and not asked.id:
        _remember(text, asked, binary.nbytes)
    return asked


def _as_before(head: _Head, binary: memoryview) -> Asked:
    asked = head.asked
    inputs = [
        Tensor(name, datatype, shape, np.ndarray(shape, dtype, binary, at))
        for name, datatype, shape, dtype, at in head.places
    ]
    return Asked(
        tuple(inputs), asked.parameters, "", asked.wanted, asked.binary, asked.binary_default
    )


def _remember(text: bytes, asked: Asked, size: int) -> None:
    places = []
    at = 0
    for tensor in asked.inputs:
        values = tensor.values
        # What has to be looked at (BYTES, BOOL) is decoded anew each time, as is what is empty.
        if isinstance(values, tuple) or tensor.datatype == "BOOL" or not values.nbytes:
            return
        places.append((tensor.name, tensor.datatype, tensor.shape, values.dtype, at))
        at += values.nbytes
    if at != size:  # some of it is in the JSON
        return
    if len(_HEADS) >= _REMEMBERED:
        _HEADS.clear()
    _HEADS[text] = _Head(structs.replace(asked, inputs=()), tuple(places), size)


def decode_raw(body: bytes | memoryview, inputs: Sequence[TensorMetadata]) -> Asked:
    """A body that is the one input of a model, whole: BYTES of one element, or numbers.

    Raises:
        BadRequest: the model has more inputs, or the body is empty or does not fit.
    """
    if len(inputs) != 1:
        raise BadRequest(
            f"a raw body (Inference-Header-Content-Length: 0) is one input, "
            f"the model has {len(inputs)}"
        )
    port, view = inputs[0], memoryview(body).toreadonly()
    if not view.nbytes:
        raise BadRequest(f"the body is empty, it should be the input '{port.name}'")
    if port.datatype == "BYTES":
        return Asked((Tensor(port.name, "BYTES", (1,), (bytes(view),)),), {})
    return Asked((from_raw(port.name, port.datatype, _filled(port, view.nbytes), view),), {})


def encode(result: InferResult, asked: Asked) -> tuple[int | None, list[bytes | memoryview]]:
    """The body of an answer in its parts, and how much of it is JSON; None where all of it is.

    What JSON has no number for is one of the strings "NaN", "Infinity" and "-Infinity", as in
    protobuf's JSON; numpy, and so the usual clients, read them as numbers.

    Raises:
        BadRequest: an output holds bytes that are no text and was not asked for as binary data.
    """
    opening = msgspec.json.encode(
        {
            "model_name": result.model,
            "model_version": VERSION,
            "id": asked.id or result.id,
            "parameters": result.parameters(),
        }
    )
    text = [opening[:-1], b',"outputs":[']
    raw: list[bytes | memoryview] = []
    for index, tensor in enumerate(result.outputs):
        is_binary = _as_binary(tensor, asked)
        if is_binary:
            raw.append(to_raw(tensor))
        size = len(raw[-1]) if is_binary else None
        text += (b"," if index else b"", _opening(tensor.name, tensor.datatype, tensor.shape, size))
        if not is_binary:
            text.append(b',"data":')
            text += _json_elements(tensor)
        text.append(b"}")
    text.append(b"]}")
    # Long ones stay in parts: joining takes some 10 ms for a million numbers.
    parts = text if is_long(result, asked) else [b"".join(text)]
    return (sum(map(len, parts)) if raw else None), [*parts, *raw]


@lru_cache(256)
def _opening(name: str, datatype: str, shape: tuple[int, ...], size: int | None) -> bytes:
    """An output up to its data; `size` is that of binary data."""
    output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if size is not None:
        output["parameters"] = {"binary_data_size": size}
    return msgspec.json.encode(output)[:-1]


def _parsed(text: memoryview) -> InferRequest:
    try:
        return _REQUEST.decode(text)
    except RecursionError as error:
        raise BadRequest("the request's JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Python's and JavaScript's writers put these where JSON has nothing of the kind.
        is_nan = b"NaN" in bytes(text) or b"Infinity" in bytes(text)
        hint = "JSON has no NaN and no Infinity, binary data has" if is_nan else None
        raise BadRequest(f"the request's JSON: {error}", hint=hint) from error


def _tensors(inputs: Sequence[InferInput], binary: memoryview) -> tuple[Tensor, ...]:
    _check_once("input", [each.name for each in inputs])
    tensors = []
    at = 0
    for each in inputs:
        size = _binary_size(each)
        if size is None:
            tensors.append(_from_json(each))
            continue
        if size > binary.nbytes - at:
            raise BadRequest(
                f"input '{each.name}': its binary_data_size is {size}, "
                f"{binary.nbytes - at} bytes are left in the body"
            )
        tensors.append(from_raw(each.name, each.datatype, each.shape, binary[at : at + size]))
        at += size
    if at != binary.nbytes:
        raise BadRequest(f"{binary.nbytes - at} bytes of the body belong to no input")
    return tuple(tensors)


def _from_json(given: InferInput) -> Tensor:
    text = bytes(given.data)
    if not text or text == b"null":
        raise BadRequest(
            f"input '{given.name}': no data", hint="neither `data` nor `binary_data_size`"
        )
    is_base64 = (given.parameters or {}).get("content_type") == "base64"
    return jsondata.decode(given.name, given.datatype, given.shape, text, base64_strings=is_base64)


def _binary_size(given: InferInput) -> int | None:
    parameters = given.parameters
    if not parameters:
        return None
    if "shared_memory_region" in parameters:
        raise BadRequest(f"input '{given.name}': there is no shared memory with callers here")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise BadRequest(f"input '{given.name}': its binary_data_size is {size!r:.40}")
    if bytes(given.data) not in (b"", b"null"):
        raise BadRequest(f"input '{given.name}': both `data` and `binary_data_size`")
    return size


def _is_binary(output: RequestedOutput, default: bool) -> bool:
    parameters = output.parameters
    if not parameters:
        return default
    check_offered(output.name, parameters)
    return _flag(parameters, "binary_data", default, f"output '{output.name}'")


def _flag(parameters: Parameters, name: str, default: bool, where: str) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{where}: '{name}' is {value!r:.40}", hint="true or false")
    return value


def _check_once(kind: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"{kind} '{twice}' is given twice")


def _filled(port: TensorMetadata, content_bytes: int) -> tuple[int, ...]:
    """A port's shape with its one free dimension from the number of bytes."""
    free = [i for i, size in enumerate(port.shape) if size < 0]
    if not free:
        return port.shape
    if len(free) > 1:
        raise BadRequest(f"a raw body cannot tell the shape of '{port.name}' {list(port.shape)}")
    rest = np.dtype(DATATYPES[port.datatype]).itemsize
    for size in port.shape:
        rest *= size if size > 0 else 1
    return tuple(content_bytes // rest if size < 0 else size for size in port.shape)


def is_long(result: InferResult, asked: Asked) -> bool:
    """Whether the answer should be encoded in a thread."""
    return any(
        math.prod(tensor.shape) > _LONG_ELEMENTS
        for tensor in result.outputs
        if not _as_binary(tensor, asked)
    )


def _as_binary(tensor: Tensor, asked: Asked) -> bool:
    return tensor.name in asked.binary or (asked.binary_default and not asked.wanted)


def _json_elements(tensor: Tensor) -> Iterable[bytes]:
    if isinstance(tensor.values, tuple):
        return (msgspec.json.encode([_text(tensor.name, each) for each in tensor.values]),)
    return jsondata.encode(tensor.values)


def _text(name: str, element: bytes) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"output '{name}' holds bytes that are no text", hint="ask for it as binary data"
        ) from error
