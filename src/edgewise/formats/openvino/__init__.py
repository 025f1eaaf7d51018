"""OpenVINO's intermediate representation: what `formats.registry` asks of a format.

An XML file with the network (`reader.py`, `ops.py`) and a `.bin` beside it with the weights.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "openvino"
EXTENSIONS = (".xml",)
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".xml", ".bin"),)
LIMITS = {"layers and tensors": 600_000}
SOURCES = ("https://docs.openvino.ai/2025/documentation/openvino-ir-format.html",)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. The root element is `net`, and it names its version."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"<"):
        return 0.0
    at = start.find(b"<net ")
    if at < 0:
        return 0.0
    before = start[:at].split(b"?>")[-1].strip()
    sure = (not before or before.startswith(b"<!--")) and b"version=" in start[at:]
    return 0.9 if sure else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.openvino import reader

    return reader.read(file)
