"""Edgewise: what neural networks an app ships, what they cost, and where each should run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.client import Answer as Answer
    from edgewise.client import AsyncClient as AsyncClient
    from edgewise.client import Client as Client

__version__ = "0.1.0"

_CLIENT = ("Answer", "AsyncClient", "Client")


def __getattr__(name: str) -> Any:
    """The client's names, imported when they are first asked for."""
    if name not in _CLIENT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("edgewise.client"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_CLIENT})
