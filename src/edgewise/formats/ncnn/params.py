"""The list of layers, text and binary.

Text: the number, the counts of layers and blobs, then a line per layer: type, name, how many inputs
and outputs, their names, and parameters `id=value` (`-233NN=count,value,…` for an array of id NN).
Binary: the same as 32-bit little-endian numbers; layers are numbered by type, blobs by index, and a
layer's parameters end with id −233.
(https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct, error

from edgewise.errors import LimitExceeded, RejectedModel

#: Layers and blobs that one file may list, and elements of one array parameter.
MAX_COUNT = 200_000
MAX_ARRAY = 100_000
MAX_TEXT = 64 << 20
_ARRAY = -23300
_END = -233
#: Set beside the type number of a layer that an application registers itself.
_CUSTOM = 1 << 8

#: Types in the order of ncnn's own list, which is what the binary form counts by.
TYPES = (
    "AbsVal", "ArgMax", "BatchNorm", "Bias", "BNLL", "Concat", "Convolution", "Crop",
    "Deconvolution", "Dropout", "Eltwise", "ELU", "Embed", "Exp", "Flatten", "InnerProduct",
    "Input", "Log", "LRN", "MemoryData", "MVN", "Pooling", "Power", "PReLU", "Proposal",
    "Reduction", "ReLU", "Reshape", "ROIPooling", "Scale", "Sigmoid", "Slice", "Softmax", "Split",
    "SPP", "TanH", "Threshold", "Tile", "RNN", "LSTM", "BinaryOp", "UnaryOp",
    "ConvolutionDepthWise", "Padding", "Squeeze", "ExpandDims", "Normalize", "Permute", "PriorBox",
    "DetectionOutput", "Interp", "DeconvolutionDepthWise", "ShuffleChannel", "InstanceNorm",
    "Clip", "Reorg", "YoloDetectionOutput", "Quantize", "Dequantize", "Yolov3DetectionOutput",
    "PSROIPooling", "ROIAlign", "Packing", "Requantize", "Cast", "HardSigmoid", "SELU",
    "HardSwish", "Noop", "PixelShuffle", "DeepCopy", "Mish", "StatisticsPooling", "Swish", "Gemm",
    "GroupNorm", "LayerNorm", "Softplus", "GRU", "MultiHeadAttention", "GELU", "Convolution1D",
    "Pooling1D", "ConvolutionDepthWise1D", "Convolution3D", "ConvolutionDepthWise3D", "Pooling3D",
    "MatMul", "Deconvolution1D", "DeconvolutionDepthWise1D", "Deconvolution3D",
    "DeconvolutionDepthWise3D", "Einsum", "DeformableConv2D", "GLU", "Fold", "Unfold",
    "GridSample", "CumulativeSum", "CopyTo", "Erf", "Diag", "CELU", "Shrink", "RMSNorm",
    "Spectrogram", "InverseSpectrogram", "Flip", "SDPA", "RotaryEmbed",
)  # fmt: skip

Value = float | int | str | tuple[float, ...]


@dataclass(slots=True)
class Entry:
    """One layer as the file lists it. `parameters` by their number."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[int, Value] = field(default_factory=dict)

    def integer(self, number: int, default: int = 0) -> int:
        """A whole number."""
        value = self.parameters.get(number, default)
        if isinstance(value, (str, tuple)):
            raise RejectedModel(f"{self.type} {self.name}: parameter {number} is {value!r}")
        return int(value)

    def real(self, number: int, default: float) -> float:
        """A number."""
        value = self.parameters.get(number, default)
        return float(value) if isinstance(value, (int, float)) else default

    def array(self, number: int) -> tuple[int, ...] | None:
        """Whole numbers; None where the array is not given."""
        value = self.parameters.get(number)
        if value is None or isinstance(value, str):
            return None
        return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)


def parse(data: memoryview) -> list[Entry]:
    """The layers of either form.

    Raises:
        RejectedModel: says where it breaks.
        LimitExceeded: it lists more than any real network has.
    """
    if bytes(data[:4]) == (7767517).to_bytes(4, "little"):
        return _Binary(data).parse()
    return _parse_text(data)


