"""Safetensors: names, types and places of tensors in a JSON header, then their bytes.

u64 length of the header, the header, the data (https://huggingface.co/docs/safetensors). Weights
only: there is no network in the file.
"""

from __future__ import annotations

import json
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.building import byte_size, stored
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.listing import weights_graph
from edgewise.graph import Graph, Tensor

NAME = "safetensors"
EXTENSIONS = (".safetensors",)
LEVEL: Level = "operators"
SIBLINGS: tuple[Sibling, ...] = ()
SOURCES = ("https://huggingface.co/docs/safetensors",)
#: The largest header that the format's own reader takes.
HEADER_LIMIT = 100_000_000
TENSOR_LIMIT = 200_000
LIMITS = {"bytes of the header": HEADER_LIMIT, "tensors": TENSOR_LIMIT}

_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16",
    "BF16": "bfloat16", "U32": "uint32", "I32": "int32", "F32": "float32", "F64": "float64",
    "I64": "int64", "U64": "uint64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0", "F4": "float4_e2m1", "F6_E2M3": "float6_e2m3",
    "F6_E3M2": "float6_e3m2", "C64": "complex64",
}  # fmt: skip


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. The header's length comes first, then a JSON object."""
    named = name.lower().endswith(EXTENSIONS)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 10 or not 2 <= length <= HEADER_LIMIT or head[8:9] != b"{":
        return 0.4 if named else 0.0
    start = head[9:].lstrip()
    if start[:1] not in (b'"', b"}"):
        return 0.4 if named else 0.0
    sure = named or b'"dtype"' in start or b'"__metadata__"' in start
    return 0.9 if sure else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: the header is none, names a tensor twice, or does not fit the data.
        LimitExceeded: a header or a number of tensors beyond any known file's.
    """
    data = file.data()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length < 2 or 8 + length > len(data):
        raise RejectedModel(f"a header of {length:,} bytes in a file of {len(data):,}")
    if length > HEADER_LIMIT:
        raise LimitExceeded(f"a header larger than {HEADER_LIMIT:,} bytes")
    header = _header(bytes(data[8 : 8 + length]))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise RejectedModel("metadata that is no object")
    if len(header) > TENSOR_LIMIT:
        raise LimitExceeded(f"more than {TENSOR_LIMIT:,} tensors")
    payload = data[8 + length :]
    places = sorted((_place(name, entry) for name, entry in header.items()), key=lambda p: p[:2])
    graph = weights_graph([_tensor(payload, *place) for place in places], NAME)
    graph.metadata = {str(key): str(value) for key, value in metadata.items()}
    graph.notes += _uncovered(places, len(payload))
    return graph


def _header(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise RejectedModel(f"the key {twice!r} stands twice in the header")
        return found

    try:
        header = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise RejectedModel("the header is no JSON object")
    return header


def _place(name: str, entry: Any) -> tuple[int, int, str, str, tuple[int, ...]]:
    """(begin, end, name, dtype, shape) of one tensor, checked against one another."""
    if not isinstance(entry, dict):
        raise RejectedModel(f"tensor {name!r} is no object")
    dtype = entry.get("dtype")
    shape, offsets = _whole(entry.get("shape")), _whole(entry.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        raise RejectedModel(f"tensor {name!r}: shape and data_offsets are not whole numbers")
    begin, end = offsets
    ours = _DTYPES.get(dtype) if isinstance(dtype, str) else None
    size = byte_size(ours, shape) if ours is not None else end - begin
    if size != end - begin:
        raise RejectedModel(
            f"tensor {name!r}: shape {shape} of {dtype} does not fit {end - begin:,} bytes"
        )
    return begin, end, name, ours or str(dtype).lower(), tuple(shape)


def _whole(values: Any) -> list[int] | None:
    """A list of sizes, None where it is none."""
    if isinstance(values, list) and all(type(value) is int and value >= 0 for value in values):
        return values
    return None


def _tensor(
    payload: memoryview, begin: int, end: int, name: str, dtype: str, shape: tuple[int, ...]
) -> Tensor:
    return Tensor(name, dtype, shape, stored(payload, begin, end - begin))


def _uncovered(places: list[tuple[int, int, str, str, tuple[int, ...]]], size: int) -> list[str]:
    """Tensors lie one behind the other: what overlaps is refused, what is left over is told."""
    at = left = 0
    for begin, end, name, *_ in places:
        if begin < at:
            raise RejectedModel(f"tensor {name!r} overlaps the one before it")
        left += begin - at
        at = end
    left += size - at
    return [f"{left:,} bytes belong to no tensor"] if left else []
