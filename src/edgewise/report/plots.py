"""One figure of the report as a file for a paper, with its data beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from edgewise.errors import InputError, UsageError
from edgewise.report import charts
from edgewise.report.page import as_csv, n_of, whole_spec
from edgewise.report.parts import Ask, Figure, Spec
from edgewise.report.sections import SECTIONS
from edgewise.store import Store

#: Endings of pictures that can be written.
SUFFIXES = (".png", ".svg", ".pdf")
#: Pixels of a PNG for each of the picture's own.
_SCALE = 2
#: Paper is white, whatever is behind the picture.
_LOOK = charts.LIGHT | {"background": "white", "padding": 6}
#: Pixels of a letter of the line below a picture, on average.
_LETTER = 5.6


@dataclass(frozen=True)
class Named:
    """A figure, what it is asked for by, and the title of the section that it stands in."""

    name: str
    section: str
    figure: Figure


def figures(store: Store) -> Mapping[str, Named]:
    """The figures that a store has numbers for, by their names, in the report's order.

    Raises:
        NewerStore, StoreError: the store cannot be read.
    """
    found: dict[str, Named] = {}
    with Ask(store) as ask:
        for make in SECTIONS:
            if (section := make(ask)) is None:
                continue
            for part in section.parts:
                if isinstance(part, Figure):
                    name = _free(_slug(part.title), found)
                    found[name] = Named(name, section.title, part)
    return found


def _slug(title: str) -> str:
    """ "MACs, by layer" → "macs-by-layer": nothing that a shell takes for its own."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "figure"


def _free(name: str, taken: Mapping[str, Named]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def named(figures: Mapping[str, Named], name: str) -> Named:
    """The figure of a name, or of its beginning where only one begins so.

    Raises:
        UsageError: there is none, or there are several; lists them.
    """
    if name in figures:
        return figures[name]
    begin_so = [each for each in figures if each.startswith(name)]
    if name and len(begin_so) == 1:
        return figures[begin_so[0]]
    known = ", ".join(begin_so or figures) or "none: the store has no numbers for any"
    which = "several figures are" if begin_so else "no figure is"
    raise UsageError(f"{which} called {name!r}", hint=f"figures: {known}")


def draw(figure: Figure, out: Path, *, width: int = 720, data: bool = True) -> Path | None:
    """Write a figure, `width` pixels (of 1/72 inch in a PDF) wide inside its axes; the file that
    its data were written to, which is called as the picture is but ends in `.csv`.

    Raises:
        UsageError: the name's ending is none of `SUFFIXES`.
        InputError: a file cannot be written.
    """
    content = _picture(figure, out.suffix.lower(), width)
    beside = out.with_suffix(".csv")
    try:
        out.write_bytes(content)
        if data:
            beside.write_bytes(as_csv(figure.numbers))
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror or error}") from error
    return beside if data else None


def _below(figure: Figure, width: int) -> Spec:
    """What a picture that goes about without its page still says: how much, of what, from where."""
    said = f"n: {n_of(figure)} · unit: {figure.unit} · origin: {figure.origin}"
    return {
        "text": wrap(said, max(20, int(width / _LETTER))),
        "orient": "bottom", "anchor": "start", "frame": "bounds", "offset": 8,
        "fontSize": 11, "fontWeight": "normal", "color": "#5b6675",
    }  # fmt: skip


def _picture(figure: Figure, suffix: str, width: int) -> bytes:
    import vl_convert

    spec = whole_spec(figure) | {"width": width, "title": _below(figure, width)}
    match suffix:
        case ".png":
            return bytes(vl_convert.vegalite_to_png(spec, config=_LOOK, scale=_SCALE))
        case ".svg":
            return str(vl_convert.vegalite_to_svg(spec, config=_LOOK)).encode()
        case ".pdf":
            return bytes(vl_convert.vegalite_to_pdf(spec, config=_LOOK))
    raise UsageError(f"a picture that ends in {suffix!r}", hint=f"one of {', '.join(SUFFIXES)}")
