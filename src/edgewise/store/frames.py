"""Records as a table of Arrow, with the columns that the store gives them; data frames of one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import msgspec

from edgewise.errors import EdgewiseError, MissingExtra, UsageError
from edgewise.records import Record
from edgewise.store.columns import arrow_type, encode_fields, encoders, fields
from edgewise.store.tables import ROOT_OF

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow


def arrow(records: Sequence[Record]) -> pyarrow.Table:
    """One row per record, one column per field. What the store keeps in tables of their own (an
    app's models and evidence, a model's layers and tensors, a measurement's samples) is left out.

    Raises:
        MissingExtra: Arrow is not installed.
        UsageError: they are of several types.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingExtra("store", "a table of Arrow") from error
    if not records:
        return pa.table({})
    kind, *others = dict.fromkeys(type(each) for each in records)
    if others:
        raise UsageError(f"records of {kind.__name__} and {others[0].__name__} in one table")
    elsewhere = ROOT_OF[kind].parts if kind in ROOT_OF else {}
    encode = {name: each for name, each in encoders(kind).items() if name not in elsewhere}
    schema = pa.schema([(name, arrow_type(fields(kind)[name])) for name in encode])
    rows = [encode_fields(encode, msgspec.to_builtins(each), []) for each in records]
    return pa.Table.from_pylist(rows, schema)


def pandas(table: pyarrow.Table) -> pd.DataFrame:
    """The table as pandas has it.

    Raises:
        EdgewiseError: pandas is not installed.
    """
    _check_installed("pandas")
    return table.to_pandas()


def polars(table: pyarrow.Table) -> pl.DataFrame:
    """The table as polars has it.

    Raises:
        EdgewiseError: polars is not installed.
    """
    _check_installed("polars")
    from polars import from_arrow

    return cast("pl.DataFrame", from_arrow(table))


def _check_installed(library: str) -> None:
    if find_spec(library) is None:
        raise EdgewiseError(f"{library} is not installed", hint=f"pip install {library}")
