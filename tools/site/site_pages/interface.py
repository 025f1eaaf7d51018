"""The Python interface as pages for mkdocstrings: what `edgewise` offers, and what plug-ins fulfil."""

from __future__ import annotations

from collections.abc import Iterator

from edgewise import _OFFERED
from edgewise.plugins import GROUPS
from site_pages.written import page

FOLDER = "reference/python"
_TITLES = {
    "api": ("verbs", "Verbs as functions"), "client": ("client", "Client"),
    "family": ("family", "Families"), "results": ("results", "Records and tables"),
    "store": ("store", "Store"),
}  # fmt: skip
#: How a whole module is shown: its text, then what it has, a level below the heading above it.
_MODULE = ("show_root_heading: false", "show_root_toc_entry: false", "heading_level: 3")
#: The contracts that a package outside can fulfil, by the group of their entry points.
CONTRACTS = {
    "formats": "edgewise.formats.contract", "runtimes": "edgewise.runtimes.contract",
    "devices": "edgewise.devices.contract", "meters": "edgewise.energy.meters.contract",
    "sources": "edgewise.apps.sources.contract", "extractors": "edgewise.apps.evidence.contract",
    "policies": "edgewise.selection.policies.protocol",
}  # fmt: skip


def made() -> Iterator[tuple[str, str]]:
    """A page per module that `import edgewise` offers names of, one for the contracts, one for errors."""
    assert {*_TITLES} == {*_OFFERED.values()}
    for module, (name, title) in _TITLES.items():
        names = [each for each, of in _OFFERED.items() if of == module]
        if module == "api":
            names.append("bench")
        yield f"{FOLDER}/{name}.md", page(title, *(_entry(f"edgewise.{module}.{n}") for n in names))
    assert {*CONTRACTS} == {*GROUPS}
    yield f"{FOLDER}/contracts.md", page(
        "Contracts for plug-ins",
        "What a module of another package has to offer. [Extending](../../extending/index.md) shows "
        "each with an implementer.",
        *(f"## {group}\n\n{_entry(module, *_MODULE)}"
          for group, module in CONTRACTS.items()),
    )  # fmt: skip
    yield (
        f"{FOLDER}/errors.md",
        page("Errors", _entry("edgewise.errors", *_MODULE[:-1])),
    )


def _entry(name: str, *options: str) -> str:
    lines = "".join(f"\n      {each}" for each in options)
    return f"::: {name}" + (f"\n    options:{lines}" if options else "")
