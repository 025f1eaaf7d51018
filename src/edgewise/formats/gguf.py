"""GGUF, the files of llama.cpp: metadata, tensors by name, blocks of quantised weights.

Versions 1 (32-bit counts), 2 and 3, either byte order
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The network itself is not in the file:
an architecture's name stands for it, so multiply-accumulates are not known; what the linear layers
take per token is told in the metadata.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.building import stored
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.ggml_types import TYPES, tensor_of
from edgewise.formats.listing import weights_graph
from edgewise.graph import Graph, Tensor

NAME = "gguf"
EXTENSIONS = (".gguf",)
LEVEL: Level = "operators"
SIBLINGS: tuple[Sibling, ...] = ()
SOURCES = ("https://github.com/ggml-org/ggml/blob/master/docs/gguf.md",)
MAGIC = b"GGUF"

TENSOR_LIMIT = 100_000
KEY_LIMIT = 100_000
#: Elements of all arrays of the metadata: vocabularies have up to half a million.
ELEMENT_LIMIT = 4_000_000
TEXT_LIMIT = 65_536
DIMENSIONS = 4
LIMITS = {"tensors": TENSOR_LIMIT, "keys": KEY_LIMIT, "elements of arrays": ELEMENT_LIMIT}
_LATEST = 3
#: A version beyond this is text that only begins with the same letters.
_CREDIBLE = 255

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
#: Keys of the metadata that say what kind of network it is, behind the architecture's name.
_SHOWN = (
    "context_length", "embedding_length", "block_count", "feed_forward_length",
    "attention.head_count", "attention.head_count_kv", "expert_count", "expert_used_count",
    "vocab_size",
)  # fmt: skip


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`."""
    if head.startswith(MAGIC):
        return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: a count, length or tensor does not fit the file.
        OpaqueModel: a version that is not known, or a type of tensor that is not.
        LimitExceeded: more metadata or tensors than any known model has.
    """
    data = file.data()
    if bytes(data[:4]) != MAGIC:
        raise RejectedModel("does not begin with GGUF")
    return _File(data).graph()


class _File:
    """One file while it is read; `at` is the place behind what was read last."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 4
        self.order = "<"
        version = self.scalar("I")
        if version > 0xFFFF:  # written on a machine of the other byte order
            self.order, self.at = ">", 4
            version = self.scalar("I")
        if not 1 <= version <= _CREDIBLE:
            raise RejectedModel(f"begins as GGUF does, but its version would be {version}")
        if version > _LATEST:
            raise OpaqueModel(f"GGUF version {version}: 1 to {_LATEST} are read")
        self.version = version
        self.length = "I" if version == 1 else "Q"
        self.elements = 0

    def graph(self) -> Graph:
        tensors, keys = self.scalar(self.length), self.scalar(self.length)
        room = len(self.data) - self.at
        if tensors * 16 > room or keys * 9 > room:
            raise RejectedModel(f"{tensors:,} tensors and {keys:,} keys do not fit the file")
        if tensors > TENSOR_LIMIT or keys > KEY_LIMIT:
            raise LimitExceeded(f"more than {TENSOR_LIMIT:,} tensors or {KEY_LIMIT:,} keys")
        metadata = dict(self._pair() for _ in range(keys))
        infos = [self._info() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment % 8:
            raise RejectedModel(f"alignment {alignment}: it must be a multiple of 8")
        start = self.at + -self.at % alignment
        return self._described(metadata, [self._tensor(start, *info) for info in infos])

    def scalar(self, form: str) -> Any:
        """The next number."""
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise RejectedModel(f"cut off at byte {self.at:,}")
        (value,) = struct.unpack_from(self.order + form, self.data, self.at)
        self.at += size
        return value

    def text(self) -> str:
        """The next string."""
        length = self.scalar(self.length)
        if self.at + length > len(self.data):
            raise RejectedModel(f"a string of {length:,} bytes at byte {self.at:,} does not fit")
        raw = bytes(self.data[self.at : self.at + min(length, TEXT_LIMIT)])
        self.at += length
        return raw.decode("utf-8", "replace")

    def _pair(self) -> tuple[str, Any]:
        return self.text(), self._value(self.scalar("I"), 0)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth > 4:
            raise RejectedModel(f"metadata of type {kind} at byte {self.at:,}")
        inner, count = self.scalar("I"), self.scalar(self.length)
        width = struct.calcsize(_SCALARS[inner]) if inner in _SCALARS else 4
        if count * width > len(self.data) - self.at:
            raise RejectedModel(f"an array of {count:,} elements is longer than the file")
        self.elements += count
        if self.elements > ELEMENT_LIMIT:
            raise LimitExceeded(f"more than {ELEMENT_LIMIT:,} elements in the metadata")
        if inner in _SCALARS:
            form = f"{self.order}{count}{_SCALARS[inner]}"
            values = struct.unpack_from(form, self.data, self.at)
            self.at += struct.calcsize(form)
            return values
        return [self._value(inner, depth + 1) for _ in range(count)]

    def _info(self) -> tuple[str, tuple[int, ...], int, int]:
        name, rank = self.text(), self.scalar("I")
        if not 0 <= rank <= DIMENSIONS:
            raise RejectedModel(f"tensor {name!r} of {rank} dimensions: {DIMENSIONS} at most")
        dims = tuple(self.scalar(self.length) for _ in range(rank))
        return name, dims, self.scalar("I"), self.scalar("Q")

    def _tensor(
        self, start: int, name: str, dims: tuple[int, ...], kind: int, offset: int
    ) -> Tensor:
        known = TYPES.get(kind)
        if known is None:
            raise OpaqueModel(f"tensor {name!r} of the unknown type {kind}")
        elements = math.prod(dims)
        if dims and dims[0] % known.block:
            raise RejectedModel(f"tensor {name!r}: rows of {dims[0]} in blocks of {known.block}")
        size = elements // known.block * known.size
        if size > len(self.data) or start + offset + size > len(self.data):
            raise RejectedModel(f"tensor {name!r} of {size:,} bytes is larger than the file")
        weights = stored(self.data, start + offset, size)
        return tensor_of(name, known, dims[::-1], weights, swapped=self.order == ">")

    def _described(self, metadata: dict[str, Any], tensors: list[Tensor]) -> Graph:
        graph = weights_graph(tensors, NAME)
        graph.name = str(metadata.get("general.name", ""))
        architecture = str(metadata.get("general.architecture", ""))
        shown = {"gguf_version": self.version, "architecture": architecture}
        shown |= {key: metadata.get(f"{architecture}.{key}") for key in _SHOWN}
        shown["tokenizer"] = metadata.get("tokenizer.ggml.model")
        tokens = metadata.get("tokenizer.ggml.tokens")
        if shown["vocab_size"] is None and isinstance(tokens, list):
            shown["vocab_size"] = len(tokens)
        types = Counter(tensor.dtype for tensor in tensors)
        shown["tensor_types"] = ", ".join(f"{n} {name}" for name, n in types.most_common())
        shown["macs_per_token_linear"] = _per_token(metadata, architecture, tensors)
        graph.metadata = {key: str(v) for key, v in shown.items() if v not in (None, "")}
        parts = metadata.get("split.count")
        if isinstance(parts, int) and parts > 1:
            number = metadata.get("split.no", 0)
            graph.notes.append(f"part {number + 1} of {parts}: the rest is in files beside it")
        return graph


def _per_token(metadata: dict[str, Any], architecture: str, tensors: list[Tensor]) -> int | None:
    """Multiply-accumulates of the linear layers for one token, without attention's two products.

    A table of tokens is looked up, unless it is the output layer, too. Of experts those count that
    are used.
    """
    if (
        not isinstance(metadata.get(f"{architecture}.block_count"), int)
        or "split.count" in metadata
    ):
        return None
    experts, used = (
        metadata.get(f"{architecture}.{k}") for k in ("expert_count", "expert_used_count")
    )
    share = (
        (used, experts)
        if isinstance(used, int) and isinstance(experts, int) and experts
        else (1, 1)
    )
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    total = 0
    for tensor in tensors:
        sizes = [size for size in tensor.shape or () if isinstance(size, int)]
        if len(sizes) < 2 or not tensor.name.endswith(".weight"):
            continue
        if tensor.name.startswith("token_embd") and not tied:
            continue
        if tensor.name.startswith(("position_embd", "token_types", "rope_")):
            continue
        macs = math.prod(sizes)
        total += macs * share[0] // share[1] if "_exps" in tensor.name else macs
    return total
