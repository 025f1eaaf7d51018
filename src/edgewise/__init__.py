"""Edgewise: what neural networks an app ships, what they cost, and where each should run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.api import bench as bench
    from edgewise.api import inspect as inspect
    from edgewise.api import place as place
    from edgewise.api import recommend as recommend
    from edgewise.api import scan as scan
    from edgewise.api import simulate as simulate
    from edgewise.client import Answer as Answer
    from edgewise.client import AsyncClient as AsyncClient
    from edgewise.client import Client as Client
    from edgewise.family import Family as Family
    from edgewise.family import load_family as load_family
    from edgewise.results import Records as Records
    from edgewise.store import Store as Store

__version__ = "0.1.0"

#: What this package offers, and the module that has it.
_OFFERED = {
    "Answer": "client", "AsyncClient": "client", "Client": "client",
    "Family": "family", "load_family": "family", "Records": "results", "Store": "store",
    "scan": "api", "inspect": "api", "place": "api", "recommend": "api", "simulate": "api",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """The names that are offered, imported when they are first asked for."""
    import importlib

    if name == "bench":  # a room of this name is there too, and can be called
        return importlib.import_module("edgewise.bench")
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"edgewise.{_OFFERED[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED, "bench"})
