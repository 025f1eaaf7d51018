"""Requests and answers of the Open Inference Protocol over HTTP.

A request is encoded ahead of time but for the few numbers that change with each. Tensors travel by
the protocol's binary extension where the server has it, else as JSON.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, MissingExtra
from edgewise.protocol.inputs import Inputs, only_array
from edgewise.protocol.messages import DATATYPES

#: The extension's header: how much of a body is JSON, the tensors' bytes follow.
JSON_LENGTH = "Inference-Header-Content-Length"


class Port(msgspec.Struct, frozen=True):
    """A model's input or output as its metadata tells it; −1 in a shape is free."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One input ready to be sent: JSON after the parameters, then the tensors' bytes."""

    json: bytes
    raw: bytes

    @property
    def size_bytes(self) -> int:
        """What travels, but for the HTTP head and the parameters."""
        return len(self.json) + len(self.raw)


class Said(msgspec.Struct, frozen=True):
    """What Edgewise says of its answer, in its response's parameters. Times in ms."""

    variant: str | None = None
    accuracy: float | None = None
    budget_ms: float | None = None
    predicted_ms: float | None = None
    queue_ms: float | None = None
    preprocess_ms: float | None = None
    inference_ms: float | None = None
    cold_ms: float | None = None
    policy: str | None = None

    @property
    def service_ms(self) -> float | None:
        """All of the time that it had the request, as far as it says."""
        if self.queue_ms is None or self.inference_ms is None:
            return None
        return self.queue_ms + self.inference_ms + (self.preprocess_ms or 0) + (self.cold_ms or 0)


class _Spoken(msgspec.Struct):
    parameters: Said = Said()


class _Size(msgspec.Struct, frozen=True):
    binary_data_size: int | None = None


class _Output(msgspec.Struct):
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: _Size = _Size()


class _Outputs(msgspec.Struct):
    outputs: list[_Output]


_SPOKEN = msgspec.json.Decoder(_Spoken)
_OUTPUTS = msgspec.json.Decoder(_Outputs)


def encode(inputs: Inputs, ports: Sequence[Port], *, binary: bool) -> list[Body]:
    """All inputs as bodies for a model with these inputs.

    Raises:
        InputError: they are not what the model takes.
        MissingExtra: pixels have to become PNG images, and Pillow is not installed.
    """
    if len(ports) == 1 and ports[0].datatype == "BYTES":
        contents = inputs.files or pictures(inputs)
        return [of_image(ports[0], content, binary=binary) for content in contents]
    if inputs.arrays is None:
        takes = ", ".join(f"{port.datatype} {port.shape}" for port in ports)
        raise InputError(
            f"the model takes {takes}, no encoded images",
            hint="give an npz file with tensors that are prepared for it",
        )
    prepared = columns(inputs, ports)
    return [
        of_tensors(ports, [column[i] for column in prepared], binary=binary)
        for i in range(len(inputs))
    ]


def columns(inputs: Inputs, ports: Sequence[Port]) -> list[NDArray[Any]]:
    """For each port the arrays' rows as it takes them, shape (n, …).

    Raises:
        InputError: they are not what the model takes.
    """
    arrays = inputs.arrays or {}
    if len(ports) == 1 and ports[0].name not in arrays:
        return [_fitting(inputs.name, only_array(inputs), ports[0])]
    if missing := [port.name for port in ports if port.name not in arrays]:
        raise InputError(f"{inputs.name} has no array for the model's input '{missing[0]}'")
    return [_fitting(inputs.name, arrays[port.name], port) for port in ports]


def _fitting(name: str, values: NDArray[Any], port: Port) -> NDArray[Any]:
    """Rows of `values` as the port takes them: with a batch dimension of 1 where it has one."""
    wanted = np.dtype(DATATYPES.get(port.datatype, "O"))
    if values.dtype != wanted and not (values.dtype.kind == wanted.kind == "f"):
        raise InputError(
            f"{name}: values of {values.dtype}, '{port.name}' takes {port.datatype}",
            hint="prepare them as the model takes them",
        )
    for row in (values[:, np.newaxis], values):
        if row.ndim - 1 == len(port.shape) and all(
            free == -1 or free == length
            for free, length in zip(port.shape, row.shape[1:], strict=True)
        ):
            return np.ascontiguousarray(row, dtype=wanted)
    raise InputError(
        f"{name}: rows of shape {list(values.shape[1:])}, '{port.name}' takes {port.shape}"
    )


