"""Formats that are only identified: compiled for one chip, of trainers, or encrypted.

Such a file is opaque: what it is stands in its first bytes, what it computes does not. Each is a
row of `FORMATS`, with the test of its head; reading one always says why it stays closed.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgewise.archive import File
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

#: Bytes of a file that its entropy is taken from, and bits per byte above which it says nothing.
SAMPLE, SEALED = 1 << 16, 7.9
#: The same of a head: so few bytes cannot show more than about 7.6.
_SEALED_HEAD = 7.3
_SMALLEST = 4096


@dataclass(frozen=True, slots=True)
class Identified:
    """A format that is only identified; the names are those that `contract.Format` asks for."""

    NAME: str
    EXTENSIONS: tuple[str, ...]
    SOURCES: tuple[str, ...]
    #: Whether a head is this format's.
    test: Callable[[bytes], bool]
    #: Why nothing more is told.
    reason: str
    #: Whether the bytes only count together with the name.
    by_name: bool = False
    #: Whether no other kind of file is called so: one that is not this format is then rejected.
    own_name: bool = False
    LEVEL: Level = "identified"
    SIBLINGS: tuple[Sibling, ...] = ()
    LIMITS: Mapping[str, int] = field(default_factory=dict)

    def recognise(self, head: bytes, name: str) -> float:
        """See `contract.Format.recognise`."""
        named = name.lower().endswith(self.EXTENSIONS)
        if not self.test(head) or (self.by_name and not named):
            return 0.4 if self.own_name and named else 0.0
        return 0.45 if self.by_name else 0.8

    def read(self, file: File) -> Graph:
        """See `contract.Format.read`. Raises `OpaqueModel`, or `RejectedModel` if it is none."""
        if not self.test(file.head(512)):
            raise RejectedModel(f"not a file of the format {self.NAME}")
        if self.NAME == "encrypted":
            _check_sealed(file)
        raise OpaqueModel(self.reason)


def entropy(data: bytes | memoryview) -> float:
    """Shannon's entropy of the bytes, in bits per byte."""
    counts = Counter(bytes(data)).values()
    total = sum(counts)
    return -sum(n / total * math.log2(n / total) for n in counts) if total else 0.0


