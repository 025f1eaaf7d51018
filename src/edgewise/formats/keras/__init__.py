"""Keras: `.keras` (a zip of configuration and weights) and `.h5`, of Keras 1 to 3.

The weights are HDF5, of which `formats/hdf5.py` reads what is needed; `ops.py` translates layers.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level
from edgewise.graph import Graph

NAME = "keras"
EXTENSIONS = (".keras", ".h5", ".hdf5")
LEVEL: Level = "graph"
SIBLINGS = ()
LIMITS = {"layers": 20_000, "objects of the HDF5 file": 200_000}
SOURCES = (
    "https://keras.io/api/models/model_saving_apis",
    "https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html",
)
_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: a zip that starts with Keras' own files, or HDF5 by its name."""
    lower = name.lower()
    if head.startswith(b"PK\x03\x04"):
        first = head[30:60]
        if first.startswith((b"metadata.json", b"config.json")) and b"keras_version" in head:
            return 0.9
        return 0.45 if lower.endswith(".keras") else 0.0
    if head.startswith(_HDF5):
        return 0.6 if lower.endswith(EXTENSIONS) else 0.0
    return 0.3 if lower.endswith((".keras", ".h5")) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.keras import reader

    return reader.read(file)
