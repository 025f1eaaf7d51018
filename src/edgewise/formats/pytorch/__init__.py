"""PyTorch's files: what `formats.registry` asks of a format.

Weights alone (`.pth`, `.pt`: state dicts and checkpoints, zip or older stream), TorchScript
(`.pt`), PyTorch Mobile (`.ptl`, zip or flatbuffer) and exported programs (`.pt2`). No pickle is
ever executed (`unpickle.py`). `container.py` opens a file, `weights.py` lists weights,
`script.py` and `interpret.py` follow TorchScript's code, `bytecode.py` a mobile flatbuffer,
`exported.py` a `.pt2`; what the operators mean stands in `formats.aten`.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "pytorch"
EXTENSIONS = (".pt", ".pth", ".ptl", ".pt2", ".pkl")
LEVEL: Level = "graph"
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"bytes of a pickle": 128 << 20, "steps of code": 2_000_000, "tensors": 200_000}
SOURCES = (
    "https://pytorch.org/docs/stable/notes/serialization.html",
    "https://docs.python.org/3/library/pickletools.html",
    "https://github.com/pytorch/pytorch/blob/main/torch/csrc/jit/serialization/mobile_bytecode.fbs",
    "https://github.com/pytorch/pytorch/blob/main/torch/_export/serde/schema.yaml",
)
#: A zip's first entry: a folder called like the file, and then one of these.
_FIRST_ENTRIES = (
    b"/data.pkl", b"/constants.pkl", b"/.format_version", b"/.storage_alignment", b"/byteorder",
    b"/data/0", b"/archive_format", b"/archive_version", b"/bytecode.pkl",
    b"/data/weights/weight_0", b"/models/model.json",
)  # fmt: skip
#: The number 0x1950a86a20f9469cfc6c, pickled with protocol 2: what older files begin with.
OLD_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
FLATBUFFER = b"PTMF"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`."""
    if head.startswith(OLD_MAGIC) or head[4:8] == FLATBUFFER:
        return 0.9
    named = name.lower().endswith(EXTENSIONS)
    if head.startswith(b"PK\x03\x04") and len(head) > 30:
        entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        sure = entry.endswith(_FIRST_ENTRIES) or b"/code/__torch__" in entry
        return 0.9 if sure else 0.4 if named else 0.0
    if not named:
        return 0.0
    return 0.0 if name.lower().endswith(".pkl") else 0.4


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.pytorch import reader

    return reader.read(file)
