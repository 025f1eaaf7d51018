"""Variables of a SavedModel: an index of names (a table of sorted keys) and files with the values.

The table ends with a footer of 48 bytes: two handles (offset and size as varints) and a magic
number. A block is entries of keys that share a beginning with the one before, then an array of
restart points; a byte behind the block tells whether it is compressed.
(https://github.com/google/leveldb/blob/main/doc/table_format.md, tensor_bundle.proto)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgewise.archive import File
from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.messages import Decoder
from edgewise.formats.protobuf import Wire
from edgewise.formats.tensorflow.nodes import sizes, type_of
from edgewise.formats.tensorflow.schema import SCHEMA
from edgewise.graph import Weights

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_MOST_ENTRIES = 1_000_000
_OBJECTS = b"_CHECKPOINTABLE_OBJECT_GRAPH"


class Entry(NamedTuple):
    """Where the value of a variable lies."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


class Bundle:
    """The variables beside a SavedModel, by their names in the graph."""

    def __init__(self, file: File, folder: str = "variables/variables") -> None:
        self._file = file
        self._folder = folder
        self.names: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ()
        self._entries: dict[str, Entry] = {}
        self._keys: dict[str, str] = {}
        self._shards = 1

    def open(self) -> None:
        """Read the index.

        Raises:
            RejectedModel: it is broken.
        """
        name = f"{self._folder}.index"
        index = self._file.sibling(name)
        if index is None:
            self.missing = (name,)
            self.names = (name,)
            return
        data = index.data()
        wire = Wire(data)
        decoder = Decoder(wire, SCHEMA)
        for key, start, end in _table(data):
            if not key:
                continue
            message = decoder.decode("BundleEntry", (start, end))
            self._entries[key.decode("utf-8", "replace")] = Entry(
                type_of(message.last("dtype", 0)),
                tuple(sizes(message.message("shape")) or ()),
                message.integer("shard_id"),
                message.integer("offset"),
                message.integer("size"),
            )
        shards = {entry.shard for entry in self._entries.values()}
        self._shards = max(shards, default=0) + 1
        files = [self._shard(number) for number in sorted(shards)]
        self.names = (name, *files)
        self.missing = tuple(one for one in files if self._file.sibling(one) is None)
        self._read_objects()

    def _shard(self, number: int) -> str:
        return f"{self._folder}.data-{number:05d}-of-{self._shards:05d}"

    def _read_objects(self) -> None:
        """Names of variables by the graph of objects, which a checkpoint of TensorFlow 2 holds."""
        entry = self._entries.get(_OBJECTS.decode())
        other = None if entry is None else self._file.sibling(self._shard(entry.shard))
        if entry is None or other is None:
            return
        data = other.data()
        span = (entry.offset, entry.offset + entry.size)
        if not 0 <= span[0] <= span[1] <= len(data):
            return
        # A string tensor: its length as a varint, a checksum of four bytes, then its content.
        wire = Wire(data)
        length, start = wire.varint(*span)
        start += 4
        if start + length > span[1]:
            return
        objects = Decoder(wire, SCHEMA).decode("Objects", (start, start + length))
        for node in objects.messages("nodes"):
            for attribute in node.messages("attributes"):
                name = attribute.text("full_name")
                if name:
                    self._keys.setdefault(name, attribute.text("key"))

    def find(self, name: str) -> tuple[Entry, Weights] | None:
        """The value of the variable of that name."""
        entry = self._entries.get(name) or self._entries.get(self._keys.get(name, ""))
        if entry is None:
            return None
        shard = self._shard(entry.shard)
        return entry, siblings.stored(self._file.sibling(shard), shard, entry.offset, entry.size)


def _table(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Keys of a table with the places of their values."""
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise RejectedModel("variables.index: no table of names")
    wire = Wire(data)
    at = len(data) - _FOOTER
    for _ in range(2):  # the handle of the metadata, which is not needed
        _, at = wire.varint(at, len(data))
    offset, at = wire.varint(at, len(data))
    size, _ = wire.varint(at, len(data))
    count = 0
    for _, start, end in _block(wire, offset, size):
        block, after = wire.varint(start, end)
        length, _ = wire.varint(after, end)
        for entry in _block(wire, block, length):
            count += 1
            if count > _MOST_ENTRIES:
                raise LimitExceeded(f"more than {_MOST_ENTRIES:,} variables")
            yield entry


def _block(wire: Wire, offset: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    data = wire.data
    end = offset + size
    if size < 4 or end + 1 > len(data):
        raise RejectedModel(f"variables.index: a block at {offset:,} beyond the end")
    if data[end] != 0:
        raise RejectedModel("variables.index: a compressed block")
    restarts = int.from_bytes(data[end - 4 : end], "little")
    limit = end - 4 - 4 * restarts
    key, at = b"", offset
    while at < limit:
        shared, at = wire.varint(at, limit)
        own, at = wire.varint(at, limit)
        length, at = wire.varint(at, limit)
        if shared > len(key) or at + own + length > limit:
            raise RejectedModel(f"variables.index: an entry at {at:,} beyond its block")
        key = key[:shared] + bytes(data[at : at + own])
        at += own
        yield key, at, at + length
        at += length
