"""The store: append records, read them back, ask it in SQL."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Container, Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgewise.errors import MissingExtra, StoreError
from edgewise.records import SCHEMA_VERSION, App, Measurement, Model, Record, shown
from edgewise.store import frames, parts, views
from edgewise.store.columns import R
from edgewise.store.places import Place, place
from edgewise.store.rows import Row, assemble, shred
from edgewise.store.tables import ROOT_OF, TABLES, Table, needed_for

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow


#: Bounds the memory that appending takes, whatever the number of records.
_RECORDS_PER_PART = 256


class Store:
    """Records in Parquet files, one folder per table, in a folder or any fsspec URL.

    Files are never changed in place, so that several processes and machines may append at the same
    time without a lock. `Store.open` opens one.
    """

    def __init__(self, where: Place, version: int, only: Mapping[str, str] | None = None) -> None:
        self._place, self._version, self._only = where, version, only or {}

    @property
    def url(self) -> str:
        """The path or URL, as given."""
        return self._place.url

    @property
    def place(self) -> Place:
        """Access to its files."""
        return self._place

    def narrowed(self, only: Mapping[str, str]) -> Store:
        """The same store with a filter per table.

        Args:
            only: by the table's name an SQL condition over its columns; rows for which it does not
                hold are not read.
        """
        return Store(self._place, self._version, {**self._only, **only})

    @classmethod
    def open(cls, url: str, create: bool = False) -> Store:
        """Open the store at a path or URL.

        Args:
            url: a folder, or a URL that fsspec knows.
            create: make an empty store where there is none, and check that it can be written.

        Raises:
            MissingExtra: the libraries that read and write it are not installed.
            NewerStore: written by a newer schema than this version knows.
            StoreError: no store is there, or it cannot be read or made.
        """
        if not all(map(find_spec, ("pyarrow", "duckdb"))):
            raise MissingExtra("store", "a store")
        where = place(url)
        names = where.names()
        if parts.MARKER in names:
            opened = cls(where, parts.read_marker(where))
            if create:
                where.check_writable()
            return opened
        if names:
            raise StoreError(
                f"{url} is not a store: it has no {parts.MARKER}",
                hint="name a store, or a new or empty folder to make one in",
            )
        if not create:
            raise StoreError(f"{url}: no store there", hint="`--store` of scan or bench makes one")
        parts.write_marker(where)
        return cls(where, SCHEMA_VERSION)

    @staticmethod
    def is_at(url: str) -> bool:
        """Whether a store is at a path or URL."""
        try:
            return parts.MARKER in place(url).names()
        except StoreError:
            return False

    def append(
        self, records: Record | Iterable[Record], *, per_part: int = _RECORDS_PER_PART
    ) -> None:
        """Add records; each replaces an earlier record with the same key.

        The key of an app is `rows.app_key`, of a model `rows.model_key`, of any other record all of
        its content.

        Args:
            records: one record, or any number of them.
            per_part: most records per file; bounds the memory that it takes.

        Raises:
            StoreError: the store cannot be written; nothing half-written stays behind.
            TypeError: a record that no table holds.
        """
        if self._version < SCHEMA_VERSION:
            parts.write_marker(self._place)
            self._version = SCHEMA_VERSION
        waiting = iter([records] if isinstance(records, Record) else records)
        while batch := list(islice(waiting, per_part)):
            rows = shred(batch)
            # Rows before the rows that own them: a record is there once its own row is.
            for table in reversed(TABLES):
                if table.name in rows:
                    self._write(table, rows[table.name])

    def _write(self, table: Table, rows: list[Row]) -> None:
        name = parts.part_name(table, (row["append_id"] for row in rows))
        # A record's own row states when it was appended last, so it is written again.
        if not any(row.get("stored_at") for row in rows) and self._place.exists(name):
            return
        import pyarrow as pa

        content = pa.Table.from_pylist(rows, table.schema)
        self._place.write(name, parts.parquet(table, content))

    def apps(self) -> list[App]:
        """All apps with their models and evidence, in the order in which they were stored."""
        return self.read(App)

    def models(self) -> list[Model]:
        """All models, those of apps included."""
        return self.read(Model)

    def measurements(self) -> list[Measurement]:
        """All measurements with their samples, in the order in which they were stored."""
        return self.read(Measurement)

    def read(
        self, record: type[R], *, without: Container[str] = (), where: str | None = None
    ) -> list[R]:
        """All records of a type.

        Args:
            record: the type, such as `records.Decision`.
            without: names of tables that are not read, such as `samples`; the fields that hold
                their rows are then empty.
            where: an SQL condition over the columns of the type's own table.

        Raises:
            NewerStore, StoreError: as `connect`.
            UsageError: DuckDB refuses the SQL.
        """
        root = ROOT_OF[record]
        with self._connected(needed_for(root)) as connection:
            return assemble(
                record,
                lambda table: [] if table.name in without
                else views.select(connection, table, self.url, (root, where) if where else None),
            )  # fmt: skip

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with a view of each table, as the store is now.

        The database is in memory; SQL can reach neither files nor the network, and tables made in
        it are lost when it is closed. Close it, or use it in `with`.

        Raises:
            NewerStore: a part was written by a newer schema than this version knows.
            StoreError: the store cannot be read.
        """
        return self._connected(TABLES)

    def _connected(self, tables: Iterable[Table]) -> duckdb.DuckDBPyConnection:
        return views.connect({table.name: self._rows(table) for table in tables}, self._only)

    def _rows(self, table: Table) -> Any:
        return parts.read_parts(self._place, table, parts.part_names(self._place, table))

    def query(self, sql: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Run a query; return the names of its columns, and its rows as Python values.

        Raises:
            UsageError: DuckDB refuses the query; the message lists the tables.
            NewerStore, StoreError: as `connect`.
        """
        return views.answer(self.connect(), sql, self.url)

    def revision(self) -> str:
        """A hash of the store's contents, which changes when a new record is appended.

        Raises:
            NewerStore, StoreError: the store cannot be read.
        """
        names = [name for table in TABLES for name in parts.part_names(self._place, table)]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    def arrow(self, sql: str) -> pyarrow.Table:
        """Run a query; return an Arrow table.

        Raises:
            UsageError, NewerStore, StoreError: as `query`.
        """
        with self.connect() as connection:
            return views.arrow(connection, sql, self.url)

    def pandas(self, sql: str) -> pd.DataFrame:
        """Run a query; return a pandas data frame.

        Raises:
            EdgewiseError: pandas is not installed.
            UsageError, NewerStore, StoreError: as `query`.
        """
        return frames.pandas(self.arrow(sql))

    def polars(self, sql: str) -> pl.DataFrame:
        """Run a query; return a polars data frame.

        Raises:
            EdgewiseError: polars is not installed.
            UsageError, NewerStore, StoreError: as `query`.
        """
        return frames.polars(self.arrow(sql))

    def _repr_html_(self) -> str:
        """What is in it, for notebooks: the rows of each table that has some."""
        columns, rows = self.query(
            " union all ".join(
                f"select '{table.name}' as \"table\", count(*) as rows from {table.name}"
                for table in TABLES
            )
        )
        grid = shown.grid(columns, [row for row in rows if row[1]])
        return f"<div><b>Store</b> {html.escape(self.url)}{grid}</div>"

    def compact(self) -> None:
        """Merge the files of each table into one, so that reading opens fewer files.

        Other processes may append at the same time. If this one is killed, nothing is lost: rows
        that are then in two files are shown once. It holds one table in memory.

        Raises:
            NewerStore, StoreError: the store cannot be read or written.
        """
        for table in TABLES:
            names = parts.part_names(self._place, table)
            if len(names) < 2:
                continue
            content = parts.read_parts(self._place, table, names).to_table()
            merged = parts.part_name(table, content["append_id"].to_pylist())
            self._place.write(merged, parts.parquet(table, content))
            for name in names:
                if name != merged:
                    self._place.delete(name)