def pictures(inputs: Inputs, most: int | None = None) -> list[bytes]:
    """Pixels, (n, height, width) or (n, height, width, 1 or 3), as PNG files; the first of them.

    Raises:
        InputError: they are no pixels.
        MissingExtra: Pillow is not installed.
    """
    values, name = only_array(inputs)[:most], inputs.name
    if values.dtype != np.uint8 or values.ndim not in (3, 4):
        raise InputError(
            f"{name}: {values.dtype} of shape {values.shape} are no images",
            hint="the model takes encoded images",
        )
    squeezed = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    contents = []
    for pixels in squeezed:
        file = io.BytesIO()
        _pillow().fromarray(pixels).save(file, "PNG")
        contents.append(file.getvalue())
    return contents


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("images", "sending images") from error
    return Image


def of_image(port: Port, content: bytes, *, binary: bool) -> Body:
    """An encoded image for a model that takes one."""
    shape = [1] * max(len(port.shape), 1)
    tensor = {"name": port.name, "shape": shape, "datatype": "BYTES"}
    if binary:
        raw = struct.pack("<I", len(content)) + content
        return _body([tensor | {"parameters": {"binary_data_size": len(raw)}}], raw)
    text = base64.b64encode(content).decode()
    return _body([tensor | {"parameters": {"content_type": "base64"}, "data": [text]}], b"")


def of_tensors(ports: Sequence[Port], values: Sequence[NDArray[Any]], *, binary: bool) -> Body:
    """One row per port."""
    tensors, raw = [], b""
    for port, row in zip(ports, values, strict=True):
        tensor: dict[str, Any] = {
            "name": port.name, "shape": list(row.shape), "datatype": port.datatype,
        }  # fmt: skip
        if binary:
            tensor["parameters"] = {"binary_data_size": row.nbytes}
            raw += row.tobytes()
        else:
            tensor["data"] = row.ravel().tolist()
        tensors.append(tensor)
    return _body(tensors, raw)


def _body(tensors: list[dict[str, Any]], raw: bytes) -> Body:
    return Body(b'"inputs":' + json.dumps(tensors, separators=(",", ":")).encode() + b"}", raw)


def head(path: str, host: str, token: str | None, *, binary: bool, keep: bool) -> bytes:
    """An HTTP request's head but for the lengths, which `message` adds."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: application/{'octet-stream' if binary else 'json'}",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if not keep:
        lines.append("Connection: close")
    end = f"{JSON_LENGTH}: %d\r\n" if binary else ""
    text = "\r\n".join(lines).replace("%", "%%") + f"\r\n{end}Content-Length: %d\r\n\r\n"
    return text.encode("latin-1")


def message(head: bytes, body: Body, parameters: bytes, *, binary: bool) -> list[bytes]:
    """A request's bytes. `parameters` are members of a JSON object, each with a comma after it."""
    flag = b'"binary_data_output":true' if binary else b""
    stated = parameters + flag if binary else parameters[:-1]
    opening = b'{"parameters":{' + stated + b"}," if stated else b"{"
    json_bytes = len(opening) + len(body.json)
    total = json_bytes + len(body.raw)
    lengths = (json_bytes, total) if binary else (total,)
    return [head % lengths + opening + body.json, body.raw]


def said(content: bytes, json_length: int | None) -> Said:
    """What an answer of Edgewise says of itself.

    Raises:
        msgspec.DecodeError: it is no answer.
    """
    return _SPOKEN.decode(content if json_length is None else content[:json_length]).parameters


def chosen_class(content: bytes, json_length: int | None) -> int | None:
    """The class of an answer's first output: the largest of its values, or its only value; None
    where it is neither numbers nor of a usual form."""
    try:
        answer = _OUTPUTS.decode(content if json_length is None else content[:json_length])
        output = answer.outputs[0]
        kind = DATATYPES[output.datatype]
        if output.data is None:
            size = output.parameters.binary_data_size or 0
            start = json_length or 0
            values = np.frombuffer(content[start : start + size], dtype=kind)
        else:
            values = np.asarray(output.data).astype(kind).ravel()
    except (msgspec.DecodeError, IndexError, KeyError, ValueError, TypeError):
        return None
    if values.size == 0:
        return None
    return int(values[0]) if values.size == 1 else int(values.argmax())
