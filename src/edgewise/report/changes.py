"""Two snapshots: what became of models and code of apps that the store has two versions of."""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.report.charts import category, rows_by, size_axis, tooltip
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 30
#: What becomes of a model, in its colour.
_FATES = {"added": "#2fa58a", "replaced": "#3f7fd9", "removed": "#dd5a72"}

#: `sides`: of every package with several versions the first and the last one, by version code.
_VERSIONS = """
    with versions as (
      from apps where package is not null and error is null
      qualify row_number() over (
        partition by package, coalesce(version_code::varchar, version_name, sha256)
        order by stored_at desc) = 1),
    placed as (
      select *, row_number() over each as nth, count(*) over (partition by package) as versions
      from versions window each as (
        partition by package order by version_code nulls first, version_name, stored_at)),
    sides as (
      select key, package, path, version_name, version_code, size_bytes, sha256, nth > 1 as newer,
        coalesce(last_value(label) over (partition by package order by nth
          rows between unbounded preceding and unbounded following), package) as app
      from placed where versions > 1 and nth in (1, versions))"""

#: `held`: the models of the apps that are on both sides, by place in the package; what only looked
#: like one is none. `fates`: a model of other bytes at the same place is replaced.
_FATES_OF_MODELS = """,
    shipped as (
      select package, newer, substr(m.path, length(s.path) + 3) as place, m.sha256, m.format,
        m.size_bytes, m.macs, m.quantization, m.status
      from {models} m join sides s on s.key = m.app_key where m.status <> 'rejected'),
    held as (
      select * exclude (status) from shipped where package in (
        select package from sides group by package having count(distinct newer) = 2)),
    old as (select * exclude newer from held where not newer),
    new as (select * exclude newer from held where newer),
    fates as (
      select package, place, 'replaced' as fate, o.format as format_before,
        n.format as format_after,
        o.size_bytes as before_bytes, n.size_bytes as after_bytes, o.macs as macs_before,
        n.macs as macs_after, o.quantization as quantization_before,
        n.quantization as quantization_after
      from new n join old o using (package, place)
      where n.sha256 is distinct from o.sha256
        and (package, n.sha256) not in (select package, sha256 from old where sha256 is not null)
      union all
      select package, place, 'added', null, format, null, size_bytes, null, macs, null, quantization
      from new where (package, place) not in (select package, place from old)
        and (package, sha256) not in (select package, sha256 from old where sha256 is not null)
      union all
      select package, place, 'removed', format, null, size_bytes, null, macs, null, quantization,
        null
      from old where (package, place) not in (select package, place from new)
        and (package, sha256) not in (select package, sha256 from new where sha256 is not null)),
    named as (
      select package, arg_max(app, newer) as app,
        max(version_name) filter (not newer) as from_version,
        max(version_name) filter (newer) as to_version,
        max(size_bytes) filter (not newer) as package_before_bytes,
        max(size_bytes) filter (newer) as package_after_bytes,
        bool_or(not newer) as was_there, bool_or(newer) as is_there,
        count(distinct sha256) = 1 as same_bytes
      from sides group by package),
    uses as (
      select distinct package, newer, e.name, replace(e.kind, '_', ' ') as kind
      from {evidence} e join sides s on s.key = e.app_key
      where e.grade <> 'string' and e.kind <> 'packer')"""

#: Each app, and what became of its models and code.
_APPS = """,
    counted as (
      select package, count(*) filter (not newer) as models_before,
        count(*) filter (newer) as models_after from shipped group by package),
    changed as (
      select package, count(*) filter (fate = 'added') as added,
        count(*) filter (fate = 'replaced') as replaced,
        count(*) filter (fate = 'removed') as removed from fates group by package),
    code as (
      select package, list_sort(list(distinct name) filter (newer)) as now,
        list_sort(list(distinct name) filter (not newer)) as was from uses group by package),
    apps_changed as (
      select app, package, {became}from_version, to_version,
        coalesce(models_before, 0) as models_before, coalesce(models_after, 0) as models_after,
        coalesce(added, 0) as added, coalesce(replaced, 0) as replaced,
        coalesce(removed, 0) as removed, package_before_bytes, package_after_bytes,
        nullif(array_to_string([x for x in now if not list_contains(coalesce(was, []), x)], ', '),
          '') as code_added,
        nullif(array_to_string([x for x in was if not list_contains(coalesce(now, []), x)], ', '),
          '') as code_removed
      from named left join counted using (package) left join changed using (package)
        left join code using (package))
    select * from apps_changed order by added + replaced + removed desc, app
"""

MODELS = """
    select app, fate as change, place as model, before_bytes, after_bytes, macs_before, macs_after,
      quantization_before, quantization_after, format_before, format_after
    from fates join named using (package) order by app, change, model
"""

FATES_OF = """
    select app, fate, count(*) as models from fates join named using (package)
    group by package, app, fate order by sum(count(*)) over (partition by package) desc, app, fate
"""

TREND = """
    select name || ' · ' || kind as thing, count(*) filter (not newer) as apps_before,
      count(*) filter (newer) as apps_after,
      count(*) filter (newer) - count(*) filter (not newer) as change
    from uses group by name, kind order by apps_after desc, apps_before desc, thing
"""