def _parse_text(data: memoryview) -> list[Entry]:
    if len(data) > MAX_TEXT:
        raise LimitExceeded(f"a text of {len(data):,} bytes, more than {MAX_TEXT:,}")
    try:
        lines = str(data, "utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise RejectedModel(f"no text at byte {problem.start:,}") from problem
    if len(lines) < 2 or lines[0].strip() != "7767517":
        raise RejectedModel("the first line is not 7767517")
    layers, _ = _counts(lines[1].split())
    body = [line for line in lines[2:] if line.strip()]
    if len(body) != layers:
        raise RejectedModel(f"{layers} layers announced, {len(body)} listed")
    return [_entry(line.split(), at) for at, line in enumerate(body, start=3)]


def _counts(words: list[str]) -> tuple[int, int]:
    if len(words) != 2 or not all(word.isdigit() and len(word) < 10 for word in words):
        raise RejectedModel("the second line is not two counts")
    layers, blobs = int(words[0]), int(words[1])
    if max(layers, blobs) > MAX_COUNT:
        raise LimitExceeded(f"{layers:,} layers and {blobs:,} blobs: more than {MAX_COUNT:,}")
    if not layers:
        raise RejectedModel("no layers")
    return layers, blobs


def _entry(words: list[str], line: int) -> Entry:
    if len(words) < 4 or not (words[2].isdigit() and words[3].isdigit()):
        raise RejectedModel(f"line {line} is no layer")
    reads, writes = int(words[2]), int(words[3])
    names = words[4 : 4 + reads + writes]
    if len(names) != reads + writes:
        raise RejectedModel(f"line {line}: {reads + writes} blobs announced, {len(names)} named")
    entry = Entry(words[0], words[1], names[:reads], names[reads:])
    for word in words[4 + reads + writes :]:
        number, mark, text = word.partition("=")
        if not mark or not number.lstrip("-").isdigit():
            raise RejectedModel(f"line {line}: {word[:40]!r} is no parameter")
        key = int(number)
        entry.parameters[_ARRAY - key if key <= _ARRAY else key] = (
            _array(text, line) if key <= _ARRAY else _scalar(text, line)
        )
    return entry


def _array(text: str, line: int) -> tuple[float, ...]:
    count, *values = text.split(",")
    if not count.isdigit() or int(count) != len(values) or len(values) > MAX_ARRAY:
        raise RejectedModel(f"line {line}: an array of {count[:20]!r} with {len(values)} values")
    return tuple(number if not isinstance(number := _scalar(v, line), str) else 0 for v in values)


def _scalar(text: str, line: int) -> float | int | str:
    if text.startswith('"') or (text and not (text[0].isdigit() or text[0] in "+-.")):
        return text.strip('"')
    try:
        return float(text) if any(mark in text for mark in ".eEn") else int(text)
    except ValueError as problem:
        raise RejectedModel(f"line {line}: {text[:40]!r} is no number") from problem


class _Binary:
    """The binary form while it is read."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 4

    def _int(self) -> int:
        return int(self._unpack(_INT))

    def _unpack(self, form: Struct) -> float:
        try:
            (value,) = form.unpack_from(self._data, self._at)
        except error as problem:
            raise RejectedModel(f"ends at byte {self._at:,}, inside a layer") from problem
        self._at += form.size
        return float(value) if form is _FLOAT else int(value)

    def parse(self) -> list[Entry]:
        layers, blobs = self._int(), self._int()
        if min(layers, blobs) < 1:
            raise RejectedModel(f"{layers} layers and {blobs} blobs")
        if max(layers, blobs) > MAX_COUNT:
            raise LimitExceeded(f"{layers:,} layers and {blobs:,} blobs: more than {MAX_COUNT:,}")
        entries = [self._layer(at, blobs) for at in range(layers)]
        if self._at != len(self._data):
            raise RejectedModel(f"{len(self._data) - self._at:,} bytes after the last layer")
        return entries

    def _layer(self, at: int, blobs: int) -> Entry:
        number, reads, writes = self._int(), self._int(), self._int()
        if not (0 <= reads <= blobs and 0 <= writes <= blobs):
            raise RejectedModel(f"layer {at}: {reads} inputs and {writes} outputs of {blobs} blobs")
        if number & _CUSTOM and number >= _CUSTOM:
            type_name = f"custom_{number & ~_CUSTOM}"
        elif 0 <= number < len(TYPES):
            type_name = TYPES[number]
        else:
            raise RejectedModel(f"layer {at}: type {number} of {len(TYPES)}")
        names = [self._blob(at, blobs) for _ in range(reads + writes)]
        entry = Entry(type_name, f"layer{at}", names[:reads], names[reads:])
        while (key := self._int()) != _END:
            entry.parameters[_ARRAY - key if key <= _ARRAY else key] = (
                self._values(at) if key <= _ARRAY else self._number()
            )
        return entry

    def _blob(self, at: int, blobs: int) -> str:
        index = self._int()
        if not 0 <= index < blobs:
            raise RejectedModel(f"layer {at}: blob {index} of {blobs}")
        return str(index)

    def _values(self, at: int) -> tuple[float, ...]:
        count = self._int()
        if not 0 <= count <= MAX_ARRAY:
            raise RejectedModel(f"layer {at}: an array of {count:,} values")
        return tuple(self._number() for _ in range(count))

    def _number(self) -> float | int:
        """Whole or real, which the file does not tell: real numbers other than 0 are large bits."""
        whole = self._int()
        if -0x800000 < whole < 0x800000:
            return whole
        (real,) = _FLOAT.unpack(_INT.pack(whole))
        return float(real) if 1e-20 < abs(real) < 1e20 else whole


_INT, _FLOAT = Struct("<i"), Struct("<f")
