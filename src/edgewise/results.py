"""What the functions of `import edgewise` give: a list of records that shows itself in a notebook
and becomes a table of Arrow, pandas or polars.
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
    """Records of one type, in order. Make one of any: `Records(app.models)`."""

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> R: ...
    @overload
    def __getitem__(self, at: slice, /) -> Records[R]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> R | Records[R]:
        """A record, or some of them, which show themselves too."""
        return (
            Records(super().__getitem__(at)) if isinstance(at, slice) else super().__getitem__(at)
        )

    def arrow(self) -> pyarrow.Table:
        """One row per record, one column per field, as the store has them: what has a table of its
        own there (an app's models, a model's layers, a measurement's samples) is left out.

        Raises:
            MissingExtra: Arrow is not installed.
            UsageError: they are of several types.
        """
        from edgewise.store.frames import arrow

        return arrow(self)

    def pandas(self) -> pandas.DataFrame:
        """The same as a data frame of pandas.

        Raises:
            EdgewiseError: pandas is not installed.
            MissingExtra, UsageError: as `arrow`.
        """
        from edgewise.store.frames import pandas

        return pandas(self.arrow())

    def polars(self) -> polars.DataFrame:
        """The same as a data frame of polars.

        Raises:
            EdgewiseError: polars is not installed.
            MissingExtra, UsageError: as `arrow`.
        """
        from edgewise.store.frames import polars

        return polars(self.arrow())

    def _repr_html_(self) -> str:
        """A table; for simulations of several deadlines their curves before it, where the extra
        `report` is there."""
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