@dataclass(frozen=True)
class Sides:
    """Two sides of a comparison: SQL of `sides`, and the tables of their models and evidence."""

    sql: str = _VERSIONS
    models: str = "models"
    evidence: str = "evidence"
    #: A column of each app, with a comma after it.
    became: str = ""

    def asked(self, question: str) -> str:
        """A question about them, as SQL."""
        return f"{self.sql}{_FATES_OF_MODELS}{question}".format(
            models=self.models, evidence=self.evidence, became=self.became
        )

    def apps(self) -> str:
        """Each app, and what became of its models and code, as SQL."""
        return self.asked(_APPS)


def parts(ask: Ask) -> list[Figure | Table]:
    """Two versions of each app that has several; nothing where none has."""
    sides = Sides()
    apps = ask.numbers(sides.apps(), TABLE_ROWS)
    if not apps.rows:
        return []
    n = many(apps.total, "app")
    fates, trend = (ask.numbers(sides.asked(each)) for each in (FATES_OF, TREND))
    found = figures(fates, trend, n, f"From the first to the last version of {n}")
    found.append(Table("Apps from version to version", _NOTE, apps))
    models = ask.numbers(sides.asked(MODELS), TABLE_ROWS)
    return [*found, *models_changed(models)]


def figures(fates: Numbers, trend: Numbers, n: str, between: str) -> list[Figure | Table]:
    """What became of the models, and of the code that uses them; what there is of both."""
    found: list[Figure | Table] = []
    if fates.rows:
        found.append(_figure(fates, n, between))
    if trend.rows:
        said = "What their code uses, before and after", "Apps by what their code has"
        origin = "read from code, libraries, manifests and assets of two versions"
        found.append(before_after(trend, n, *said, origin))
    return found


def models_changed(models: Numbers) -> list[Table]:
    """The models that were added, replaced or removed, where there are any."""
    return [Table("Models that changed", _MODELS_NOTE, models)] if models.rows else []


_NOTE = (
    "The first and the last version that the store has of each package. Code is what is there by "
    "more than a text of it. `edgewise diff` says more of two packages."
)
_MODELS_NOTE = (
    "Replaced: other bytes at the same place in the package. What only moved is not listed."
)


def _figure(numbers: Numbers, n: str, between: str) -> Figure:
    rows = numbers.objects()
    totals = {fate: sum(row["models"] for row in rows if row["fate"] == fate) for fate in _FATES}
    said = ", ".join(f"{totals[fate]:,} {fate}" for fate in _FATES)
    colour = category("fate", "", list(_FATES))
    colour["scale"]["range"] = list(_FATES.values())
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"window": [{"op": "dense_rank", "as": "place"}], "sort": [
                {"field": "of_app", "order": "descending"}, {"field": "app"}]},
            {"filter": f"datum.place <= {_ROWS}"},
        ],
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("app"),
            "x": {
                "field": "models", "type": "quantitative", "stack": "zero",
                "axis": size_axis("models", tickMinStep=1),
            },
            "color": colour,
            "tooltip": tooltip(("app", "app"), ("fate", "what became"), ("models", "models", ",d")),
        },
    }  # fmt: skip
    spec["transform"].insert(
        0, {"joinaggregate": [{"op": "sum", "field": "models", "as": "of_app"}], "groupby": ["app"]}
    )
    return Figure(
        "What became of the models",
        f"{between}: {said}.",
        f"Bars of models that were added, replaced or removed, one per app: {said}.",
        spec,
        numbers,
        unit="models",
        origin="read from the packages: two versions of each",
        n=n,
    )


def before_after(numbers: Numbers, n: str, title: str, said: str, origin: str) -> Figure:
    """Dots of `apps_before` and `apps_after` for every `thing`."""
    rows = numbers.objects()
    up = [row for row in rows if row["change"] > 0]
    down = [row for row in rows if row["change"] < 0]
    x: Spec = {
        "type": "quantitative", "axis": size_axis("apps", tickMinStep=1),
        "scale": {"domainMin": 0},
    }  # fmt: skip
    tip = tooltip(
        ("thing", "what"), ("apps_before", "apps before", ",d"), ("apps_after", "after", ",d")
    )
    colour = category("when", "", ["before", "after"])
    colour["scale"]["range"] = ["#8c93a0", "#3f7fd9"]
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"window": [{"op": "row_number", "as": "place"}]}, {"filter": f"datum.place <= {_ROWS}"}
        ],
        "encoding": {"y": rows_by("thing", grid=True)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.4},
                "encoding": {"x": {**x, "field": "apps_before"}, "x2": {"field": "apps_after"}},
            },
            {
                "transform": [
                    {"fold": ["apps_before", "apps_after"], "as": ["side", "apps"]},
                    {"calculate": "replace(datum.side, 'apps_', '')", "as": "when"},
                ],
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9},
                "encoding": {"x": {**x, "field": "apps"}, "color": colour, "tooltip": tip},
            },
        ],
    }  # fmt: skip
    return Figure(
        title,
        f"{said}: of {many(numbers.total, 'thing')} {len(up):,} are in more "
        f"apps than before, {len(down):,} in fewer.",
        f"Dots of apps before and after for {many(numbers.total, 'thing')}; most now have "
        f"{rows[0]['thing']}, {rows[0]['apps_after']} apps.",
        spec,
        numbers,
        unit="apps",
        origin=origin,
        n=n,
    )
