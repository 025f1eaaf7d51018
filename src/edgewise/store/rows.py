"""Records to rows and back, and the keys that rows are known by."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from edgewise.records import ANALYSIS_VERSION, App, Model, Record
from edgewise.store.columns import R, encode_fields, revive
from edgewise.store.tables import BY_NAME, ROOT_OF, Table

Row = dict[str, Any]
#: Rows by the name of their table.
Rows = dict[str, list[Row]]


def app_key(app: App) -> str:
    """Same package, same analysis: same app, wherever it lies. Without bytes it is its path."""
    return _digest("app", app.sha256 or app.path, app.analysis_version)


def model_key(model: Model) -> str:
    """Key of a model that is no part of an app: its bytes, its file's name and the analysis.

    The name counts because the bytes are not all of a model whose weights lie beside it.
    """
    name = model.path.replace("\\", "/").rpartition("/")[2]
    return _digest("model", model.sha256 or model.path, name, ANALYSIS_VERSION)


def _key(record: Record, content: str) -> str:
    """What a record is known by; where it has no identity of its own, all of its content."""
    match record:
        case App():
            return app_key(record)
        case Model():
            return model_key(record)
        case _:
            return content


def shred(records: Iterable[Record]) -> Rows:
    """The rows of all tables for some records; of two with the same key the last one stays.

    Raises:
        TypeError: a record that no table holds.
    """
    latest = {}
    for record in records:
        if type(record) not in ROOT_OF:
            raise TypeError(f"a store has no table for {type(record).__name__}")
        values = msgspec.to_builtins(record)
        content = _digest(json.dumps(values))
        latest[_key(record, content)] = (ROOT_OF[type(record)], values, content)
    rows: Rows = defaultdict(list)
    now = datetime.now(UTC).replace(tzinfo=None)
    for position, (key, (table, values, content)) in enumerate(latest.items()):
        row = _Shredder(rows, content).add(table, values, key, None, position)
        row["stored_at"] = now
    return rows


class _Shredder:
    """Takes the values of one record apart into `rows`."""

    def __init__(self, rows: Rows, append_id: str) -> None:
        self._rows, self._append_id = rows, append_id

    def add(
        self, table: Table, values: Row, key: str | None, owner: str | None, position: int
    ) -> Row:
        """Add the rows of a record and of all that it holds; gives its own."""
        row = _columns(table, values)
        row["append_id"] = self._append_id
        row["position"] = position
        if table.key:
            row["key"] = key
        if table.owner:
            row[table.owner] = owner
        self._rows[table.name].append(row)
        for field, name in table.parts.items():
            part = BY_NAME[name]
            for place, held in enumerate(values[field] or ()):
                self.add(part, held, _digest(key, place) if part.key else None, key, place)
        return row


def _columns(table: Table, values: Row) -> Row:
    cut: list[str] = []
    row = encode_fields(table.encoders, values, cut)
    if cut and "notes" in row:
        row["notes"].append(f"too large for the store's 64 bits: {', '.join(dict.fromkeys(cut))}")
    return row


def assemble(record: type[R], select: Callable[[Table], list[Row]]) -> list[R]:
    """All records of a type that a store holds, in the order of `select`'s rows.

    `select` gives a table's rows, those of one owner in order.
    """
    return [revive(record, row) for row in _whole(ROOT_OF[record], select)]


def _whole(table: Table, select: Callable[[Table], list[Row]]) -> list[Row]:
    """A table's rows with those that they hold."""
    rows = select(table)
    for field, name in table.parts.items():
        part = BY_NAME[name]
        held: dict[str, list[Row]] = defaultdict(list)
        for each in _whole(part, select):
            held[each[str(part.owner)]].append(each)
        for row in rows:
            row[field] = held.get(row["key"])
    return rows


def _digest(*parts: object) -> str:
    """The content address of some values: 128 bits of SHA-256, in hex."""
    digest = hashlib.sha256()
    for part in parts:
        raw = str(part).encode("utf-8", "backslashreplace")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:32]
