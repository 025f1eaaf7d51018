"""Networks as ONNX files with random weights, written tensor by tensor.

A protobuf message inside another is preceded by its length, so lengths are computed from the
weights' shapes first; then the weights are drawn and written one at a time. 244 MB of AlexNet need
the memory of its largest tensor (151 MB), not of the file.
"""

from __future__ import annotations

import math
import os
import struct
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgewise import __version__
from edgewise.formats.onnx.wire import DTYPES, AttributeTag, GraphTag, ModelTag, NodeTag, TensorTag
from edgewise.formats.protobuf import bytes_tag, varint_tag

#: ONNX 1.8: MaxPool rounds up on request (10), Softmax works on one axis (13).
IR_VERSION, OPSET = 7, 13
_FLOAT32 = DTYPES.index("float32")
#: AttributeProto.AttributeType.
_IS_FLOAT, _IS_INT, _IS_INTS = 1, 2, 7

Attribute = int | float | tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """A float32 tensor of random numbers: normal, of mean zero and this standard deviation."""

    name: str
    shape: tuple[int, ...]
    std: float

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True)
class Node:
    """One operator of ONNX's default domain, with one output that also names it."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """A float32 input or output."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network to be written. Nodes are in an order in which they can run."""

    name: str
    description: str
    input: Port
    output: Port
    nodes: tuple[Node, ...]
    weights: tuple[Weight, ...]


def write(network: Network, file: Path, *, seed: int = 0) -> None:
    """Write the network. The same seed gives the same bytes; a file half written is never seen.

    Raises:
        OSError: it cannot be written.
    """
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            _write_model(network, stream, seed)
        Path(partial).replace(file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _write_model(network: Network, stream: BinaryIO, seed: int) -> None:
    before = b"".join(_bytes(GraphTag.NODE, _node(node)) for node in network.nodes)
    before += _bytes(GraphTag.NAME, network.name)
    after = _bytes(GraphTag.INPUT, _value(network.input))
    after += _bytes(GraphTag.OUTPUT, _value(network.output))
    heads = [_initializer(weight) for weight in network.weights]
    contents = sum(weight.size_bytes for weight in network.weights)
    length = len(before) + sum(map(len, heads)) + contents + len(after)

    stream.write(_int(ModelTag.IR_VERSION, IR_VERSION))
    stream.write(_bytes(ModelTag.PRODUCER_NAME, "edgewise"))
    stream.write(_bytes(ModelTag.PRODUCER_VERSION, __version__))
    stream.write(_bytes(ModelTag.DOC_STRING, network.description))
    stream.write(_bytes(ModelTag.OPSET_IMPORT, _int(varint_tag(2), OPSET)))
    stream.write(_varint(ModelTag.GRAPH) + _varint(length) + before)
    for index, (weight, head) in enumerate(zip(network.weights, heads, strict=True)):
        stream.write(head)
        stream.write(_draw(weight, np.random.default_rng((seed, index))).data)
    stream.write(after)


def _draw(weight: Weight, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    values = rng.standard_normal(math.prod(weight.shape), dtype=np.float32)
    values *= np.float32(weight.std)
    return values.astype("<f4", copy=False)


def _initializer(weight: Weight) -> bytes:
    """The field of a TensorProto up to its values, which end it."""
    head = _bytes(TensorTag.DIMS_PACKED, _packed(weight.shape))
    head += _int(TensorTag.DATA_TYPE, _FLOAT32) + _bytes(TensorTag.NAME, weight.name)
    head += _varint(TensorTag.RAW_DATA) + _varint(weight.size_bytes)
    return _varint(GraphTag.INITIALIZER) + _varint(len(head) + weight.size_bytes) + head


def _node(node: Node) -> bytes:
    return b"".join(
        (
            *(_bytes(NodeTag.INPUT, name) for name in node.inputs),
            _bytes(NodeTag.OUTPUT, node.output),
            _bytes(NodeTag.NAME, node.output),
            _bytes(NodeTag.OP_TYPE, node.op),
            *(
                _bytes(NodeTag.ATTRIBUTE, _attribute(name, value))
                for name, value in node.attributes.items()
            ),
        )
    )


def _attribute(name: str, value: Attribute) -> bytes:
    head = _bytes(AttributeTag.NAME, name)
    if isinstance(value, float):
        kind, content = _IS_FLOAT, _varint(AttributeTag.FLOAT) + struct.pack("<f", value)
    elif isinstance(value, int):
        kind, content = _IS_INT, _int(AttributeTag.INT, value)
    else:
        kind, content = _IS_INTS, _each(AttributeTag.INTS, value)
    return head + content + _int(AttributeTag.TYPE, kind)


def _value(port: Port) -> bytes:
    """A ValueInfoProto: a name, and a tensor type of an element type and dimensions."""
    shape = b"".join(_bytes(bytes_tag(1), _int(varint_tag(1), size)) for size in port.shape)
    tensor = _int(varint_tag(1), _FLOAT32) + _bytes(bytes_tag(2), shape)
    return _bytes(bytes_tag(1), port.name) + _bytes(bytes_tag(2), _bytes(bytes_tag(1), tensor))


def _bytes(tag: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(tag) + _varint(len(raw)) + raw


def _int(tag: int, value: int) -> bytes:
    return _varint(tag) + _varint(value)


def _each(tag: int, values: Iterable[int]) -> bytes:
    return b"".join(_int(tag, value) for value in values)


def _packed(values: Sequence[int]) -> bytes:
    return b"".join(_varint(value) for value in values)


def _varint(value: int) -> bytes:
    """A whole number in groups of seven bits, the lowest first; negative ones as 64 bits."""
    left = value & 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)
