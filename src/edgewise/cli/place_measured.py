"""`place` by measuring: rows as they come, and which models failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output, place_print

if TYPE_CHECKING:
    from edgewise.records import Placement, Record


def run(
    source: Callable[[Callable[[str], None]], Iterator[Placement]],
    store: str | None,
    *,
    as_json: bool,
    quiet: bool,
    named: Sequence[str],
    after: Callable[[Sequence[Placement]], None] = lambda _: None,
    shown: Callable[[Placement], Record | dict[str, object]] = lambda row: row,
) -> int:
    """Measure; what is complete is printed and stored at once. The exit status.

    Args:
        source: gives the rows, telling what it is called with what it does next.
        named: the models as the user named them.
        after: says more at the end.
        shown: what programs get of a row.
    """
    rows: list[Placement] = []
    with output.kept_in(store, at_once=True) as keep:
        try:
            with output.progress("place", None, quiet=quiet, store=store) as advance:
                for row in source(advance):
                    rows.append(row)
                    keep(row)
                    if as_json:
                        output.emit(shown(row))
        finally:
            if rows:
                if not as_json:
                    place_print.rows(rows)
                after(rows)
    return 1 if any(_all_failed(path, rows) for path in named or {row.model for row in rows}) else 0


def _all_failed(path: str, rows: Sequence[Placement]) -> bool:
    """The user named this path, and nothing of it was compared. What fails beside others in a
    folder or a family is a finding."""
    below = f"{path.rstrip('/')}/"
    mine = [row for row in rows if row.model == path or row.model.startswith(below)]
    if path.lower().endswith(".toml"):
        mine = [row for row in rows if row.family is not None] or mine
    return all(row.faster is None for row in mine or rows)
