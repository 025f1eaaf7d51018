"""Graph, Layer, Tensor: a neural network as plain data, whatever file it came from.

Every reader in `formats/` produces a `Graph`; everything in `analysis/` consumes one. A reader
translates its format's operators into the `Kind`s below, so that shapes and costs are defined once
for all formats. `docs/kinds.md` lists for each kind its inputs, in order, and its attributes.

Weights are lazy: a tensor knows how many bytes it has and how to get at them, and nothing is read
until `Weights.load` or `Tensor.array` is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

#: Bits of one element, by the dtype names used throughout. Strings have no fixed size.
DTYPE_BITS: Mapping[str, int] = {
    "int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1": 4,
    "float6_e2m3": 6, "float6_e3m2": 6,
    "bool": 8, "int8": 8, "uint8": 8,
    "float8_e4m3fn": 8, "float8_e4m3fnuz": 8, "float8_e5m2": 8, "float8_e5m2fnuz": 8,
    "float8_e8m0": 8,
    "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16,
    "int32": 32, "uint32": 32, "float32": 32,
    "int64": 64, "uint64": 64, "float64": 64, "complex64": 64,
    "complex128": 128,
}  # fmt: skip


class Kind(StrEnum):
    """What a layer does, in words common to all formats (see `docs/kinds.md`)."""

    # multiply-accumulate
    CONV = "conv"
    CONV_TRANSPOSE = "conv_transpose"
    DENSE = "dense"
    MATMUL = "matmul"
    EINSUM = "einsum"
    RECURRENT = "recurrent"
    SVDF = "svdf"
    ATTENTION = "attention"
    # arithmetic without multiply-accumulate
    UNARY = "unary"
    BINARY = "binary"
    WHERE = "where"
    NORMALISE = "normalise"
    SOFTMAX = "softmax"
    POOL = "pool"
    GLOBAL_POOL = "global_pool"
    REDUCE = "reduce"
    ARG_REDUCE = "arg_reduce"
    CUMULATIVE = "cumulative"
    QUANTIZE = "quantize"
    DEQUANTIZE = "dequantize"
    RESIZE = "resize"
    GRID_SAMPLE = "grid_sample"
    ROI_POOL = "roi_pool"
    FOURIER = "fourier"
    # data movement
    IDENTITY = "identity"
    CAST = "cast"
    RESHAPE = "reshape"
    FLATTEN = "flatten"
    SQUEEZE = "squeeze"
    EXPAND_DIMS = "expand_dims"
    TRANSPOSE = "transpose"
    CONCAT = "concat"
    SPLIT = "split"
    STACK = "stack"
    UNSTACK = "unstack"
    SLICE = "slice"
    STRIDED_SLICE = "strided_slice"
    GATHER = "gather"
    GATHER_ELEMENTS = "gather_elements"
    GATHER_ND = "gather_nd"
    SCATTER = "scatter"
    SCATTER_ND = "scatter_nd"
    PAD = "pad"
    TILE = "tile"
    BROADCAST_TO = "broadcast_to"
    SPACE_TO_DEPTH = "space_to_depth"
    DEPTH_TO_SPACE = "depth_to_space"
    SPACE_TO_BATCH = "space_to_batch"
    BATCH_TO_SPACE = "batch_to_space"
    SHAPE = "shape"
    SIZE = "size"
    RANK = "rank"
    BROADCAST_SHAPE = "broadcast_shape"
    CONSTANT = "constant"
    FILL = "fill"
    RANGE = "range"
    ONE_HOT = "one_hot"
    TOP_K = "top_k"
    DATA_DEPENDENT = "data_dependent"
    VARIABLE = "variable"
    # control flow
    IF = "if"
    LOOP = "loop"
    CALL = "call"
    # weights whose use does not stand in the file
    WEIGHTS = "weights"
    # known to hold no multiply-accumulate, outputs as stated by the file
    POSTPROCESS = "postprocess"
    # anything else: it may multiply-accumulate, so the cost is unknown
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FreeDim:
    """A dimension that the file leaves open.

    `default` is what the file itself stores for it (TFLite keeps one), or None.
    """

    name: str
    default: int | None = None

    def __str__(self) -> str:
        return self.name


Shape = tuple[int | FreeDim, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """The bytes of a stored tensor, unread until asked.

    `load` gives them as the file holds them: little-endian, row-major, sub-byte types packed two
    or four to a byte, low bits first. It raises `InputError` where the bytes are missing (an
    external data file that did not come along). `decode` turns them into the tensor's values where
    no dtype says how (blocks with their own scales, palettes); it raises ValueError where it
    cannot.
    """

    nbytes: int
    load: Callable[[], memoryview]
    decode: Callable[[memoryview], np.ndarray[Any, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """How integers stand for reals: real = scale · (q − zero_point).

    `scales` is how many scales there are (1: per tensor; more: per channel along `axis`, or per
    block of `block_size` elements). `palette`: the integers are places in a table of values
    instead, of which there are `scales`.
    """

    scales: int
    axis: int | None = None
    block_size: int | None = None
    scale: float | None = None
    zero_point: int | None = None
    palette: bool = False


@dataclass(slots=True)
class Tensor:
    """A value in the graph. `weights` is set for constants stored in the file.

    `shape` is what the file states; None where it states nothing. It may be stale: `analysis`
    propagates shapes from the inputs and does not believe it.
    """

    name: str
    dtype: str
    shape: Shape | None
    weights: Weights | None = None
    quantization: Quantization | None = None

    def array(self) -> np.ndarray[Any, Any]:
        """The stored values, as a numpy array of the tensor's shape.

        Sub-byte integers come unpacked to int8 or uint8, bfloat16 as float32, 8-bit floats as
        their raw bytes (uint8).

        Raises:
            ValueError: the tensor holds no weights, or its bytes do not fit its shape.
            InputError: its bytes are not there.
        """
        return _decode(self)


@dataclass(slots=True)
class Layer:
    """One operator of the file.

    `op` is the file's own name for it; `kind` and `attributes` say the same in common words.
    `inputs` and `outputs` are indices into `Graph.tensors`, None for an optional one left out;
    `inputs` stand in the order that `docs/kinds.md` gives for the kind (values the file has on
    top of those follow). `bodies` are the branches or the body of control flow.
    """

    name: str
    op: str
    kind: Kind
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    bodies: tuple[Graph, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """A named entry point: which inputs and outputs, under which names."""

    name: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    subgraph: int = 0


@dataclass(slots=True)
class Graph:
    """A network, or a body inside one.

    `layers` are in the file's execution order. `captures` maps a tensor of a body to the tensor
    of the enclosing graph that it stands for (ONNX bodies see outer values by name; TFLite bodies
    capture nothing). `level` is "graph", or "operators" where only operators or weights could be
    read (weights that no layer uses are those of layers `weights`). `reason` says why nothing can
    be told of what the network costs, where it could only be read in part.
    `resizable`: its runtimes let a caller change sizes that the file fixes.
    `extent` is how many bytes of the file are the model's, where more may follow.
    `companions` are the files beside the model that belong to it, `missing` those that should be
    there. `labels` are the class names that came along. `notes` tell a user what a reader had to
    assume.
    """

    name: str
    tensors: list[Tensor]
    layers: list[Layer]
    inputs: list[int]
    outputs: list[int]
    captures: dict[int, int] = field(default_factory=dict)
    format: str = ""
    level: str = "graph"
    reason: str | None = None
    producer: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    labels: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    companions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    resizable: bool = False
    extent: int | None = None


_PACKED = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1": 4}
_AS_BYTES = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0")


def _decode(tensor: Tensor) -> np.ndarray[Any, Any]:
    """See `Tensor.array`."""
    if tensor.weights is None:
        raise ValueError(f"tensor {tensor.name!r} holds no weights")
    if tensor.shape is None or not all(isinstance(d, int) for d in tensor.shape):
        raise ValueError(f"tensor {tensor.name!r} holds weights but no fixed shape")
    shape = tuple(int(d) for d in tensor.shape if isinstance(d, int))
    count = math.prod(shape)
    if tensor.weights.decode is not None:
        flat = tensor.weights.decode(tensor.weights.load())
    else:
        flat = _flat(tensor.weights.load(), tensor.dtype, count)
    if flat.size != count:
        raise ValueError(
            f"tensor {tensor.name!r}: {tensor.weights.nbytes} bytes do not fill shape {shape}"
        )
    return flat.reshape(shape)


def _flat(raw: memoryview, dtype: str, count: int) -> np.ndarray[Any, Any]:
    import numpy as np

    if dtype in _PACKED:
        return _unpack(np.frombuffer(raw, np.uint8), _PACKED[dtype], dtype.startswith("int"), count)
    if dtype == "bfloat16":
        wide = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32)
    if dtype in _AS_BYTES:
        return np.frombuffer(raw, np.uint8)
    try:
        return np.frombuffer(raw, np.dtype(dtype).newbyteorder("<"))
    except TypeError as error:
        raise ValueError(f"no array form for dtype {dtype!r}") from error


def _unpack(
    packed: np.ndarray[Any, Any], bits: int, signed: bool, count: int
) -> np.ndarray[Any, Any]:
    import numpy as np

    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    if not signed:
        return values
    half = 1 << (bits - 1)
    return ((values.astype(np.int8) ^ half) - half).astype(np.int8)
