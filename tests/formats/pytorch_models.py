"""Files of PyTorch, made without it: pickles written opcode by opcode, zips, code."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Name:
    """A name in a module, pickled as nothing but that."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Made:
    """An object of a class, with its state."""

    def __init__(self, what: Name, state: Any) -> None:
        self.what, self.state = what, state


class Array:
    """A tensor over the storage `key`."""

    def __init__(self, key: str, shape: tuple[int, ...], storage: str = "FloatStorage") -> None:
        self.key, self.shape, self.storage = key, shape, storage

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def strides(self) -> tuple[int, ...]:
        strides, step = [], 1
        for size in reversed(self.shape):
            strides.append(step)
            step *= size
        return tuple(reversed(strides))


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2 as PyTorch writes them."""
    return b"\x80\x02" + _code(value) + b"."


def _code(value: Any) -> bytes:
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Array):
        where = ("storage", Name("torch", value.storage), value.key, "cpu", value.elements)
        parts = (
            _code(where) + b"Q" + b"".join(map(_code, (0, value.shape, value.strides, False, {})))
        )
        return _code(Name("torch._utils", "_rebuild_tensor_v2")) + b"(" + parts + b"tR"
    if isinstance(value, Made):
        return _code(value.what) + b")\x81" + _code(value.state) + b"b"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_code, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_code, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_code(part) for pair in value.items() for part in pair) + b"u"
    return pickle.dumps(value, 2)[2:-1]


def archive(path: Path, entries: Mapping[str, bytes], stem: str = "net") -> str:
    """A zip as PyTorch writes it; the path of it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        for name, content in entries.items():
            made.writestr(f"{stem}/{name}", content)
    path.write_bytes(buffer.getvalue())
    return str(path)


def floats(*values: float) -> bytes:
    """32-bit floats, as a storage has them."""
    return struct.pack(f"<{len(values)}f", *values)
