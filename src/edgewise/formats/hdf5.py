"""As much of HDF5 as files of weights need: groups, attributes with text, and contiguous datasets.

Both kinds of object headers, groups as a tree of symbols or as link messages. What is compressed,
chunked or kept in a fractal heap has a name and no place. (HDF5 File Format Specification 3.0)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import error, unpack_from

from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = (1 << 64) - 1
MAX_OBJECTS = 200_000
MAX_DEPTH = 48
_FLOATS = {2: "float16", 4: "float32", 8: "float64"}
_SPACE, _LINK_INFO, _TYPE, _LINK, _LAYOUT, _FILTERS, _ATTRIBUTE, _MORE, _SYMBOLS = (
    1, 2, 3, 6, 8, 11, 12, 16, 17,
)  # fmt: skip


@dataclass(slots=True)
class Dataset:
    """A dataset; `start` is None where its bytes do not lie in one piece."""

    dtype: str
    shape: tuple[int, ...]
    start: int | None
    nbytes: int


@dataclass(slots=True)
class Contents:
    """Datasets by their path, and texts in attributes by the path of their object."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


def read(data: memoryview) -> Contents:
    """What a file holds.

    Raises:
        RejectedModel: it is broken.
        OpaqueModel: of a version that is not known.
        LimitExceeded: it holds more objects than any real model.
    """
    try:
        return _File(data).read()
    except (error, IndexError, OverflowError) as problem:
        raise RejectedModel(f"HDF5: cut off: {problem}") from problem


