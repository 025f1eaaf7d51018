"""The notebook as a page: its texts, and its code. What it shows is not kept in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

SOURCE = "examples/tour.ipynb"
PAGE = "notebook.md"
_ROOT = Path(__file__).resolve().parents[3]


def made() -> Iterator[tuple[str, str]]:
    """One page."""
    parts = [f"[The notebook]({SOURCE}) itself; the tests run it."]
    for cell in json.loads((_ROOT / SOURCE).read_text(encoding="utf-8"))["cells"]:
        said = "".join(cell["source"])
        parts.append(said if cell["cell_type"] == "markdown" else f"```python\n{said}\n```")
    title, _, rest = parts[1].partition("\n")
    yield PAGE, "\n\n".join([title, parts[0], rest.strip(), *parts[2:]]) + "\n"
