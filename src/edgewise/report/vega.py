"""What draws the page's charts, as a script."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@functools.cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed, which the page's own script calls.

    Putting them together takes seconds, and gives the same for a version: it is kept.
    """
    kept = _kept()
    if kept is not None:
        with suppress(OSError, UnicodeDecodeError):
            return kept.read_text(encoding="utf-8")
    import vl_convert

    made = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    if kept is not None:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_name(f"{kept.name}.{os.getpid()}")
            part.write_text(made, encoding="utf-8")
            part.replace(kept)
    return made


def _kept() -> Path | None:
    """Where it is kept; None where nothing can be."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        home = Path(base) if base else Path.home() / ".cache"
        return home / "edgewise" / f"vega-{version('vl-convert-python')}.js"
    except (RuntimeError, PackageNotFoundError):
        return None
