"""Verbs about model files: `inspect` and `formats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from edgewise.cli import output
from edgewise.cli.arguments import parse_shape
from edgewise.errors import InputError

if TYPE_CHECKING:
    from edgewise.archive import File
    from edgewise.records import Deployability, LayerRow, Model


#: Outcomes of a file that the user named which count as not processed.
_NOT_PROCESSED = ("rejected", "not_examined")
#: Signs of a formula that people are shown.
_READABLE = 120
#: Operators that are named of those that a target does not take.
_SHOWN = 8
#: Fields of a parsed model that a file may leave out, and the family that its structure is of.
_STATED = ("name", "producer")
_FAMILY = ("architecture",)
_DEPLOYED = ("deployability",)
#: Fields that tell what a network is for, where rules are sure.
_PURPOSE = ("modality", "task", "task_confidence")


def inspect(
    files: list[str] = typer.Argument(
        help="Model files, folders to search, or files inside packages: app.apk!/assets/m.tflite."
    ),
    layers: bool = typer.Option(False, "--layers", help="The layer table."),
    weights: bool = typer.Option(False, "--weights", help="Read the weights: their statistics."),
    shape: list[str] = typer.Option(
        [], "--shape", metavar="NAME=1x3x224x224", help="Shape of an input; repeatable."
    ),
    verify: bool = typer.Option(False, "--verify", help="Load the model in its runtime too."),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """What a model is and what it costs: layers, parameters, multiply-accumulates, memory."""
    shapes = dict(parse_shape(text) for text in shape)
    named = 0
    with (
        output.kept_in(store) as keep,
        output.progress("inspect", len(files), quiet=quiet, store=store) as advance,
    ):
        for path in files:
            # The store keeps the layers in any case: its report shows them.
            for model in _inspect_path(path, layers or bool(store), weights, shapes, verify):
                failed = model.path == path and model.status in _NOT_PROCESSED
                if as_json or not failed:
                    _print(model, as_json, layers)
                if failed:
                    output.fail(f"{path}: {(model.reason or '').removeprefix(f'{path}: ')}")
                keep(model)
                named += failed
            advance(path)
    return 1 if named else 0


def _inspect_path(
    path: str, layers: bool, weights: bool, shapes: dict[str, list[int]], verify: bool
) -> Iterator[Model]:
    """Each model at a path as soon as it is read."""
    from edgewise.formats.candidates import model_files

    found = 0
    try:
        for file in model_files(path):
            yield _inspect_file(file, layers, weights, shapes, verify)
            found += 1
    except InputError as error:
        yield _rejected(path, str(error))
    else:
        if not found:
            yield _rejected(path, "no file in this folder is of a format that is known")


def _inspect_file(
    file: File, layers: bool, weights: bool, shapes: dict[str, list[int]], verify: bool
) -> Model:
    from edgewise.analysis.summary import summarise

    try:
        model = summarise(file, layers=layers, weights=weights, shapes=shapes)
    except InputError as error:  # the others of its folder are still to be read
        return _rejected(file.path, str(error))
    if not verify or model.status != "parsed":
        return model
    from edgewise.bench.verify import verified

    return verified(model, file)


def _rejected(path: str, reason: str) -> Model:
    from edgewise.records import Model

    return Model(path=path, format=None, status="rejected", reason=reason)


def _print(model: Model, as_json: bool, layers: bool) -> None:
    import msgspec

    if not layers:
        model = msgspec.structs.replace(model, layer_table=None)
    if as_json:
        fields = as_object(model)
        if model.status in _NOT_PROCESSED:
            fields["error"] = model.reason
        output.emit(fields)
    else:
        _print_report(model)


def as_object(model: Model) -> dict[str, object]:
    """The record with a reason for every null; what was not asked for is left out."""
    import msgspec

    fields = msgspec.to_builtins(model)
    for name in ("layer_table", "tensors", "verified", "verify_reason", "reach"):
        if fields[name] is None:
            del fields[name]
    if model.status == "parsed":
        output.explain_nulls(fields, "not stated in the file", _STATED)
        output.explain_nulls(fields, "its structure is of no family that is known", _FAMILY)
        output.explain_nulls(fields, "no list of supported operators for this format", _DEPLOYED)
        output.explain_nulls(fields, "neither names nor shapes tell", _PURPOSE)
    return fields  # type: ignore[no-any-return]


def _print_report(model: Model) -> None:
    from rich.table import Table

    console = output.console()
    console.print(f"[bold]{output.safe(model.path)}[/bold]")
    if model.status != "parsed":
        console.print(f"  {model.status}: {output.safe(model.reason or '')}\n")
        return
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column(style="dim")
    table.add_column()
    for name, value in _facts(model):
        table.add_row(name, output.safe(value))
    console.print(table)
    for note in model.notes:
        console.print(f"  [yellow]note[/yellow] {output.safe(note)}")
    if model.layer_table is not None:
        console.print(_layer_table(model.layer_table))
    console.print()


def _is_short(formula: str | None) -> bool:
    """Whether a person would read it; `--json` has all of it."""
    return formula is not None and len(formula) <= _READABLE


def _formula(model: Model) -> str:
    if not _is_short(model.macs_formula):
        return ""
    where = " = " if model.macs is not None else "; at sizes that it can run with "
    return f"{where}{model.macs_formula}"


def _facts(model: Model) -> list[tuple[str, str]]:
    ops = ", ".join(f"{op} {n}" for op, n in list((model.ops or {}).items())[:12])
    dtypes = ", ".join(f"{t} {output.size(n)}" for t, n in (model.weight_dtypes or {}).items())
    macs = output.count(model.macs)
    if model.macs is None:
        at_least = f" (at least {output.count(model.macs_known)})" if model.macs_known else ""
        macs = f"unknown{at_least}"
    facts = [
        ("format", f"{model.format}, {output.size(model.size_bytes)}"),
        ("producer", model.producer or "–"),
        *(("input", f"{p.name}  {output.shape(p.shape)}  {p.dtype}") for p in model.inputs or ()),
        *(("output", f"{p.name}  {output.shape(p.shape)}  {p.dtype}") for p in model.outputs or ()),
        ("layers", f"{model.layers}: {ops}"),
        ("parameters", f"{output.count(model.parameters)} ({dtypes or 'none'})"),
        ("MACs", macs + _formula(model)),
        ("FLOPs", output.count(model.flops)),
        ("peak activations", output.size(model.peak_activation_bytes)),
        ("quantisation", model.quantization or "–"),
    ]
    facts += [(f"on {one.target}", _runs(one)) for one in model.deployability or ()]
    if model.labels:
        facts.append(("labels", f"{len(model.labels)}: {', '.join(model.labels[:6])} …"))
    if model.fingerprint:
        facts.append(("fingerprint", model.fingerprint[:16]))
        facts.append(("zero weights", f"{(model.zero_fraction or 0):.2%}"))
        facts.append(("near zero", f"{(model.near_zero_fraction or 0):.2%}"))
        facts.append(("clustered tensors", str(model.clustered_tensors)))
    facts += [("quantised tensors", text) for text in _quantised(model)]
    if model.verified is not None or model.verify_reason:
        facts.append(("runtime", "loads it" if model.verified else f"{model.verify_reason}"))
    return facts


def _quantised(model: Model) -> list[str]:
    """How many tensors share a scale in which way, and their bits; nothing where none does."""
    found = Counter(
        f"per {row.quantized_per}" + (f" ({row.bits:g} bits)" if row.bits else "")
        for row in model.tensors or ()
        if row.quantized_per is not None
    )
    return [", ".join(f"{many} {what}" for what, many in found.most_common())] if found else []


def _runs(one: Deployability) -> str:
    """Whether the model runs there whole, or what does not."""
    if one.runs_whole:
        return "whole"
    shown = list(one.blocking.items())[:_SHOWN]
    more = " …" if len(one.blocking) > len(shown) else ""
    return f"not {', '.join(f'{op} {n}' for op, n in shown)}{more}"


def _layer_table(rows: tuple[LayerRow, ...]) -> object:
    table = output.table(">#", "op", "output", ">MACs", ">parameters", ">output size")
    for row in rows:
        table.add_row(
            str(row.index),
            output.safe(row.op),
            output.shape(row.output_shapes[0]) if row.output_shapes else "–",
            output.count(row.macs),
            output.count(row.parameters),
            output.size(row.output_bytes),
        )
    return table


def formats(as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP)) -> None:
    """The model formats that are known, and what is read of each."""
    from edgewise.formats import registry
    from edgewise.runtimes import registry as runtimes

    rows: list[dict[str, Any]] = [
        {
            "format": fmt.NAME,
            "level": fmt.LEVEL,
            "extensions": list(fmt.EXTENSIONS),
            "companions": [sibling.other for sibling in fmt.SIBLINGS],
            "runtimes": runtimes.names_for(fmt.NAME),
            "limits": dict(fmt.LIMITS),
            "sources": list(fmt.SOURCES),
        }
        for fmt in registry.formats()
    ]
    if as_json:
        for row in rows:
            output.emit(row)
        return
    table = output.table("format", "level", "extensions", "companions", "runs on")
    for row in rows:
        cells = list(row.values())[: len(table.columns)]
        table.add_row(*(cell if isinstance(cell, str) else " ".join(cell) for cell in cells))
    output.console().print(table)
