"""Verbs about app packages: `scan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgewise.records import App, Model


#: What a package says of itself, and may leave out.
_STATED = ("package", "version_name", "version_code", "label", "min_sdk", "target_sdk")


def scan(
    paths: list[str] = typer.Argument(
        help="App packages (apk, apks, xapk, apkm, aab, aar, obb, ipa, zip, whl, tgz), folders, or "
        "URLs."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
    jobs: int | None = typer.Option(
        None, "--jobs", min=1, help="Apps at a time, each in a process of its own. [all cores]"
    ),
    timeout: float = typer.Option(600, "--timeout", min=1, help="Seconds that one app may take."),
    memory: int = typer.Option(2048, "--memory", min=64, help="MiB that one app may take."),
    again: bool = typer.Option(
        False, "--again", help="Also apps that the store has with this analysis already."
    ),
    bom: Path | None = typer.Option(
        None, "--bom", help="Also a bill of materials of each app (CycloneDX) into this folder."
    ),
    weights: bool = typer.Option(
        False, "--weights", help="Read the weights too, so that `lineage` and `report` relate them."
    ),
    snapshot: str | None = typer.Option(
        None,
        "--snapshot",
        metavar="NAME",
        help="With --store: remember which apps were there, under a name such as 2026-11.",
    ),
    ray: str | None = typer.Option(
        None, "--ray", help="Address of a Ray cluster that does the work; 'local' starts one."
    ),
) -> int:
    """Which models an app ships, what they cost, and what its code uses.

    With a store, apps that it has already are passed over: a run that was ended goes on with the
    same command. `report` compares the first snapshot with the last, in the order of their names.
    """
    from edgewise.apps import corpus
    from edgewise.apps.workers import Bounds
    from edgewise.errors import UsageError
    from edgewise.records import Sighting
    from edgewise.store import Store

    if snapshot is not None and (store is None or not snapshot.strip()):
        raise UsageError("--snapshot: a name, and --store that keeps it")

    if bom is not None:
        from edgewise import extras

        extras.check(["bom"], "--bom")
        bom.mkdir(parents=True, exist_ok=True)
    work = corpus.planned(paths)
    failed = 0
    with (
        output.kept_in(store) as keep,
        output.progress("scan", len(work), quiet=quiet, store=store) as advance,
    ):
        in_order = _InOrder(as_json)
        done = corpus.run(
            work,
            store=Store.open(store) if store else None,
            jobs=jobs,
            bounds=Bounds(timeout, memory << 20),
            again=again,
            ray=ray,
            weights=weights,
        )
        for each in done:
            if each.new:
                keep(each.app)
            if snapshot is not None:
                app = each.app
                keep(Sighting(snapshot=snapshot, path=app.path, sha256=app.sha256,
                              package=app.package))  # fmt: skip
            if bom is not None and each.app.error is None:
                _write_bom(bom, each.app)
            in_order.add(each.number, each.app)
            failed += each.app.error is not None and each.app.path == work[each.number].named
            advance(each.app.path)
    return 1 if failed else 0


def _write_bom(folder: Path, app: App) -> None:
    from edgewise.apps.bom import bill_of_materials

    name = Path(app.path.rstrip("/")).name or "app"
    (folder / f"{name}.cdx.json").write_text(bill_of_materials(app), encoding="utf-8")


class _InOrder:
    """Prints apps in the order that they were asked for, as soon as those before are printed."""

    def __init__(self, as_json: bool) -> None:
        self._as_json, self._next = as_json, 0
        self._waiting: dict[int, App] = {}

    def add(self, number: int, app: App) -> None:
        self._waiting[number] = app
        while (following := self._waiting.pop(self._next, None)) is not None:
            _print(following, self._as_json)
            self._next += 1


def _print(app: App, as_json: bool) -> None:
    if as_json:
        output.emit(_as_json(app))
    elif app.error is None:
        print_report(output.console(), app)
    if app.error is not None:
        output.fail(app.error)


def _as_json(app: App) -> dict[str, object]:
    """The record with a reason for every null. Layer tables are for the store; on a line of JSON
    `inspect --layers` gives them."""
    import msgspec

    from edgewise.cli.models import as_object

    models = [
        as_object(msgspec.structs.replace(m, layer_table=None, tensors=None)) for m in app.models
    ]
    for model in models:
        if "reach" not in model:
            model["reach"] = None
            output.explain_nulls(model, "not told by the code", ("reach",))
    fields = msgspec.to_builtins(msgspec.structs.replace(app, models=()))
    fields["models"] = models
    if app.error is None:
        output.explain_nulls(fields, "not stated in the package", _STATED)
    return fields  # type: ignore[no-any-return]


def print_report(console: Console, app: App) -> None:
    """What was found in an app, for people."""
    from rich.markup import escape
    from rich.padding import Padding

    console.print(f"[bold]{output.safe(app.path)}[/bold]\n  {escape(_who(app))}")
    if app.models:
        console.print(Padding.indent(_models_table(app), 2))
    if app.evidence:
        console.print(Padding.indent(_evidence_table(app), 2))
    console.print(f"  {_coverage(app)}")
    for reason, paths in _reasons(app).items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        console.print(f"  {paths[0]}{more}: {reason}")
    for note in app.notes:
        console.print(f"  [yellow]note[/yellow] {output.safe(note)}")
    console.print()


def _who(app: App) -> str:
    version = app.version_name or "?"
    code = f" ({app.version_code})" if app.version_code is not None else ""
    parts = [
        app.kind or "",
        output.size(app.size_bytes),
        f"{app.package} {version}{code}" if app.package else "",
        f"“{app.label}”" if app.label else "",
        f"Android API {app.min_sdk or '?'} to {app.target_sdk or '?'}" if app.min_sdk else "",
    ]
    return " · ".join(part for part in parts if part)


def _models_table(app: App) -> Table:
    with_tasks = any(model.task for model in app.models)
    table = output.table(
        "model", "format", ">size", ">params", ">MACs", "quantised",
        *(("task",) if with_tasks else ()), "outcome",
    )  # fmt: skip
    for model in app.models:
        table.add_row(_inside(app, model), *_columns(model, with_tasks))
    return table


def _evidence_table(app: App) -> Table:
    table = output.table("evidence", "kind", "seen as", "reached by", "where")
    for row in app.evidence:
        reach = " ".join(filter(None, (row.reach, f"by {row.owner}" if row.owner else "")))
        where = f"{row.where}: {row.detail}" if row.detail else row.where
        table.add_row(
            row.name, row.kind.replace("_", " "), row.grade.replace("_", " "), reach or "–",
            output.safe(where),
        )  # fmt: skip
    return table


def _columns(model: Model, with_tasks: bool) -> tuple[str, ...]:
    return (
        model.format or "?",
        output.size(model.size_bytes),
        output.count(model.parameters),
        output.count(model.macs),
        model.quantization or "–",
        *([model.task or "–"] if with_tasks else []),
        model.status.replace("_", " "),
    )


def _reasons(app: App) -> dict[str, list[str]]:
    """Why models were not parsed, and which."""
    reasons: dict[str, list[str]] = {}
    for model in app.models:
        if model.reason is not None:
            reason = output.safe(model.reason.removeprefix(f"{model.path}: "))
            why = f"{model.status.replace('_', ' ')}, {reason}"
            reasons.setdefault(why, []).append(_inside(app, model))
    return reasons


def _inside(app: App, model: Model) -> str:
    """Where in the package: the path without the package's own."""
    return output.safe(model.path.removeprefix(app.path).lstrip("!/"))


def _coverage(app: App) -> str:
    seen = app.coverage
    counts = ", ".join(
        f"{getattr(seen, name)} {name.replace('_', ' ')}"
        for name in ("parsed", "opaque", "rejected", "not_examined")
        if getattr(seen, name)
    )
    candidates = f"{seen.candidates} model candidates" + (f": {counts}" if counts else "")
    return f"{seen.examined:,} of {seen.entries:,} entries examined, {candidates}"
