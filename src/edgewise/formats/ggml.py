"""The files of whisper.cpp from before GGUF (magic `ggml`): sizes, mel filters, words, tensors.

All numbers are 32-bit little-endian; a tensor is (dimensions, length of its name, type, sizes,
name, data), one behind the other until the file ends (public code: whisper.cpp's
convert-pt-to-ggml.py).
"""

from __future__ import annotations

import math
import struct

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.building import stored
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.ggml_types import TYPES, tensor_of
from edgewise.formats.listing import weights_graph
from edgewise.graph import Graph, Tensor

NAME = "ggml"
EXTENSIONS: tuple[str, ...] = ()
LEVEL: Level = "operators"
SIBLINGS: tuple[Sibling, ...] = ()
SOURCES = ("https://github.com/ggml-org/whisper.cpp/blob/master/models/convert-pt-to-ggml.py",)
#: As bytes stand in the file. The second and third are those of llama.cpp before GGUF.
MAGIC, VERSIONED = b"lmgg", (b"fmgg", b"tjgg")
_SIZES = (
    "vocab", "audio_context", "audio_state", "audio_heads", "audio_layers", "text_context",
    "text_state", "text_heads", "text_layers", "mels", "type",
)  # fmt: skip
#: Sizes of the largest whisper, with room.
_LARGEST = 1_000_000
TENSOR_LIMIT = 20_000
LIMITS = {"tensors": TENSOR_LIMIT}


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. The magic alone is four letters: sizes must be sizes."""
    if head[:4] in VERSIONED and len(head) > 40 and 1 <= int.from_bytes(head[4:8], "little") <= 9:
        return 0.8
    if not head.startswith(MAGIC) or len(head) < 48:
        return 0.0
    sizes = struct.unpack_from("<11i", head, 4)
    return 0.8 if all(0 < size < _LARGEST for size in sizes[:10]) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: a length or tensor does not fit the file.
        OpaqueModel: the magic is ggml's, the content is not whisper's.
    """
    data = file.data()
    if bytes(data[:4]) in VERSIONED:
        raise OpaqueModel("ggml of llama.cpp before GGUF: its tensors are not read")
    return _File(data).graph()


class _File:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 4

    def graph(self) -> Graph:
        sizes = dict(zip(_SIZES, self.numbers(11), strict=True))
        mels, bins = self.numbers(2)
        if mels != sizes["mels"] or not 0 < bins < _LARGEST:
            raise OpaqueModel("ggml, but not the layout of whisper.cpp")
        self.skip(4 * mels * bins)
        (words,) = self.numbers(1)
        if not 0 <= words < _LARGEST:
            raise OpaqueModel("ggml, but not the layout of whisper.cpp")
        for _ in range(words):
            self.skip(self.numbers(1)[0])
        tensors = []
        while self.at < len(self.data):
            tensors.append(self._tensor())
            if len(tensors) > TENSOR_LIMIT:
                raise LimitExceeded(f"more than {TENSOR_LIMIT:,} tensors")
        graph = weights_graph(tensors, NAME)
        graph.metadata = {"architecture": "whisper", **{k: str(v) for k, v in sizes.items()}}
        return graph

    def numbers(self, count: int) -> tuple[int, ...]:
        """The next 32-bit integers."""
        start = self.at
        self.skip(4 * count)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def skip(self, count: int) -> None:
        """Step over bytes, which must be there."""
        if count < 0 or self.at + count > len(self.data):
            raise RejectedModel(f"cut off: {count:,} bytes are wanted at byte {self.at:,}")
        self.at += count

    def _tensor(self) -> Tensor:
        rank, length, number = self.numbers(3)
        known = TYPES.get(number)
        if known is None or not 0 <= rank <= 4 or not 0 < length < 1024:
            raise RejectedModel(f"no tensor at byte {self.at:,}")
        dims = self.numbers(rank)
        if any(size < 0 for size in dims) or (dims and dims[0] % known.block):
            raise RejectedModel(f"a tensor of the sizes {dims} at byte {self.at:,}")
        start = self.at
        self.skip(length)
        name = bytes(self.data[start : self.at]).decode("utf-8", "replace")
        size = math.prod(dims) // known.block * known.size
        begin = self.at
        self.skip(size)
        return tensor_of(name, known, dims[::-1], stored(self.data, begin, size))
