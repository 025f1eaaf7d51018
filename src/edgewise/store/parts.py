"""The files of a store: one Parquet file for each table and append, and the mark of a store.

A part is called by the schema's version and the content address of what it holds, so that the
same append writes the same part and a newer one is known without being opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgewise import __version__
from edgewise.errors import NewerStore, StoreError
from edgewise.records import SCHEMA_VERSION
from edgewise.store.places import Place
from edgewise.store.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

MARKER = "edgewise-store.json"
_PART = re.compile(r"v(\d+)-[0-9a-f]{32}\.parquet")


def part_name(table: Table, append_ids: Iterable[str]) -> str:
    """What the part with the rows of some appends is called, within the store."""
    address = hashlib.sha256(" ".join(sorted(set(append_ids))).encode()).hexdigest()[:32]
    return f"{table.name}/v{SCHEMA_VERSION}-{address}.parquet"


def part_names(where: Place, table: Table) -> list[str]:
    """A table's parts. Whatever else lies in its folder is none of the store's.

    Raises:
        NewerStore: a part of a newer schema is among them.
    """
    names = []
    for file in sorted(where.names(table.name)):
        if part := _PART.fullmatch(file):
            _check(where.url, int(part[1]))
            names.append(f"{table.name}/{file}")
    return names


def parquet(table: Table, content: pa.Table) -> memoryview:
    """A part's bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    stated = {"edgewise.schema_version": str(SCHEMA_VERSION), "edgewise.table": table.name}
    sink = pa.BufferOutputStream()
    parquet.write_table(content.replace_schema_metadata(stated), sink, compression="zstd")
    return memoryview(sink.getvalue())


def read_parts(where: Place, table: Table, names: list[str]) -> Any:
    """The rows of some parts, lazily, in this version's columns: those that an older part lacks
    are null. A pyarrow data set, or a table where there are no parts."""
    schema = table.schema
    if not names:
        return schema.empty_table()
    from pyarrow import dataset

    paths = [where.location(name) for name in names]
    return dataset.dataset(paths, schema, format="parquet", filesystem=where.filesystem)


def write_marker(where: Place) -> None:
    """Mark a place as a store of this version."""
    stated = {"store": "edgewise", "schema_version": SCHEMA_VERSION, "written_by": __version__}
    where.write(MARKER, memoryview(json.dumps(stated).encode() + b"\n"))


def read_marker(where: Place) -> int:
    """The version of the schema that a store was last written with.

    Raises:
        NewerStore: newer than this version knows.
        StoreError: the mark cannot be read.
    """
    try:
        version = json.loads(where.read(MARKER))["schema_version"]
    except (ValueError, KeyError, TypeError):
        version = None
    if not isinstance(version, int):
        raise StoreError(
            f"{where.url} is not a store that can be read: its {MARKER} is damaged",
            hint=f'if its parts are sound, make it hold {{"schema_version": {SCHEMA_VERSION}}}',
        )
    _check(where.url, version)
    return version


def _check(url: str, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise NewerStore(
            f"{url} was written with version {version} of the store's schema; "
            f"Edgewise {__version__} knows up to {SCHEMA_VERSION}",
            hint="upgrade it: pip install --upgrade edgewise",
        )
