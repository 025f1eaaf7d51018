"""docs/store.md lists the tables as they are."""

from __future__ import annotations

import re
from pathlib import Path

from edgewise.store import Store
from edgewise.store.tables import TABLES

_DOC = Path(__file__).parents[2] / "docs" / "store.md"


def documented() -> dict[str, list[tuple[str, str]]]:
    """The columns and types below each table's heading."""
    tables = {}
    for section in _DOC.read_text(encoding="utf-8").split("\n### ")[1:]:
        name = section.partition("\n")[0]
        tables[name] = re.findall(r"^\| `(.+?)` \| `(.+)` \|$", section, re.MULTILINE)
    return tables


def test_the_documented_tables_are_the_tables(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    described = {
        table.name: [(row[0], row[1]) for row in store.query(f"describe {table.name}")[1]]
        for table in TABLES
    }
    assert documented() == described
