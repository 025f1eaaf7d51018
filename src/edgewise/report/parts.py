"""What a page is made of: sections, of figures and tables, each with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from edgewise.errors import UsageError
from edgewise.report.only import Only
from edgewise.report.picks import Picks
from edgewise.store import Store, answer

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that a report carries at most for one figure or table; the rest is counted.
FIGURE_ROWS = 40_000
TABLE_ROWS = 40_000

#: The tables that sections ask for.
_ASKED = (
    "apps", "models", "evidence", "measurements", "accuracies", "simulations", "loads",
    "placements", "placement_mixes",
)  # fmt: skip

#: Of a package or a file that a newer version analysed again, what the newer one found. In this
#: order: a model inside an app goes with its app.
_NEWEST = {
    "apps": """
        from main.apps qualify analysis_version = max(analysis_version)
            over (partition by coalesce(sha256, path))""",
    "models": """
        from main.models where app_key in (select key from apps) or (app_key is null and key in (
            select arg_max(key, stored_at) from main.models where app_key is null
            group by coalesce(sha256, path), parse_filename(path)))""",
}

Spec = dict[str, Any]


@dataclass(frozen=True)
class Numbers:
    """The answer to a query. `total` counts also the rows that the page leaves out. `sql` is empty
    where no query gives them: they were computed.

    A column's unit is the end of its name, as everywhere (`_ms`, `_bytes`).
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    total: int
    sql: str

    def objects(self) -> list[dict[str, Any]]:
        """The rows as objects, as charts take them."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Figure:
    """A chart: a Vega-Lite specification without data, which are `numbers`.

    `alt` says in a sentence what a reader who cannot see it should know. `unit` is of what is
    drawn, `origin` how it came about, `n` how much stands behind it (by default its rows). Of
    `points` a part is drawn where they are very many, evenly picked; else the first rows are.
    """

    title: str
    caption: str
    alt: str
    spec: Spec
    numbers: Numbers
    unit: str
    origin: str
    n: str = ""
    points: bool = False


@dataclass(frozen=True)
class Table:
    """Numbers that are best read as they are."""

    title: str
    caption: str
    numbers: Numbers


@dataclass(frozen=True)
class Explorer:
    """Sliders over a table that was computed beforehand; they move the marks of the section's
    figures that have the parameters `at_deadline` and `at_network`."""

    title: str
    caption: str
    picks: Picks
    n: str
    origin: str


@dataclass(frozen=True)
class Tile:
    """A headline number; `detail` says what it is made of."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Point:
    """A finding as a sentence, and where it comes from; `code` stands between backquotes. `see`
    names the section that has its numbers."""

    text: str
    origin: str
    see: str | None = None


@dataclass(frozen=True)
class Section:
    """A question and what the store answers. `name` is its anchor in the page."""

    name: str
    title: str
    lead: str
    parts: Sequence[Figure | Table | Explorer]
    tiles: Sequence[Tile] = field(default=())
    points: Sequence[Point] = field(default=())


class Ask:
    """Asks one store, as it is when the asking starts: the tables that many sections ask for are
    read once.

    The SQL of every answer runs in `edgewise query` too. Use it in `with`.
    """

    def __init__(self, store: Store, only: Only | None = None, before: Store | None = None) -> None:
        """Of one app or model alone where `only` says so. `before`: an older store to compare with.

        Raises:
            UsageError: it is not in the store.
        """
        self._store, self._url = store, store.url
        self.only, self.before = only, before
        self._connection = store.connect()
        for name in _ASKED:
            rows = _NEWEST.get(name, f"from main.{name}")
            answer(self._connection, f"create temp table {name} as {rows}", self._url)
        if only is not None:
            self._leave(only)

    def __enter__(self) -> Ask:
        return self

    def __exit__(self, *failure: object) -> None:
        self._connection.close()

    def _leave(self, only: Only) -> None:
        for table, condition in only.conditions().items():
            rest = f"delete from {table} where not coalesce({condition}, false)"
            answer(self._connection, rest, self._url)
        table = f"{only.kind}s"
        if not self.one(f"select count(*) as found from {table}")["found"]:
            hint = f"edgewise query STORE 'from {table}'"
            raise UsageError(f"no {only.kind} of the store is {only.name!r}", hint=hint)

    @property
    def store(self) -> Store:
        """The store, for records instead of rows: as it is when they are read."""
        return self._store

    def numbers(self, sql: str, rows: int = FIGURE_ROWS) -> Numbers:
        """The first `rows` rows of a query and how many there are."""
        columns, found = answer(self._connection, sql, self._url)
        shown = list(islice(found, rows))
        total = len(shown) + sum(1 for _ in found)
        return Numbers(columns, shown, total, dedent(sql).strip())

    def computed(self, sql: str, rows: int = TABLE_ROWS) -> Numbers:
        """The same of tables that only this report has: `edgewise query` cannot ask them."""
        return replace(self.numbers(sql, rows), sql="")

    def make(self, sql: str) -> None:
        """Make a table or a view that later questions ask."""
        answer(self._connection, sql, self._url)

    def bring(self, name: str, rows: pa.Table) -> None:
        """Let later questions ask these rows."""
        self._connection.register(name, rows)

    def one(self, sql: str) -> dict[str, Any]:
        """The only row of a query."""
        (only,) = self.numbers(sql).objects()
        return only


MakeSection = Callable[[Ask], Section | None]
