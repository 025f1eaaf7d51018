"""The verb `lineage`: which models are the same, or come from one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output
from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from rich.table import Table

    from edgewise.records import Lineage, Model


def lineage(
    paths: list[str] = typer.Argument(
        metavar="FILE…|STORE", help="Model files, folders, files in packages; or a store."
    ),
    all_pairs: bool = typer.Option(
        False, "--all", help="Also pairs of the same architecture with other weights."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Which models are the same, or derived from one another: by their weights, not their names."""
    from edgewise.analysis.lineage import lineage as related

    failed: list[str] = []
    with output.progress("lineage", None, quiet=quiet) as advance:
        models = []
        for path in paths:
            for model in _models(path, failed):
                advance(model.path)
                models.append(model)
    found = []
    for pair in related(models):
        if as_json:
            output.emit(pair)
        elif all_pairs or pair.relation != "same_architecture":
            found.append(pair)
    if not as_json:
        _print(found, len(models))
    return 1 if failed else 0


def _models(path: str, failed: list[str]) -> Iterator[Model]:
    """Models with their weights' sketches: of a store those that it keeps, others are read."""
    from edgewise.analysis.summary import summarise
    from edgewise.formats.candidates import model_files

    if _is_store(path):
        yield from _stored(path)
        return
    try:
        for file in model_files(path):
            model = summarise(file, weights=True)
            if model.status != "parsed" and model.path == path:
                failed.append(path)
                output.fail(f"{path}: {model.reason}")
            yield model
    except EdgewiseError as error:
        failed.append(path)
        output.fail(str(error))


def _is_store(path: str) -> bool:
    from edgewise.store.parts import MARKER

    return "://" in path or (Path(path) / MARKER).exists()


def _stored(url: str) -> Iterator[Model]:
    """A store's models; those stored without their weights are read again, where they still lie."""
    from edgewise.analysis.summary import summarise
    from edgewise.archive import open_file
    from edgewise.store import Store

    missing, seen = 0, set()
    for model in Store.open(url).models():
        if model.status != "parsed":
            continue
        known = model.tensors is not None and any(row.sketch for row in model.tensors)
        if not known and model.sha256 not in seen:
            try:
                model = summarise(open_file(model.path), weights=True)
            except EdgewiseError:
                missing += 1
        seen.add(model.sha256)
        yield model
    if missing:
        output.fail(
            f"{url}: {missing} models were stored without weights and are no longer where they "
            "were: they are compared by their bytes alone (scan or inspect with --weights)"
        )


def _print(found: Sequence[Lineage], models: int) -> None:
    console = output.console()
    if found:
        console.print(_table(found))
    console.print(f"{len(found)} related pairs among {models} models", style="dim")
    for pair in found:
        for note in pair.notes:
            console.print(f"note: {_name(pair.a)}, {_name(pair.b)}: {note}", style="dim",
                          markup=False)  # fmt: skip


def _table(found: Sequence[Lineage]) -> Table:
    from rich.markup import escape

    table = output.table("model", "and", "are", ">shared", ">layers differ")
    for pair in found:
        table.add_row(
            escape(output.plain(_name(pair.a))), escape(output.plain(_name(pair.b))),
            pair.relation.replace("_", " "), f"{pair.shared_weight_fraction:.1%}",
            str(pair.layers_differing),
        )  # fmt: skip
    return table


def _name(path: str) -> str:
    return path.rpartition("/")[2]
