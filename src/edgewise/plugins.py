"""What other packages add to Edgewise: entry points, one group per contract.

A package that declares ::

    [project.entry-points."edgewise.formats"]
    toy = "toy_package.toy_format"

adds the module (or object) that the entry names to what the room `formats` lists. The groups are
the names of `GROUPS`; each room says in its registry what it expects of an entry.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

#: The contracts that a package outside this one can implement.
GROUPS = ("formats", "runtimes", "devices", "meters", "sources", "extractors", "policies")


@cache
def declared(group: str) -> tuple[Any, ...]:
    """What installed packages declare for a group of `GROUPS`, by the order of their names.

    An entry that cannot be imported is left out with a warning that names it: a broken plug-in
    must not stop what does not need it.
    """
    from importlib.metadata import entry_points

    found = []
    for entry in sorted(entry_points(group=f"edgewise.{group}"), key=lambda each: each.name):
        try:
            found.append(entry.load())
        except Exception as error:  # noqa: BLE001 - any failure of foreign code is the same finding
            warnings.warn(
                f"the plug-in {entry.value!r} of edgewise.{group} cannot be imported: {error}",
                stacklevel=2,
            )
    return tuple(found)
