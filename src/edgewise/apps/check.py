"""An app against a budget, or against a version that was good enough."""

from __future__ import annotations

from collections.abc import Iterator

from edgewise.apps.budget import COMPARED, Budget, allowed
from edgewise.apps.diff import paired, shipped
from edgewise.apps.kinship import Relations
from edgewise.apps.sides import inside
from edgewise.records import App, Evidence, Model, Violation

_NUMBERS = ("size_bytes", "macs", "parameters", "weight_bytes", "peak_activation_bytes")
_WORDS = ("quantization", "status", "reach")
#: Kinds of evidence that a new version may not gain in silence.
_WATCHED = ("cloud_api", "packer")


def check(name: str, app: App, budget: Budget) -> Iterator[Violation]:
    """Where an app exceeds a budget."""
    models = shipped(app)
    yield from _totals(name, models, budget)
    for model in models:
        yield from _model(name, inside(app, model.path), model, budget)
    for row in app.evidence:
        yield from _evidence(name, row, budget)


def check_baseline(name: str, old: App, new: App, budget: Budget) -> Iterator[Violation]:
    """Where an app is worse than an older one, by more than the budget lets it grow."""
    pairs, removed, added = paired(old, new, Relations())
    for before, after in pairs:
        if before.sha256 == after.sha256:
            continue
        place = inside(new, after.path)
        for field in COMPARED:
            was, now = getattr(before, field), getattr(after, field)
            if was is None:
                continue
            limit = allowed(budget.growth.get(field, 0), was)
            if now is None and budget.unknown == "refuse":
                yield _unknown(name, f"baseline.{field}", place, field, limit)
            elif now is not None and now > limit:
                yield Violation(
                    app=name, rule=f"baseline.{field}", subject=place, limit=limit, value=now,
                    message=f"{place}: {field} {now:,} where the baseline has {was:,}",
                )  # fmt: skip
    before_bytes = sum(model.size_bytes or 0 for model in shipped(old))
    now_bytes = sum(model.size_bytes or 0 for model in shipped(new))
    limit = allowed(budget.growth.get("size_bytes", 0), before_bytes)
    if added and not removed and now_bytes > limit:
        names = ", ".join(inside(new, model.path) for model in added)
        yield Violation(
            app=name, rule="baseline.total_size_bytes", subject=names, limit=limit, value=now_bytes,
            message=f"models of {now_bytes:,} bytes where the baseline has {before_bytes:,}: "
            f"{names} came",
        )  # fmt: skip
    known = {(row.kind, row.name) for row in old.evidence}
    gained = {(r.kind, r.name): r for r in new.evidence if (r.kind, r.name) not in known}
    for (kind, thing), row in gained.items():
        if kind in _WATCHED:
            yield Violation(
                app=name, rule=f"baseline.{kind}", subject=thing, value=thing,
                message=f"{kind.replace('_', ' ')} {thing} is new ({row.where})",
            )  # fmt: skip


def _totals(name: str, models: list[Model], budget: Budget) -> Iterator[Violation]:
    values: dict[str, float | None] = {"models": len(models)}
    for field in ("size_bytes", "weight_bytes"):
        known = [getattr(model, field) for model in models]
        values[field] = None if None in known else sum(known)
    for field, value in values.items():
        limit = getattr(budget.app, field)
        if limit is None:
            continue
        if value is None:
            if budget.unknown == "refuse":
                yield _unknown(name, f"app.{field}", name, field, limit)
        elif value > limit:
            yield Violation(
                app=name, rule=f"app.{field}", subject=name, limit=limit, value=value,
                message=f"{field} of all models together {value:,} exceeds {limit:,.0f}",
            )  # fmt: skip


def _model(name: str, place: str, model: Model, budget: Budget) -> Iterator[Violation]:
    for field in _NUMBERS:
        limit, value = getattr(budget.model, field), getattr(model, field)
        if limit is None:
            continue
        if value is None:
            if budget.unknown == "refuse":
                yield _unknown(name, f"model.{field}", place, field, limit)
        elif value > limit:
            yield Violation(
                app=name, rule=f"model.{field}", subject=place, limit=limit, value=value,
                message=f"{place}: {field} {value:,} exceeds {limit:,.0f}",
            )  # fmt: skip
    for field in _WORDS:
        words, word = getattr(budget.model, field), getattr(model, field)
        if words is None or word in words or (word is None and budget.unknown == "allow"):
            continue
        wanted = " or ".join(words)
        yield Violation(
            app=name, rule=f"model.{field}", subject=place, limit=wanted, value=word,
            message=f"{place}: {field} is {word or 'not known'}, not {wanted}",
        )  # fmt: skip


def _evidence(name: str, row: Evidence, budget: Budget) -> Iterator[Violation]:
    denied = budget.deny.get(row.kind, ())
    permitted = budget.allow.get(row.kind)
    kind = row.kind.replace("_", " ")
    if "*" in denied or row.name in denied:
        yield Violation(
            app=name, rule=f"deny.{row.kind}", subject=row.name, value=row.name,
            message=f"{kind} {row.name} is denied ({row.where}: seen as {row.grade})",
        )  # fmt: skip
    elif permitted is not None and "*" not in permitted and row.name not in permitted:
        yield Violation(
            app=name, rule=f"allow.{row.kind}", subject=row.name, value=row.name,
            limit=", ".join(permitted), message=f"{kind} {row.name} is not among those allowed",
        )  # fmt: skip


def _unknown(name: str, rule: str, place: str, field: str, limit: float) -> Violation:
    return Violation(
        app=name, rule=rule, subject=place, limit=limit,
        message=f"{place}: {field} is not known, so that the limit {limit:,.0f} cannot be shown "
        'to hold (unknown = "allow" lets it pass)',
    )  # fmt: skip