def _check_sealed(file: File) -> None:
    data = file.data()
    middle = max(0, len(data) // 2 - SAMPLE // 2)
    found = entropy(data[middle : middle + SAMPLE])
    if len(data) < _SMALLEST or found < SEALED:
        raise RejectedModel("named like a model, but its bytes are those of no format")


def _sealed(head: bytes) -> bool:
    # Of so many different bytes the entropy is their number's logarithm at most.
    varied = len(head) >= 512 and math.log2(len(set(head))) > _SEALED_HEAD
    return varied and entropy(head) > _SEALED_HEAD


def _dlc(head: bytes) -> bool:
    """A version behind a mark, a flatbuffer of its own, or a zip that says so."""
    if head[:2] == b"\xd5\x0a":
        return head[3:4] == b"\0" and head[5:7] == b"\0\0" and 1 <= head[2] <= 9
    if head[4:8] in (b"NETD", b"NETP", b"NR64"):
        return True
    entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return head.startswith(b"PK\x03\x04") and entry in (b"dlc.metadata", b"model.params")


def _engine(head: bytes) -> bool:
    return head[:4] in (b"ptrt", b"ftrt") and len(head) > 24 and head[6:8] == b"\0\0"


def _davinci(head: bytes) -> bool:
    if head[:4] == b"IMOD" and len(head) >= 12:
        return 64 <= int.from_bytes(head[4:8], "little") <= 4096
    return head[:4] == b"PICO" and len(head) >= 12 and head[6:8] == b"\0\0"


def _tengine(head: bytes) -> bool:
    if len(head) < 12:
        return False
    major, minor, _, _, root = struct.unpack_from("<HHHHI", head)
    return bool(major in (1, 2) and minor == 0 and 12 <= root < 1 << 31)


def _darknet(head: bytes) -> bool:
    lines = [line.strip() for line in head.splitlines() if line.strip() and line[:1] not in b"#;"]
    first = lines[0] if lines else b""
    return first in (b"[net]", b"[network]") and any(b"=" in line for line in lines[1:])


def _mxnet(head: bytes) -> bool:
    if head[:8] == (0x112).to_bytes(8, "little"):
        return True
    start = b"".join(head.split())
    return start.startswith(b'{"nodes":[{"op":"null"')


def _kaldi(head: bytes) -> bool:
    return head.startswith((b"\0B<TransitionModel>", b"\0B<Nnet", b"<Nnet3>", b"<TransitionModel>"))


def _mace(head: bytes) -> bool:
    """A first operator with inputs (1), outputs (2), a name (3) and a type (4), all short texts."""
    if head[:1] != b"\n" or len(head) < 16:
        return False
    at = 1
    while at < 6 and head[at] & 0x80:
        at += 1
    at, seen = at + 1, []
    while at + 2 < len(head) and head[at] in b"\n\x12\x1a\x22" and 0 < head[at + 1] < 0x80:
        seen.append(head[at] >> 3)
        at += 2 + head[at + 1]
    order = [number for place, number in enumerate(seen) if seen[place - 1 : place] != [number]]
    return order[:4] == [1, 2, 3, 4]


def _zip_entry(*names: bytes) -> Callable[[bytes], bool]:
    def test(head: bytes) -> bool:
        entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return head.startswith(b"PK\x03\x04") and entry in names

    return test


#: Names that only models have: with bytes that look like noise, the model is sealed.
_MODEL_NAMES = (
    ".tflite", ".lite", ".tfl", ".onnx", ".ort", ".mnn", ".ms", ".param", ".caffemodel",
    ".tnnmodel", ".tnnproto", ".mlmodel", ".pte", ".ptl", ".pth", ".gguf", ".nb", ".pdmodel",
    ".rknn", ".dlc", ".safetensors", ".keras", ".om", ".tmfile",
)  # fmt: skip
_COMPILED = "compiled for {}: the network cannot be told from it"

FORMATS: tuple[Identified, ...] = (
    Identified("snpe", (".dlc",), ("https://docs.qualcomm.com/doc/80-63442-2",), _dlc,
               "a deep learning container of Qualcomm's SDKs: its layers are not read",
               own_name=True),
    Identified("tensorrt", (".engine", ".plan", ".trt"),
               ("https://docs.nvidia.com/deeplearning/tensorrt",), _engine,
               _COMPILED.format("one GPU by TensorRT")),
    Identified("huawei-om", (".om",), ("https://developer.huawei.com/consumer/en/hiai",), _davinci,
               _COMPILED.format("Huawei's NPU")),
    Identified("tengine", (".tmfile",), ("https://github.com/OAID/Tengine",), _tengine,
               "Tengine: its layers are not read", by_name=True, own_name=True),
    Identified("mace", (".pb", ".mace"), ("https://github.com/XiaoMi/mace",), _mace,
               "MACE: its layers are not read"),
    Identified("darknet", (".cfg",), ("https://pjreddie.com/darknet",), _darknet,
               "Darknet: its layers are not read"),
    Identified("mxnet", (".json", ".params"), ("https://mxnet.apache.org",), _mxnet,
               "MXNet: its layers are not read"),
    Identified("kaldi", (".mdl", ".raw"), ("https://kaldi-asr.org",), _kaldi,
               "Kaldi: its layers are not read"),
    Identified("dl4j", (".zip",), ("https://deeplearning4j.konduit.ai",),
               _zip_entry(b"coefficients.bin", b"updaterState.bin"),
               "Deeplearning4j: its layers are not read"),
    Identified("encrypted", _MODEL_NAMES, ("https://en.wikipedia.org/wiki/Entropy_(information_theory)",),
               _sealed, "encrypted or compressed: named like a model, its bytes look like noise",
               by_name=True),
)  # fmt: skip
