"""Requests and answers of the Open Inference Protocol over HTTP, with its binary extension.

What comes back is not trusted: it is decoded into typed structures, every tensor's bytes are
counted, and anything that does not fit is a `MalformedAnswer`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise.protocol.errors import MalformedAnswer
from edgewise.protocol.messages import BadRequest, Tensor
from edgewise.protocol.tensors import from_elements, from_raw, to_raw

LENGTH_HEADER = "Inference-Header-Content-Length"
_MOST_WORDS = 400
_MOST_DEPTH = 32
#: What the service reports of its own time; cold start and queue are waited for one after another.
_SERVER_TIMES = ("queue_ms", "cold_ms", "preprocess_ms", "inference_ms")


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body. `head(elapsed_ms)` is always as long: what was spent by then is written
    into a field of fixed width, so that it can be known as late as when the bytes leave.
    """

    beginning: bytes
    binary: tuple[bytes | memoryview, ...]

    _WIDTH = 14

    def head(self, elapsed_ms: float) -> bytes:
        """The JSON part."""
        # Leading blanks are JSON's white space.
        return self.beginning + f"{min(elapsed_ms, 1e9):{self._WIDTH}.3f}}}}}".encode()

    @property
    def head_bytes(self) -> int:
        """Length of the JSON part."""
        return len(self.beginning) + self._WIDTH + 2

    @property
    def total_bytes(self) -> int:
        """Length of the body."""
        return self.head_bytes + sum(len(part) for part in self.binary)


def request_body(
    inputs: Sequence[Tensor],
    *,
    id: str = "",
    parameters: dict[str, Any] | None = None,
    wanted: Sequence[str] = (),
) -> Body:
    """Encode a request.

    Raises:
        UsageError: parameters that JSON does not have.
    """
    binary = tuple(to_raw(tensor) for tensor in inputs)
    head: dict[str, Any] = {"id": id} if id else {}
    head["inputs"] = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "parameters": {"binary_data_size": len(content)},
        }
        for tensor, content in zip(inputs, binary, strict=True)
    ]
    if wanted:
        head["outputs"] = [{"name": name, "parameters": {"binary_data": True}} for name in wanted]
    head["parameters"] = {"binary_data_output": True, **(parameters or {})}
    encoded = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return Body(encoded[:-2] + b',"elapsed_ms":', binary)


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Response(msgspec.Struct):
    outputs: list[_Output]
    model_name: str = ""
    id: str = ""
    parameters: dict[str, Any] = {}


class Refusal(msgspec.Struct, frozen=True):
    """The body of an answer that is none: the service's words; of an Edgewise service that refused
    the work also when to come back, and the variant that the caller can run itself.
    """

    error: str = ""
    device: str | None = None
    retry_after_ms: float | None = None


_RESPONSES = msgspec.json.Decoder(_Response)
_REFUSALS = msgspec.json.Decoder(Refusal)


@dataclass(frozen=True, slots=True)
class Reply:
    """A decoded answer of the service."""

    model: str
    id: str
    outputs: dict[str, NDArray[Any]]
    parameters: dict[str, Any]

    @property
    def server_ms(self) -> float:
        """What the service says that it took, from the whole request to the result."""
        return sum(number(self.parameters.get(name)) or 0.0 for name in _SERVER_TIMES)

    @property
    def tells_time(self) -> bool:
        """Whether the service says what it took at all."""
        return number(self.parameters.get("inference_ms")) is not None

    def text(self, name: str) -> str | None:
        """A parameter that is a string."""
        value = self.parameters.get(name)
        return value if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """A parameter that is a finite number, not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def reply(content: bytes, head_length: str | None) -> Reply:
    """Decode an answer.

    Args:
        content: the whole body.
        head_length: the header `Inference-Header-Content-Length`, None where all of it is JSON.

    Raises:
        MalformedAnswer: which part, and why.
    """
    response, outputs = _decoded(content, head_length)
    values = {tensor.name: _values(tensor) for tensor in outputs}
    return Reply(response.model_name, response.id, values, response.parameters)


def tensors(content: bytes, head_length: str | None) -> tuple[Tensor, ...]:
    """The outputs of an answer; arguments and errors as `reply`."""
    return tuple(_decoded(content, head_length)[1])


def _decoded(content: bytes, head_length: str | None) -> tuple[_Response, list[Tensor]]:
    split = _head_bytes(len(content), head_length)
    try:
        response = _RESPONSES.decode(memoryview(content)[:split])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedAnswer(f"the answer is not the protocol's: {error}") from error
    rest = memoryview(content)[split:]
    outputs = []
    for output in response.outputs:
        tensor, rest = _take(output, rest)
        outputs.append(tensor)
    if rest:
        raise MalformedAnswer(f"the answer has {len(rest)} bytes that belong to no output")
    return response, outputs


def _head_bytes(total: int, head_length: str | None) -> int:
    if head_length is None:
        return total
    if not (head_length.isascii() and head_length.isdigit() and len(head_length) < 16):
        raise MalformedAnswer(f"the answer's header {LENGTH_HEADER} is no number")
    if int(head_length) > total:
        raise MalformedAnswer(f"the answer's header {LENGTH_HEADER} is beyond its end")
    return int(head_length)


def _take(output: _Output, rest: memoryview) -> tuple[Tensor, memoryview]:
    """One output, and the bytes after its own."""
    name, datatype, shape = output.name, output.datatype, output.shape
    try:
        if output.data is not None:
            return from_elements(name, datatype, shape, _flat(output.data)), rest
        size = output.parameters.get("binary_data_size")
        if type(size) is not int or not 0 <= size <= len(rest):
            raise MalformedAnswer(f"the output '{name}' has neither data nor its bytes")
        return from_raw(name, datatype, shape, rest[:size]), rest[size:]
    except BadRequest as error:
        raise MalformedAnswer(f"the answer is malformed: {error.message}") from error


def _flat(data: list[Any], depth: int = 0) -> list[Any]:
    if not data or not isinstance(data[0], list):
        return data
    if depth > _MOST_DEPTH:
        raise MalformedAnswer("an output's data are nested too deeply")
    if not all(isinstance(part, list) for part in data):
        raise MalformedAnswer("an output's data mix lists and elements")
    return [element for part in data for element in _flat(part, depth + 1)]


def _values(tensor: Tensor) -> NDArray[Any]:
    if not isinstance(tensor.values, tuple):
        return tensor.values
    array = np.empty(len(tensor.values), dtype=object)
    array[:] = tensor.values
    return array.reshape(tensor.shape)


def refusal(content: bytes) -> Refusal:
    """Decode such a body; anything is one, as its words. They are one printable line."""
    try:
        said = _REFUSALS.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Refusal(_line(content.decode("utf-8", "replace")))
    return Refusal(_line(said.error), said.device, number(said.retry_after_ms))


def _line(text: str) -> str:
    words = "".join(each if each.isprintable() else " " for each in text[: 4 * _MOST_WORDS])
    line = " ".join(words.split())
    return line if len(line) <= _MOST_WORDS else f"{line[:_MOST_WORDS]}…"
