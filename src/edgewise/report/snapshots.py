"""Two snapshots of a market: which apps came and went, and what became of the others' models.

A snapshot is what one `scan --snapshot NAME` looked at, or all of a store. Of several in a store
the first and the last are compared, in the order of their names. An app is the same one by its
package, or by its file's name where it states none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from edgewise.report import changes
from edgewise.report.changes import Sides
from edgewise.report.charts import category, rows_by, size_axis, tooltip
from edgewise.report.numerals import many
from edgewise.report.parts import Ask, Figure, Numbers, Spec, Table

#: What an older store gives, by table: enough to tell what became of it.
_OLDER = {
    "apps": "key, path, sha256, size_bytes, package, version_name, version_code, label, error,"
    " analysis_version, stored_at",
    "models": "app_key, path, format, sha256, size_bytes, macs, quantization, status",
    "evidence": "app_key, kind, name, grade",
}
_SIGHTED = f"""
    create temp table snapshot_apps as
    select distinct snapshot, dense_rank() over (order by snapshot) as nth,
      {
    _OLDER["apps"]
    .replace("key, path, sha256", "a.key, a.path, a.sha256")
    .replace(" package", " a.package")
    .replace("stored_at", "a.stored_at")
}
    from main.sightings s join apps a on coalesce(a.sha256, a.path) = coalesce(s.sha256, s.path)
"""
_TWO_STORES = f"""
    create temp table snapshot_apps as
    select {{older}} as snapshot, 1 as nth, {_OLDER["apps"]} from (
      from older_apps qualify analysis_version = max(analysis_version)
        over (partition by coalesce(sha256, path)))
    union all select {{newer}}, 2, {_OLDER["apps"]} from apps
"""
#: Equal keys are equal rows: the same bytes under the same analysis.
_POOLED = """
    create temp table snapshot_{table} as
    select {columns} from {table}
    union all by name
    select {columns} from older_{table} where app_key not in (select key from apps)
"""
#: `snapshot_sides`: of the first and the last snapshot each app once, the newest where several are.
_SIDES = """
    create temp table snapshot_sides as
    select nth > 1 as newer, coalesce(package, parse_filename(path)) as package, key, path,
      version_name, version_code, size_bytes, sha256,
      coalesce(label, package, parse_filename(path)) as app
    from snapshot_apps
    where error is null and nth in (1, (select max(nth) from snapshot_apps))
    qualify row_number() over (partition by nth, coalesce(package, parse_filename(path))
      order by version_code desc nulls last, stored_at desc, key) = 1
"""

#: What becomes of an app, in its colour, the most telling first.
_FATES = {
    "came": "#2fa58a", "went": "#dd5a72", "got its first model": "#5cb0cf",
    "lost its last model": "#e8873a", "other models": "#3f7fd9", "other code": "#b565c9",
    "the same models and code": "#8c93a0", "the same package": "#c3c8d0",
}  # fmt: skip
_SAID = {
    "came": "came", "went": "went", "got its first model": "got their first model",
    "lost its last model": "lost their last model", "other models": "have other models",
}  # fmt: skip
_BECAME = """
    case when not was_there then 'came' when not is_there then 'went'
      when coalesce(models_before, 0) = 0 and coalesce(models_after, 0) > 0
        then 'got its first model'
      when coalesce(models_before, 0) > 0 and coalesce(models_after, 0) = 0
        then 'lost its last model'
      when coalesce(added, 0) + coalesce(replaced, 0) + coalesce(removed, 0) > 0
        then 'other models'
      when coalesce(now, []) <> coalesce(was, []) then 'other code'
      when same_bytes then 'the same package' else 'the same models and code' end as became,
