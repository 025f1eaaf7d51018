"""Verbs about two versions of an app, and about limits: `diff`, `check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from edgewise.records import Change, Cost, Violation

#: Exit status where a limit is exceeded (cli.md).
_EXCEEDED = 3
_HEADINGS = ("app", "change", "what", "became", "before and after")
_COSTS = (("size_bytes", "size"), ("parameters", "parameters"), ("macs", "MACs"))


def diff(
    old: str = typer.Argument(help="An app package, a folder of them, or a store."),
    new: str = typer.Argument(help="The same, later."),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    markdown: bool = typer.Option(False, "--markdown", help="A table for a pull request."),
) -> int:
    """What changed between two versions: models, what became of them, evidence, costs."""
    from edgewise.apps.diff import diff_sides
    from edgewise.apps.sides import apps_of

    changes = list(diff_sides(apps_of(old), apps_of(new)))
    if as_json:
        for change in changes:
            output.emit(change)
    elif markdown:
        typer.echo(_markdown(changes))
    else:
        _print(changes)
    return 0


def check(
    app: str = typer.Argument(help="An app package, or a folder of them."),
    budget: Path | None = typer.Option(None, "--budget", help="Limits: a TOML file."),
    baseline: str | None = typer.Option(
        None, "--baseline", help="No worse than this package, folder or store."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    sarif: Path | None = typer.Option(None, "--sarif", help="Also write the violations as SARIF."),
) -> int:
    """Pass or fail against limits. Exit status 3 where one is exceeded, a line for each.

    Example: `edgewise check app.apk --budget budget.toml --baseline released.apk`
    """
    from edgewise.apps.budget import Budget, read_budget
    from edgewise.apps.check import check as check_app
    from edgewise.apps.check import check_baseline
    from edgewise.apps.sides import apps_of
    from edgewise.errors import UsageError

    if budget is None and baseline is None:
        raise UsageError("check needs --budget, --baseline, or both")
    if sarif is not None:
        output.check_writable(sarif, "--sarif")
    limits = read_budget(str(budget)) if budget is not None else Budget()
    apps = apps_of(app)
    older = apps_of(baseline) if baseline is not None else {}
    violations: list[Violation] = []
    for name, each in apps.items():
        if budget is not None:
            violations += check_app(name, each, limits)
        before = older.get(name) or (next(iter(older.values())) if len(older) == 1 else None)
        if before is not None:
            violations += check_baseline(name, before, each, limits)
        elif baseline is not None:
            output.fail(f"{name}: not in the baseline {baseline}, so that nothing was compared")
    if sarif is not None:
        from edgewise.apps.sarif import sarif as as_sarif

        sarif.write_text(json.dumps(as_sarif(violations, app), indent=1) + "\n", encoding="utf-8")
    for violation in violations:
        if as_json:
            output.emit(violation)
        else:
            typer.echo(output.plain(f"{violation.rule}: {violation.message}"))
    if not violations and not as_json:
        typer.echo(f"{len(apps)} app{'s' if len(apps) > 1 else ''} within the limits")
    return _EXCEEDED if violations else 0


def _print(changes: list[Change]) -> None:
    from rich.markup import escape

    if not changes:
        typer.echo("no differences in models and evidence")
        return
    table = output.table(*_HEADINGS)
    for change in changes:
        table.add_row(*(escape(output.plain(cell)) for cell in _cells(change)))
    output.console().print(table)


def _markdown(changes: list[Change]) -> str:
    if not changes:
        return "No differences in models and evidence."
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
    for change in changes:
        cells = (output.plain(cell).replace("|", "\\|").replace("<", "&lt;")
                 for cell in _cells(change))  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(change: Change) -> tuple[str, str, str, str, str]:
    relation = change.relation.replace("_", " ") if change.relation else ""
    if change.subject == "model" and change.change == "replaced" and not relation:
        relation = "another network"
    what = change.name
    if change.old and change.new and change.subject == "model" and change.old != change.new:
        what = f"{change.old} → {change.new}"
    return change.app, f"{change.subject} {change.change}", what, relation, _effect(change)


def _effect(change: Change) -> str:
    found = [_step(title, _value(change.before, name), _value(change.after, name))
             for name, title in _COSTS]  # fmt: skip
    if change.before or change.after:
        was = change.before.quantization if change.before else None
        now = change.after.quantization if change.after else None
        if was != now:
            found.append(f"quantised {was or '–'} → {now or '–'}")
    if change.reach_before != change.reach_after:
        found.append(f"reach {change.reach_before or '–'} → {change.reach_after or '–'}")
    if change.subject == "evidence" and change.old != change.new:
        found.append(f"{change.old or '–'} → {change.new or '–'}")
    return "; ".join((*filter(None, found), *change.notes))


def _value(cost: Cost | None, name: str) -> int | None:
    return None if cost is None else getattr(cost, name)


def _step(title: str, was: int | None, now: int | None) -> str:
    if was == now:
        return ""
    show = output.size if title == "size" else output.count
    share = f" ({100 * (now / was - 1):+.0f} %)" if was and now is not None else ""
    return f"{title} {show(was)} → {show(now)}{share}"
