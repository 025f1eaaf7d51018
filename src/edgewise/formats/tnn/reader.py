"""TNN's text, line by line, and the weights of its layers.

Each line of the text stands in quotes and ends with a comma: counts and the format's number; inputs
with their sizes; names of all values; outputs; the count of layers; then a line per layer: type,
name, how many inputs and outputs, their names, numbers.
The weights: the number, the count of layers, then per layer its type (number and text) and name,
and what a layer of that type stores: texts, numbers and buffers. A buffer is the number, a type, a
length in bytes, in newer files a shape, and the elements.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from struct import error, unpack_from

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import tnn
from edgewise.formats.netlist import Netlist
from edgewise.formats.siblings import expected, find
from edgewise.formats.tnn.network import Buffer, Line, Network, Weights
from edgewise.formats.tnn.ops import add
from edgewise.graph import Graph

MAX_LAYERS = 100_000
_TYPES = {0: "float32", 1: "float16", 2: "int8", 3: "int32", 4: "bfloat16", 5: "int64", 6: "uint32"}
#: Layers that store a name, whether there is a bias, a kernel, the bias, and scales.
_KERNELS = ("Convolution", "Deconvolution")


def read(file: File) -> Graph:
    """See `contract.Format`. Of the weights only where each starts is read.

    Raises:
        RejectedModel: it is no network of TNN's; says where it breaks.
        OpaqueModel: it is the weights alone.
        LimitExceeded: it lists more layers than any real network.
    """
    data = file.data()
    if int.from_bytes(data[:4], "little") in tnn.MAGICS:
        raise OpaqueModel("the weights of a network whose layers are in another file")
    lines = _lines(data)
    netlist = Netlist(PurePosixPath(file.name).stem, tnn.NAME)
    weights = _weights(file, netlist.graph)
    _inputs(netlist, lines[1])
    layers = [_layer(line, at) for at, line in enumerate(lines[5:], start=6)]
    if len(layers) != int(lines[4][0]):
        raise RejectedModel(f"{lines[4][0]} layers announced, {len(layers)} listed")
    for layer in layers:
        for name in layer.inputs:
            if not netlist.known(name):
                raise RejectedModel(f"{layer.type} {layer.name}: nothing makes {name!r}")
        add(Network(netlist, file, weights), layer)
    outputs = [name for name in lines[3] if netlist.known(name)]
    return netlist.finish(outputs or None)


def _lines(data: memoryview) -> list[list[str]]:
    if len(data) > 64 << 20:
        raise LimitExceeded(f"a text of {len(data):,} bytes")
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as problem:
        raise RejectedModel(f"no text at byte {problem.start:,}") from problem
    lines = [line.strip().strip('"').rstrip(",").split() for line in text.splitlines()]
    lines = [line for line in lines if line]
    first = lines[0] if lines else []
    if len(first) != 4 or not all(word.isdigit() for word in first):
        raise RejectedModel("the first line is not four numbers")
    if int(first[3][:12]) not in tnn.MAGICS:
        raise RejectedModel(f"the format's number is {first[3][:20]}")
    if len(lines) < 6 or not lines[4][0].isdigit() or len(lines[4][0]) > 9:
        raise RejectedModel("a text without layers")
    if len(lines) - 5 > MAX_LAYERS:
        raise LimitExceeded(f"more than {MAX_LAYERS:,} layers")
    return lines


def _inputs(netlist: Netlist, words: list[str]) -> None:
    """Inputs, between colons: a name and sizes; in newer files the count of sizes comes first and
    a type last."""
    part: list[str] = []
    for word in [*words, ":"]:
        if word != ":":
            part.append(word)
            continue
        if part:
            numbers = [int(one) for one in part[1:] if one.lstrip("-").isdigit() and len(one) < 12]
            if len(numbers) != len(part) - 1:
                raise RejectedModel(f"input {part[0]!r}: {' '.join(part[1:])!r:.60}")
            counted = len(numbers) >= 2 and numbers[0] == len(numbers) - 2
            dtype = _TYPES.get(numbers[-1], "float32") if counted else "float32"
            netlist.input(part[0], dtype, tuple(numbers[1:-1] if counted else numbers))
        part = []


def _layer(words: list[str], line: int) -> Line:
    if len(words) < 4 or not (words[2].isdigit() and words[3].isdigit()):
        raise RejectedModel(f"line {line} is no layer")
    reads, writes = int(words[2][:9]), int(words[3][:9])
    names = words[4 : 4 + reads + writes]
    if len(names) != reads + writes:
        raise RejectedModel(f"line {line}: {reads + writes} values announced, {len(names)} named")
    return Line(words[0], words[1], names[:reads], names[reads:], words[4 + reads + writes :])


def _weights(file: File, graph: Graph) -> Weights:
    other = find(file, tnn.SIBLINGS)
    if other is None:
        graph.companions = graph.missing = (expected(file, tnn.SIBLINGS),)
        return Weights(None)
    graph.companions = (other.name,)
    weights = Weights(other.data())
    try:
        _walk(weights)
    except (error, RejectedModel, OverflowError):
        graph.notes.append(f"{other.name!r}: not all of its weights could be found")
    return weights


def _walk(weights: Weights) -> None:
    """Where the buffers of each layer are; ends at a type that stores something not known."""
    data = weights.data
    if data is None or int.from_bytes(data[:4], "little") not in tnn.MAGICS:
        raise RejectedModel("no weights of TNN's")
    newer = int.from_bytes(data[:4], "little") == tnn.MAGICS[1]
    (count,) = unpack_from("<i", data, 4)
    at = 8
    for _ in range(count):
        kind, at = _text(data, at + 4)
        name, at = _text(data, at)
        kind = kind.removeprefix("Quantized")
        expected_buffers = 1
        if kind.startswith(_KERNELS):
            _, at = _text(data, at)
            (bias,) = unpack_from("<i", data, at)
            at += 4
            expected_buffers = 1 + bool(bias)
        elif kind in ("InnerProduct", "PReLU"):
            _, at = _text(data, at)
            expected_buffers = 2 if kind == "InnerProduct" else 1
        elif kind in ("BatchNormCxx", "Scale", "InstBatchNormCxx", "InstanceNorm"):
            expected_buffers = 2
        found: list[Buffer] = []
        while at + 12 <= len(data) and int.from_bytes(data[at : at + 4], "little") in tnn.MAGICS:
            buffer, at = _buffer(data, at, newer)
            found.append(buffer)
        if len(found) < expected_buffers:
            raise RejectedModel(f"{kind} {name}: {len(found)} buffers")
        weights.buffers[name] = found


def _text(data: memoryview, at: int) -> tuple[str, int]:
    (length,) = unpack_from("<i", data, at)
    if not 0 <= length <= 4096 or at + 4 + length > len(data):
        raise RejectedModel(f"a text of {length} bytes at byte {at:,}")
    return str(data[at + 4 : at + 4 + length], "utf-8", "replace"), at + 4 + length


def _buffer(data: memoryview, at: int, newer: bool) -> tuple[Buffer, int]:
    number, kind, length = unpack_from("<Iii", data, at)
    at += 12
    if number == tnn.MAGICS[1] and newer and length > 0:
        (rank,) = unpack_from("<i", data, at)
        if not 0 <= rank <= 16:
            raise RejectedModel(f"a buffer of {rank} dimensions")
        at += 4 + 4 * rank
    if length < 0 or at + length > len(data):
        raise RejectedModel(f"a buffer of {length:,} bytes at byte {at:,}")
    return Buffer(_TYPES.get(kind, "unknown"), at, length), at + length