class _File:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._seen: set[int] = set()
        self._base = 0
        self._found = Contents()

    def read(self) -> Contents:
        if bytes(self._data[:8]) != SIGNATURE:
            raise RejectedModel("no HDF5 signature")
        version = self._data[8]
        if version > 3:
            raise OpaqueModel(f"HDF5 superblock of version {version}")
        if version < 2:
            sizes, at = self._data[13:15], 24 + 4 * version
            (self._base,) = unpack_from("<Q", self._data, at)
            (root,) = unpack_from("<Q", self._data, at + 40)
        else:
            sizes = self._data[9:11]
            (self._base,) = unpack_from("<Q", self._data, 12)
            (root,) = unpack_from("<Q", self._data, 36)
        if bytes(sizes) != b"\x08\x08":
            raise OpaqueModel("HDF5 with offsets that are not of 8 bytes")
        self._object("", root, 0)
        return self._found

    def _object(self, path: str, address: int, depth: int) -> None:
        """A group or dataset, and all that is below it."""
        if address in self._seen or address == _UNDEFINED:
            return
        self._seen.add(address)
        if len(self._seen) > MAX_OBJECTS or depth > MAX_DEPTH:
            raise LimitExceeded(f"HDF5 of more than {MAX_OBJECTS:,} objects, or {MAX_DEPTH} deep")
        messages = self._messages(self._base + address)
        kinds: dict[int, tuple[int, int]] = {}
        for kind, start, size in messages:
            if kind == _ATTRIBUTE:
                self._attribute(path, start, size)
            elif kind == _LINK:
                self._link(path, start, depth)
            elif kind == _SYMBOLS:
                tree, heap = unpack_from("<QQ", self._data, start)
                self._symbols(path, tree, heap, depth)
            else:
                kinds.setdefault(kind, (start, size))
        if _LAYOUT in kinds and _SPACE in kinds and _TYPE in kinds:
            self._dataset(path, kinds)

    def _messages(self, at: int) -> list[tuple[int, int, int]]:
        """Type, start and size of the messages of an object's header."""
        if bytes(self._data[at : at + 4]) == b"OHDR":
            return self._new_messages(at)
        version, _, _, _, size = unpack_from("<BBHII", self._data, at)
        if version != 1:
            raise RejectedModel(f"HDF5: no object header at byte {at:,}")
        blocks = [(at + 16, size)]
        found: list[tuple[int, int, int]] = []
        while blocks and len(found) < MAX_OBJECTS:
            start, length = blocks.pop(0)
            place, end = start, start + length
            while place + 8 <= end:
                kind, size = unpack_from("<HH", self._data, place)
                place += 8
                if kind == _MORE:
                    offset, more = unpack_from("<QQ", self._data, place)
                    if self._fresh(offset):
                        blocks.append((self._base + offset, more))
                elif kind:
                    found.append((kind, place, size))
                place += size
        return found

    def _new_messages(self, at: int) -> list[tuple[int, int, int]]:
        flags = self._data[at + 5]
        place = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self._data[place : place + width], "little")
        blocks = [(place + width, size)]
        found: list[tuple[int, int, int]] = []
        head = 6 if flags & 4 else 4
        while blocks and len(found) < MAX_OBJECTS:
            start, length = blocks.pop(0)
            place, end = start, start + length
            while place + head <= end:
                kind, size = unpack_from("<BH", self._data, place)
                place += head
                if kind == _MORE:
                    offset, more = unpack_from("<QQ", self._data, place)
                    if self._fresh(offset):
                        blocks.append((self._base + offset + 4, more - 8))
                elif kind:
                    found.append((kind, place, size))
                place += size
        return found

    def _fresh(self, address: int) -> bool:
        """Whether a block was not read before."""
        key = -1 - address
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _link(self, path: str, at: int, depth: int) -> None:
        """A link message: a name and, of a hard link, where its object is."""
        flags = self._data[at + 1]
        place = at + 2
        kind = 0
        if flags & 8:
            kind, place = self._data[place], place + 1
        place += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(self._data[place : place + width], "little")
        place += width
        name = str(self._data[place : place + length], "utf-8", "replace")
        if kind == 0:
            (address,) = unpack_from("<Q", self._data, place + length)
            self._object(f"{path}/{name}" if path else name, address, depth + 1)

    def _symbols(self, path: str, tree: int, heap: int, depth: int) -> None:
        """A group as a tree of symbol tables, names in a heap."""
        at = self._base + heap
        if bytes(self._data[at : at + 4]) != b"HEAP":
            raise RejectedModel(f"HDF5: no heap at byte {at:,}")
        (names,) = unpack_from("<Q", self._data, at + 24)
        nodes = [tree]
        while nodes:
            place = self._base + nodes.pop(0)
            if not self._fresh(place):
                continue
            mark = bytes(self._data[place : place + 4])
            if mark == b"TREE":
                (count,) = unpack_from("<H", self._data, place + 6)
                nodes += [
                    unpack_from("<Q", self._data, place + 32 + 16 * one)[0] for one in range(count)
                ]
            elif mark == b"SNOD":
                (count,) = unpack_from("<H", self._data, place + 6)
                for one in range(count):
                    name, address = unpack_from("<QQ", self._data, place + 8 + 40 * one)
                    label = self._name(self._base + names + name)
                    self._object(f"{path}/{label}" if path else label, address, depth + 1)
            else:
                raise RejectedModel(f"HDF5: no node at byte {place:,}")

    def _name(self, at: int) -> str:
        raw = bytes(self._data[at : at + 1024])
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def _shape(self, at: int) -> tuple[int, ...]:
        version, rank = self._data[at], self._data[at + 1]
        if version not in (1, 2) or rank > 32:
            raise RejectedModel(f"HDF5: no dataspace at byte {at:,}")
        return unpack_from(f"<{rank}Q", self._data, at + (8 if version == 1 else 4))

    def _dtype(self, at: int) -> tuple[str, int]:
        """Name and bytes of a type; "text" and "variable text" for strings."""
        kind, flags, size = self._data[at] & 15, self._data[at + 1], 0
        (size,) = unpack_from("<I", self._data, at + 4)
        if kind == 1:
            return _FLOATS.get(size, "unknown"), size
        if kind == 0:
            return f"{'int' if flags & 8 else 'uint'}{8 * size}", size
        return {3: "text", 9: "variable text", 8: "bool"}.get(kind, "unknown"), size

    def _dataset(self, path: str, kinds: dict[int, tuple[int, int]]) -> None:
        shape, (dtype, size) = self._shape(kinds[_SPACE][0]), self._dtype(kinds[_TYPE][0])
        nbytes = size
        for one in shape:
            nbytes *= one
        at = kinds[_LAYOUT][0]
        version = self._data[at]
        start: int | None = None
        if version in (3, 4) and self._data[at + 1] == 1 and _FILTERS not in kinds:
            address, length = unpack_from("<QQ", self._data, at + 2)
            start = self._base + address if address != _UNDEFINED and length >= nbytes else None
        elif version in (3, 4) and self._data[at + 1] == 0:
            start = at + 4
        elif version in (1, 2) and self._data[at + 2] == 1:
            start = self._base + unpack_from("<Q", self._data, at + 8)[0]
        if start is not None and start + nbytes > len(self._data):
            raise RejectedModel(f"HDF5: dataset {path!r} is cut off")
        self._found.datasets[path] = Dataset(dtype, shape, start, nbytes)

    def _attribute(self, path: str, at: int, size: int) -> None:
        """Keep an attribute that is one text."""
        version, _, names, types, spaces = unpack_from("<BBHHH", self._data, at)
        place = at + (9 if version == 3 else 8)
        step = 8 if version == 1 else 1  # what each part is padded to
        name = str(self._data[place : place + names], "utf-8", "replace").rstrip("\0")
        kind_at = place + -(-names // step) * step
        space_at = kind_at + -(-types // step) * step
        value_at = space_at + -(-spaces // step) * step
        dtype, length = self._dtype(kind_at)
        if dtype == "text":
            raw = bytes(self._data[value_at : min(value_at + length, at + size)])
        elif dtype == "variable text" and self._data[space_at + 1] == 0:
            raw = self._variable(value_at)
        else:
            return
        text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        self._found.attributes.setdefault(path, {})[name] = text

    def _variable(self, at: int) -> bytes:
        """A text in a global heap."""
        length, address, wanted = unpack_from("<IQI", self._data, at)
        start = self._base + address
        if bytes(self._data[start : start + 4]) != b"GCOL":
            return b""
        (size,) = unpack_from("<Q", self._data, start + 8)
        place, end = start + 16, min(start + size, len(self._data))
        while place + 16 <= end:
            index, _, _, stored = unpack_from("<HHIQ", self._data, place)
            if index == wanted:
                return bytes(self._data[place + 16 : place + 16 + min(length, stored)])
            if not index:
                break
            place += 16 + -(-stored // 8) * 8
        return b""
