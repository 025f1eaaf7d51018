"""The tables as DuckDB shows them: each record once, as it was appended last.

The parts are read through pyarrow, not by DuckDB itself, so that DuckDB's own access to files and
networks can be shut: whatever SQL a user gives, it cannot change a store or reach beyond it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgewise.errors import StoreError, UsageError
from edgewise.store.tables import TABLES, Table, owners

if TYPE_CHECKING:
    import duckdb
    import pyarrow

#: Schema of the views that the documented ones are made of.
_INNER = "edgewise_store"
_ROWS_AT_ONCE = 1024


def connect(
    parts: dict[str, Any], only: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection with the documented tables over the parts, given by table as Arrow data: those
    of which parts are given.

    `only`: of the tables that it names the rows of which this SQL over their columns holds.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"create schema {_INNER}")
    given = [table for table in TABLES if table.name in parts]
    for table in given:
        connection.register(_parts(table), parts[table.name])
    for table in given:
        connection.execute(_current(table, (only or {}).get(table.name, "true")))
        columns = ", ".join(f'"{name}"' for name in table.columns())
        connection.execute(f"create view {table.name} as select {columns} from {rows(table)}")
    _shut(connection)
    return connection


def answer(
    connection: duckdb.DuckDBPyConnection, sql: str, url: str
) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """The names of a query's columns, and its rows.

    Raises:
        UsageError: DuckDB refuses the query.
        StoreError: a part of the store at `url` cannot be read.
    """
    with _explained(url):
        connection.execute(sql)
    columns = tuple(column[0] for column in connection.description or ())
    found = _rest(connection, url)
    if sql.lstrip().lower().startswith(("show", "pragma")):
        # What the documented tables are made of is nobody's question.
        found = (row for row in found if not any(str(each).startswith(_INNER) for each in row))
    return columns, found


def _rest(connection: duckdb.DuckDBPyConnection, url: str) -> Iterator[tuple[Any, ...]]:
    with _explained(url):
        while rows := connection.fetchmany(_ROWS_AT_ONCE):
            yield from rows


def arrow(connection: duckdb.DuckDBPyConnection, sql: str, url: str) -> pyarrow.Table:
    """All that a query gives, as a table of Arrow; none of a statement that gives nothing.

    Raises:
        UsageError, StoreError: as `answer`.
    """
    import pyarrow

    with _explained(url):
        found = connection.sql(sql)
        return pyarrow.table({}) if found is None else found.to_arrow_table()


def select(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    url: str,
    where: tuple[Table, str] | None = None,
) -> list[dict[str, Any]]:
    """A table's current rows, also what only the store uses, in the order they were appended.

    `where`: only rows of which this SQL holds; of another table, those that came with such rows.

    Raises:
        StoreError: a part of the store at `url` cannot be read.
        UsageError: DuckDB refuses `where`.
    """
    order = [*([table.owner] if table.owner else []), *(["stored_at"] if table.root else [])]
    shown = ""
    if where is not None:
        root, condition = where
        came_with = f"append_id in (select append_id from {rows(root)} where {condition})"
        shown = f"where {condition if table is root else came_with}"
    with _explained(url):
        result = connection.execute(
            f"select * from {rows(table)} {shown} order by {', '.join([*order, 'position'])}"
        )
        columns = [column[0] for column in result.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """DuckDB's refusals as what a user can act on."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        message, _, more = str(error).strip().partition("\n")
        if "arrow_scan" in message or "reading the stream" in message:
            raise StoreError(f"{url}: a part cannot be read: {message}") from error
        raise UsageError(message, hint=_what_to_do(message, more)) from error


def _what_to_do(message: str, more: str) -> str:
    """DuckDB's own proposal, where its second line is one; else which tables there are."""
    tables = f"tables: {', '.join(table.name for table in TABLES)}"
    proposal = more.partition("\n")[0].strip().replace('"', "")
    if proposal.startswith(("Candidate bindings", "Candidate tables", "Did you mean")):
        return f"{proposal.replace('Candidate bindings', 'columns like it')}; {tables}"
    return tables


def rows(table: Table) -> str:
    """The view of a table's current rows with the columns that only the store uses."""
    return f"{_INNER}.{table.name}"


def _parts(table: Table) -> str:
    return f"{_INNER}_{table.name}"


def _current(table: Table, condition: str) -> str:
    """Of each record its latest append, where the condition holds; of what a record holds, the
    rows of that append.

    Each row once: an append may lie in more than one part.
    """
    shown = [f"append_id in (select append_id from {rows(owner)})" for owner in owners(table)]
    if table.root and table.owner:
        shown.append(f"{table.owner} is null")
    where = f"where {' or '.join(shown)}" if shown else ""
    once = "key" if table.key else f"append_id, {table.owner}, position"
    newest = "order by stored_at desc, append_id desc" if table.root else ""
    return f"""
        create view {rows(table)} as select * from (
          select * from {_parts(table)} {where}
          qualify row_number() over (partition by {once} {newest}) = 1)
        where {condition}"""


def _shut(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("set temp_directory = ?", [f"{tempfile.gettempdir()}/edgewise-duckdb"])
    for setting in ("enable_external_access", "python_enable_replacements"):
        connection.execute(f"set {setting} = false")
    connection.execute("set lock_configuration = true")
