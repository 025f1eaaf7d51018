"""The tables of a store. A new table is a new entry in `TABLES` (and in `docs/store.md`).

A record is stored whole by one `append`: its own row, and the rows of what it holds in tables of
their own. Every row carries `append_id`, the content address of the record it came with, and only
the rows of the record's latest append are shown; so a record whose own row is not there yet (its
writer was killed) does not exist, and one that was appended twice exists once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from edgewise.records import (
    AccuracyRow,
    App,
    Decision,
    Evidence,
    LayerRow,
    LoadRun,
    LoadSample,
    Measurement,
    Model,
    Placement,
    PlacementMix,
    Record,
    Sample,
    Sighting,
    SimulationRow,
    TensorRow,
)
from edgewise.store.columns import Encode, arrow_type, encoders, fields

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """A table: the fields of a record type, after the keys.

    `key` says that rows are known by a key of their own; `root` that records of this type are
    appended by themselves; `owner` names the column with the key of the row that holds this one.
    `parts` maps the fields that have tables of their own to those tables.
    """

    name: str
    record: type[Record]
    key: bool = False
    root: bool = False
    owner: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def encoders(self) -> dict[str, Encode | None]:
        """How the record's own columns are encoded."""
        known = encoders(self.record)
        return {name: encode for name, encode in known.items() if name not in self.parts}

    def keys(self) -> dict[str, pa.DataType]:
        """The columns before the record's fields that users see."""
        import pyarrow as pa

        columns = {}
        if self.key:
            columns["key"] = pa.string()
        if self.owner:
            columns[self.owner] = pa.string()
        if self.root:
            columns["stored_at"] = pa.timestamp("us")
        return columns

    def columns(self) -> dict[str, pa.DataType]:
        """The columns that users see, in order, with their types."""
        own = {
            name: arrow_type(kind)
            for name, kind in fields(self.record).items()
            if name not in self.parts
        }
        return {**self.keys(), **own}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of a part on disk: `columns()` and the two that only the store uses."""
        import pyarrow as pa

        internal = {"append_id": pa.string(), "position": pa.int64()}
        return pa.schema(list((self.columns() | internal).items()))


#: A table stands after those that hold its rows' owners.
TABLES = (
    Table("apps", App, key=True, root=True, parts={"models": "models", "evidence": "evidence"}),
    Table("sightings", Sighting, key=True, root=True),
    Table("evidence", Evidence, owner="app_key"),
    Table(
        "models",
        Model,
        key=True,
        root=True,
        owner="app_key",
        parts={"layer_table": "layers", "tensors": "tensors"},
    ),
    Table("layers", LayerRow, owner="model_key"),
    Table("tensors", TensorRow, owner="model_key"),
    Table("measurements", Measurement, key=True, root=True, parts={"samples": "samples"}),
    Table("samples", Sample, owner="measurement_key"),
    Table("accuracies", AccuracyRow, key=True, root=True),
    Table("simulations", SimulationRow, key=True, root=True),
    Table("loads", LoadRun, key=True, root=True, parts={"samples": "load_samples"}),
    Table("load_samples", LoadSample, owner="load_key"),
    Table("decisions", Decision, key=True, root=True),
    Table("placements", Placement, key=True, root=True),
    Table("placement_mixes", PlacementMix, key=True, root=True),
)

BY_NAME: Mapping[str, Table] = {table.name: table for table in TABLES}
ROOT_OF: Mapping[type[Record], Table] = {table.record: table for table in TABLES if table.root}


def needed_for(root: Table) -> tuple[Table, ...]:
    """The tables that the records of one are put together from: its rows, what they hold, and what
    holds those (of which a row belongs to the latest append)."""
    held = _closure(root, lambda table: [BY_NAME[part] for part in table.parts.values()])
    found = {table.name for each in held for table in _closure(each, owners)}
    return tuple(table for table in TABLES if table.name in found)


def _closure(of: Table, more: Callable[[Table], list[Table]]) -> list[Table]:
    found, waiting = [of], [of]
    while waiting:
        new = [table for table in more(waiting.pop()) if table not in found]
        found += new
        waiting += new
    return found


def owners(table: Table) -> list[Table]:
    """The tables whose rows hold rows of this one."""
    return [other for other in TABLES if table.name in other.parts.values()]
