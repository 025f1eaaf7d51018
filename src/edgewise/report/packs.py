"""Rows as the page carries them: by column, equal texts once, the large ones compressed.

Twenty thousand rows as HTML would take the browser seconds and the file tens of megabytes. So the
page holds values, and its script makes table rows of those that are looked at.
"""

from __future__ import annotations

import base64
import html
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from edgewise.report.numerals import heading, unit
from edgewise.report.parts import Numbers

#: A table of up to so many bytes of JSON lies in the page as it is, and can be read at once; a
#: larger one is compressed, and unpacked after the page is shown.
_INLINE_BYTES = 24_000
_LONG_TEXT = 36
_PLAIN = {int, float, str, bool}

Column = dict[str, Any]


def column(name: str, values: Sequence[Any]) -> Column:
    """One column: `values` as they are, or `codes` that count in `texts` where texts repeat."""
    packed: Column = {"name": name, "heading": heading(name)}
    kinds = set(map(type, values)) - {type(None)}
    if kinds and kinds <= {int, float}:
        return packed | {"number": True, "unit": unit(name), "values": values}
    if not kinds <= _PLAIN:
        values = [_plain(value) for value in values]
    different = dict.fromkeys(values) if kinds == {str} else values
    if str in kinds and any(type(each) is str and len(each) > _LONG_TEXT for each in different):
        packed["long"] = True
    if kinds == {str} and len(different) <= len(values) / 2:
        places = {each: place for place, each in enumerate(different)}
        codes = list(map(places.__getitem__, values))
        return packed | {"texts": list(places), "codes": codes}
    return packed | {"values": values}


def table(numbers: Numbers) -> dict[str, Any]:
    """The rows of an answer, and how many there are beyond them."""
    return columns(numbers.columns, numbers.rows) | {"total": numbers.total}


def columns(names: Iterable[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Rows by column."""
    names = list(names)
    across = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {
        "rows": len(rows),
        "columns": [column(name, list(values)) for name, values in zip(names, across, strict=True)],
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)


class Packs:
    """The tables of one page, by name."""

    def __init__(self) -> None:
        self.inline: dict[str, Any] = {}
        self._large: dict[str, bytes] = {}

    def add(self, name: str, content: Any) -> None:
        """Add a table under a name that the page uses once."""
        encoded = msgspec.json.encode(content)
        if len(encoded) <= _INLINE_BYTES:
            self.inline[name] = msgspec.Raw(encoded)
        else:
            packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._large[name] = base64.b64encode(packer.compress(encoded) + packer.flush())

    def html(self) -> str:
        """The compressed ones, as blocks of data that a browser does not look into."""
        return "".join(
            f'<script type="application/octet-stream" data-pack="{html.escape(name, quote=True)}">'
            f"{content.decode()}</script>\n"
            for name, content in self._large.items()
        )
