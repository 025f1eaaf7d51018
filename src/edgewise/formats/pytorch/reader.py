"""Which of PyTorch's forms a file has, and who reads it."""

from __future__ import annotations

from edgewise.archive import File
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats.pytorch import FLATBUFFER, OLD_MAGIC, weights
from edgewise.formats.pytorch.container import Container
from edgewise.formats.pytorch.unpickle import unpickle
from edgewise.graph import Graph


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: it is none of PyTorch's forms, contradicts itself, or would run something
            harmful when loaded.
        OpaqueModel: a form or version that is not read.
        LimitExceeded: it is larger than any known model.
    """
    head = file.head(64)
    if head[4:8] == FLATBUFFER:
        from edgewise.formats.pytorch import bytecode

        return bytecode.read(file)
    if head.startswith(OLD_MAGIC):
        return weights.from_stream(file.data())
    if head.startswith(b"PK\x03\x04"):
        return _from_zip(Container(file))
    if head.startswith(b"\x80"):
        return _bare(file)
    raise RejectedModel("neither a zip, a pickle nor a flatbuffer of PyTorch")


def _from_zip(container: Container) -> Graph:
    if container.has("models/model.json") or container.has("archive_format"):
        from edgewise.formats.pytorch import exported

        return exported.read(container)
    if any(f"/{name}".startswith(f"/{container.stem}code/") for name in container.names):
        from edgewise.formats.pytorch import script

        return script.read(container)
    if container.has("constants.pkl") and container.has("bytecode.pkl"):
        raise OpaqueModel("PyTorch Mobile whose code was left out: its bytecode alone is not read")
    return weights.from_container(container)


def _bare(file: File) -> Graph:
    """A pickle and nothing else: PyTorch never writes one with weights in it."""
    found = unpickle(file.data())
    if any(name.module.startswith("torch") for name in found.names):
        raise OpaqueModel("a pickle that refers to weights which are not in the file")
    raise RejectedModel("a pickle, but none of PyTorch's")
