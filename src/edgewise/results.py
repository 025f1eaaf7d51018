"""Lists of records, as the functions of `import edgewise` return them.

They display as a table in notebooks and convert to Arrow, pandas and polars.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, SupportsIndex, TypeVar, overload

from edgewise.errors import MissingExtra
from edgewise.extras import missing
from edgewise.records import Record, SimulationRow
from edgewise.records.shown import table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

R = TypeVar("R", bound=Record)


class Records(list[R]):
    """A list of records of one type; any records make one, as `Records(app.models)` does."""

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> R: ...
    @overload
    def __getitem__(self, at: slice, /) -> Records[R]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> R | Records[R]:
        """A record; of a slice, `Records`."""
        return (
            Records(super().__getitem__(at)) if isinstance(at, slice) else super().__getitem__(at)
        )

    def __repr__(self) -> str:
        """One line: a record's own fills a screen."""
        kinds = ", ".join(dict.fromkeys(type(each).__name__ for each in self))
        return f"<Records: {len(self)}{f' of {kinds}' if kinds else ''}>"

    def arrow(self) -> pyarrow.Table:
        """An Arrow table: one row per record, one column per field.

        Fields that are tables of their own in a store (an app's models, a model's layers, a
        measurement's samples) are left out.

        Raises:
            MissingExtra: Arrow is not installed.
            UsageError: the records are of several types.
        """
        from edgewise.store.frames import arrow

        return arrow(self)

    def pandas(self) -> pandas.DataFrame:
        """The same as a pandas data frame.

        Raises:
            EdgewiseError: pandas is not installed.
            MissingExtra, UsageError: as `arrow`.
        """
        from edgewise.store.frames import pandas

        return pandas(self.arrow())

    def polars(self) -> polars.DataFrame:
        """The same as a polars data frame.

        Raises:
            EdgewiseError: polars is not installed.
            MissingExtra, UsageError: as `arrow`.
        """
        from edgewise.store.frames import polars

        return polars(self.arrow())

    def _repr_html_(self) -> str:
        """An HTML table, preceded by the curves if these are simulations of several deadlines and
        the extra `report` is installed."""
        rows = [each for each in self if isinstance(each, SimulationRow)]
        curved = len(rows) == len(self) and len({row.sla_ms for row in rows}) > 1
        return (_curves(rows) if curved else "") + table(self)


def _curves(rows: Sequence[SimulationRow]) -> str:
    """The curves as a picture in the page: whatever is in a name, an image runs nothing."""
    from base64 import b64encode

    if missing(["report"]):
        return f"<p>{escape(str(MissingExtra('report', 'a picture of the curves')))}</p>"
    import vl_convert

    from edgewise.report.curves import policy_curves

    picture = b64encode(vl_convert.vegalite_to_svg(policy_curves(rows)).encode()).decode()
    return f'<img alt="Curves of the policies" src="data:image/svg+xml;base64,{picture}">'
