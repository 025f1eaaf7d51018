"""The model in a blob of ExecuTorch's Core ML delegate.

The blob is a small file system: contents one behind the other, then a directory as JSON, written
backwards from the blob's end (public code: backends/apple/coreml, inmemory filesystem).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgewise.formats.coreml import reader
from edgewise.formats.executorch.blob import NamedData
from edgewise.graph import Graph

_REFERENCE = b"CMJR"
_DIRECTORY_LIMIT = 1 << 20
_DEPTH = 16


def read(blob: memoryview, named: NamedData) -> Graph:
    """The graph of the model in a blob. Raises ValueError where there is none."""
    if bytes(blob[:4]) == _REFERENCE:  # to what the program stores under a name
        key = json.loads(bytes(blob[4:]))["key"]
        blob = named[str(key)].load()
    files = {path: blob[start : start + size] for path, start, size in _files(blob)}
    for path, content in files.items():
        if path.endswith("model.mlmodel"):
            return reader.read(_Held(path, content, files))
    raise ValueError("no model in the blob")


def _files(blob: memoryview) -> Iterator[tuple[str, int, int]]:
    text = bytes(blob[-_DIRECTORY_LIMIT:])[::-1].decode("latin-1")
    directory, _ = json.JSONDecoder().raw_decode(text)
    nodes = directory["nodes"]

    def walk(index: int, path: str, depth: int) -> Iterator[tuple[str, int, int]]:
        node: Mapping[str, Any] = nodes[index]
        region = node["dataRegion"]
        start, size = int(region["offset"]), int(region["size"])
        if not node.get("children") and size:
            if start < 0 or start + size > len(blob):
                raise ValueError("a file beyond the end of the blob")
            yield path, start, size
        if depth < _DEPTH:
            for name, child in node.get("children", {}).items():
                yield from walk(int(child), f"{path}/{name}" if path else str(name), depth + 1)

    roots = [at for at, node in enumerate(nodes) if at == len(nodes) - 1 or not node.get("name")]
    inside = {int(child) for node in nodes for child in node.get("children", {}).values()}
    for root in [at for at in range(len(nodes)) if at not in inside] or roots:
        yield from walk(root, "", 0)


class _Held:
    """A file of the blob, with those beside it."""

    def __init__(self, path: str, content: memoryview, files: Mapping[str, memoryview]) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self.size = len(content)
        self._content = content
        self._files = files

    def head(self, count: int) -> bytes:
        """See `archive.File.head`."""
        return bytes(self._content[:count])

    def data(self) -> memoryview:
        """See `archive.File.data`."""
        return self._content

    def sha256(self) -> str:
        """See `archive.File.sha256`."""
        return hashlib.sha256(self._content).hexdigest()

    def sibling(self, name: str) -> _Held | None:
        """See `archive.File.sibling`."""
        folder = self.path.rpartition("/")[0]
        path = f"{folder}/{name}" if folder else name
        return _Held(path, self._files[path], self._files) if path in self._files else None

    def siblings(self, folder: str = "") -> Iterator[str]:
        """See `archive.File.siblings`."""
        own = self.path.rpartition("/")[0]
        start = f"{own}/{folder}".strip("/")
        found = (path.rpartition("/") for path in self._files if path != self.path)
        return iter([name for where, _, name in found if where == start])