"""

_COUNTS = """
    with held as (
      select a.snapshot, a.nth, a.key, a.error, m.sha256, m.path
      from snapshot_apps a left join snapshot_models m on m.app_key = a.key
        and m.status <> 'rejected'),
    coded as (
      select a.nth, count(distinct e.app_key) filter (kind = 'framework') as with_frameworks,
        count(distinct e.app_key) filter (kind = 'cloud_api') as with_cloud
      from snapshot_apps a join snapshot_evidence e on e.app_key = a.key
      where grade <> 'string' group by a.nth)
    select snapshot, count(distinct key) as apps,
      count(distinct key) filter (path is not null) as apps_with_models,
      any_value(coalesce(with_frameworks, 0)) as apps_with_frameworks,
      any_value(coalesce(with_cloud, 0)) as apps_with_cloud_apis,
      count(path) as model_files, count(distinct sha256) as different_models,
      count(distinct key) filter (error is not null) as not_processed
    from held left join coded using (nth) group by snapshot, nth order by nth
"""

#: By format, files and apps before and after; of the first and the last snapshot.
_FORMATS = """
    select coalesce(format, 'not known') as thing,
      count(*) filter (not newer) as files_before, count(*) filter (newer) as files_after,
      count(distinct package) filter (not newer) as apps_before,
      count(distinct package) filter (newer) as apps_after,
      count(distinct package) filter (newer) - count(distinct package) filter (not newer) as change
    from shipped where status in ('parsed', 'opaque') group by all
    order by apps_after desc, apps_before desc, thing
"""

_CONTENTS = """
    select count(*) filter (was and is_) as both, count(*) filter (was and not is_) as gone,
      count(*) filter (is_ and not was) as new
    from (select bool_or(not newer) as was, bool_or(newer) as is_ from shipped
      where sha256 is not null and status in ('parsed', 'opaque') group by sha256)
"""


@dataclass(frozen=True)
class Snapshots:
    """The first and the last snapshot by name, with their apps; each app that is on one side."""

    first: str
    last: str
    before: int
    after: int
    apps: Numbers
    all: Numbers
    sides: Sides

    def became(self, fate: str) -> int:
        """How many apps became so."""
        at = self.apps.columns.index("became")
        return sum(row[at] == fate for row in self.apps.rows)

    @property
    def n(self) -> str:
        """How much stands behind the comparison."""
        return f"{many(self.before, 'app')} in {self.first}, {self.after:,} in {self.last}"


_KNOWN: WeakKeyDictionary[Ask, Snapshots | None] = WeakKeyDictionary()


def snapshots(ask: Ask) -> Snapshots | None:
    """The comparison; None where there is one snapshot at most. Worked out once."""
    if ask not in _KNOWN:
        _KNOWN[ask] = _compared(ask)
    return _KNOWN[ask]


def _compared(ask: Ask) -> Snapshots | None:
    older = ask.before
    if older is not None:
        for table, columns in _OLDER.items():
            ask.bring(f"older_{table}", older.arrow(f"select {columns} from {table}"))
        names = _names(older.url, ask.store.url)
        first, last = ("'" + name.replace("'", "''") + "'" for name in names)
        ask.make(_TWO_STORES.format(older=first, newer=last))
        for table in ("models", "evidence"):
            ask.make(_POOLED.format(table=table, columns=_OLDER[table]))
    elif ask.one("select count(distinct snapshot) as named from main.sightings")["named"] > 1:
        ask.make(_SIGHTED)
        for table in ("models", "evidence"):
            ask.make(f"create temp view snapshot_{table} as from {table}")
    else:
        return None
    ask.make(_SIDES)
    sides = Sides("with sides as (from snapshot_sides)", "snapshot_models", "snapshot_evidence",
                  _BECAME)  # fmt: skip
    every = ask.computed(_COUNTS)
    counts = every.objects()
    if len(counts) < 2:
        return None
    held = ask.one("select count(*) filter (newer) as after, count(*) filter (not newer) as before"
                   " from snapshot_sides")  # fmt: skip
    return Snapshots(
        counts[0]["snapshot"], counts[-1]["snapshot"], held["before"], held["after"],
        ask.computed(sides.apps()), every, sides,
    )  # fmt: skip


def _names(older: str, newer: str) -> tuple[str, str]:
    short = [url.rstrip("/").rpartition("/")[2] for url in (older, newer)]
    return (older, newer) if short[0] == short[1] else (short[0], short[1])


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where there is one snapshot at most."""
    found = snapshots(ask)
    if found is None:
        return []
    contents, formats, fates, trend, models = (
        ask.computed(found.sides.asked(each))
        for each in (_CONTENTS, _FORMATS, changes.FATES_OF, changes.TREND, changes.MODELS)
    )
    between = f"Of the apps that are in {found.first} and in {found.last}"
    shown: list[Figure | Table] = [_became(found, contents.objects()[0])]
    if formats.rows:
        title, said = "Formats, before and after", "Apps by the formats that they ship"
        origin = "read from the packages of two snapshots"
        shown.append(changes.before_after(formats, found.n, title, said, origin))
    shown += changes.figures(fates, trend, found.n, between)
    return [*shown, *_tables(found), *changes.models_changed(models)]


