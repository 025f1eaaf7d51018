"""The base of all records, and the versions that a store keeps with them."""

from __future__ import annotations

import msgspec

#: Version of the records and of the store's tables. A store of a newer one is refused.
SCHEMA_VERSION = 1
#: Version of what `scan` and `inspect` compute. It is part of an app's key in the store: a newer
#: analysis of the same package is a new row, not a duplicate.
ANALYSIS_VERSION = 5


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records."""

    def to_json(self) -> bytes:
        """One line of JSON, without the line's end."""
        return msgspec.json.encode(self)

    def _repr_html_(self) -> str:
        """A summary, for notebooks."""
        from edgewise.records.shown import summary

        return summary(self)
