"""What changed between two versions of an app: models, evidence, costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgewise.apps.kinship import CLOSENESS, Kin, Relations
from edgewise.apps.sides import inside
from edgewise.records import App, Change, Cost, Evidence, Model


def diff_sides(old: dict[str, App], new: dict[str, App]) -> Iterator[Change]:
    """Changes of all apps on two sides. A single app on each side is the same app, whatever it is
    called."""
    if len(old) == len(new) == 1:
        (before,), (after,) = old.values(), new.values()
        yield from diff(next(iter(new)), before, after)
        return
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(app=name, subject="app", change="removed", name=name, old=old[name].path)
        elif name not in old:
            yield Change(app=name, subject="app", change="added", name=name, new=new[name].path)
        else:
            yield from diff(name, old[name], new[name])


def diff(name: str, old: App, new: App) -> list[Change]:
    """All changes of one app; models first."""
    return [*_models(name, old, new), *_evidence(name, old, new)]


def cost(model: Model) -> Cost:
    """What a model costs."""
    return Cost(
        size_bytes=model.size_bytes, macs=model.macs, parameters=model.parameters,
        weight_bytes=model.weight_bytes, peak_activation_bytes=model.peak_activation_bytes,
        quantization=model.quantization,
    )  # fmt: skip


def shipped(app: App) -> list[Model]:
    """The models that an app has; what only looked like one is none."""
    return [model for model in app.models if model.status != "rejected"]


def paired(
    old: App, new: App, relations: Relations
) -> tuple[list[tuple[Model, Model]], list[Model], list[Model]]:
    """Models that correspond, those only in the old app, and those only in the new one.

    Equal bytes correspond first, then equal paths, then the closest kin.
    """
    before, after = shipped(old), shipped(new)
    pairs: list[tuple[Model, Model]] = []

    def take(keys: tuple[list[object], list[object]]) -> None:
        for i, key in reversed(list(enumerate(keys[0]))):
            if key is not None and key in keys[1]:
                j = keys[1].index(key)
                pairs.append((before.pop(i), after.pop(j)))
                del keys[0][i], keys[1][j]

    # The same bytes at the same place, then anywhere; then another content at the same place.
    take(([(m.sha256, inside(old, m.path)) for m in before],
          [(m.sha256, inside(new, m.path)) for m in after]))  # fmt: skip
    take(([m.sha256 for m in before], [m.sha256 for m in after]))
    take(([inside(old, m.path) for m in before], [inside(new, m.path) for m in after]))
    for each in CLOSENESS:
        for model in list(before):
            match = next((x for x in after if relations.between(model, x).relation == each), None)
            if match is not None:
                before.remove(model)
                after.remove(match)
                pairs.append((model, match))
    return sorted(pairs, key=lambda pair: pair[1].path), before, after


def _models(name: str, old: App, new: App) -> Iterator[Change]:
    relations = Relations()
    pairs, removed, added = paired(old, new, relations)
    for before, after in pairs:
        places = inside(old, before.path), inside(new, after.path)
        if before.sha256 != after.sha256:
            yield _changed(name, before, after, places, relations.between(before, after))
        elif places[0] != places[1]:
            yield Change(
                app=name, subject="model", change="moved", name=places[1], old=places[0],
                new=places[1], relation="identical", before=cost(before), after=cost(after),
            )  # fmt: skip
        elif before.reach != after.reach:
            yield Change(
                app=name, subject="model", change="changed", name=places[1], old=places[0],
                new=places[1], relation="identical", reach_before=before.reach,
                reach_after=after.reach,
            )  # fmt: skip
    for model in removed:
        place = inside(old, model.path)
        yield Change(
            app=name, subject="model", change="removed", name=place, old=place, before=cost(model)
        )
    for model in added:
        place = inside(new, model.path)
        yield Change(
            app=name, subject="model", change="added", name=place, new=place, after=cost(model)
        )


def _changed(name: str, before: Model, after: Model, places: tuple[str, str], kin: Kin) -> Change:
    return Change(
        app=name, subject="model", change="replaced", name=places[1], old=places[0],
        new=places[1], relation=kin.relation, before=cost(before), after=cost(after),
        reach_before=before.reach, reach_after=after.reach, notes=kin.notes,
    )  # fmt: skip


def _evidence(name: str, old: App, new: App) -> Iterator[Change]:
    before, after = _by_key(old.evidence), _by_key(new.evidence)
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        title = f"{key[1]} ({key[0].replace('_', ' ')}, {key[2].replace('_', ' ')})"
        if was is None or now is None:
            yield Change(
                app=name, subject="evidence", change="added" if was is None else "removed",
                name=title, old=was.detail if was else None, new=now.detail if now else None,
                reach_before=was.reach if was else None, reach_after=now.reach if now else None,
                owner_before=was.owner if was else None, owner_after=now.owner if now else None,
            )  # fmt: skip
        elif (was.reach, was.owner, was.detail) != (now.reach, now.owner, now.detail):
            yield Change(
                app=name, subject="evidence", change="changed", name=title, old=was.detail,
                new=now.detail, reach_before=was.reach, reach_after=now.reach,
                owner_before=was.owner, owner_after=now.owner,
            )  # fmt: skip


def _by_key(rows: Iterable[Evidence]) -> dict[tuple[str, str, str], Evidence]:
    return {(row.kind, row.name, row.grade): row for row in rows}