def finding(ask: Ask) -> tuple[str, str] | None:
    """What changed in a sentence, and where it comes from."""
    found = snapshots(ask)
    if found is None:
        return None
    first, last = (dict(zip(found.all.columns, found.all.rows[at], strict=True)) for at in (0, -1))
    said = [
        f"{found.became(fate):,} {words}" for fate, words in _SAID.items() if found.became(fate)
    ]
    text = (
        f"From `{found.first}` to `{found.last}`, of the apps "
        f"{', '.join(said) or 'none came, went or changed its models'}. Different models: "
        f"{first['different_models']:,}, then {last['different_models']:,}."
    )
    return text, f"read from the packages: {found.n}"


def _became(found: Snapshots, contents: dict[str, Any]) -> Figure:
    """What became of the apps, as bars."""
    rows: list[tuple[str, str, int]] = []
    at = {name: place for place, name in enumerate(found.apps.columns)}
    for fate in _FATES:
        mine = [row for row in found.apps.rows if row[at["became"]] == fate]
        held = sum(1 for row in mine if row[at["models_before"]] or row[at["models_after"]])
        rows += [(fate, "with models", held), (fate, "without", len(mine) - held)]
    rows = [row for row in rows if row[2]]
    numbers = Numbers(("became", "which", "apps"), rows, len(rows), "")
    colour = category("which", "", ["with models", "without"])
    colour["scale"]["range"] = ["#3f7fd9", "#c3c8d0"]
    spec: Spec = {
        "height": {"step": 28},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("became", list(_FATES)),
            "x": {
                "field": "apps", "type": "quantitative", "stack": "zero",
                "axis": size_axis("apps", tickMinStep=1),
            },
            "color": colour,
            "tooltip": tooltip(("became", "they"), ("which", "which"), ("apps", "apps", ",d")),
        },
    }  # fmt: skip
    said = ", ".join(
        f"{found.became(fate):,} {fate}" for fate in ("came", "went") if found.became(fate)
    )
    return Figure(
        "What became of the apps",
        f"From {found.first} to {found.last}. Of the different models {contents['both']:,} are in "
        f"both, {contents['gone']:,} in {found.first} alone, {contents['new']:,} in {found.last} "
        "alone.",
        f"Bars of apps by what became of them: {said or 'none came or went'}.",
        spec,
        numbers,
        unit="apps",
        origin="read from the packages of two snapshots",
        n=found.n,
    )


def _tables(found: Snapshots) -> list[Table]:
    """The snapshots with their counts, and the apps of which something changed."""
    at = found.apps.columns.index("became")
    rows = [row for row in found.apps.rows if not row[at].startswith("the same")]
    order = list(_FATES)
    rows.sort(key=lambda row: order.index(row[at]))
    changed = Numbers(found.apps.columns, rows, len(rows), "")
    left = len(found.apps.rows) - len(rows)
    return [
        Table("Snapshots", _RULE, found.all),
        Table(
            "Apps that came, went or changed",
            "An app is known by its package, else by its file's name. Code is what is there by "
            "more than a text of it."
            + (f" Not listed: {many(left, 'app')} with the same models and code." if left else ""),
            changed,
        ),
    ]  # fmt: skip


_RULE = (
    "What one `scan --snapshot NAME` looked at, or a whole store, in the order of the names; the "
    "first and the last are compared. Model files: what was parsed, opaque or not examined."
)
