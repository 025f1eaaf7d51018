"""What one app's page and one model's page are made of: tables that `subjects.js` picks rows from.

`#app/PACKAGE` and `#model/SHA-256` in the page's address show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from edgewise.report import packs, related
from edgewise.report.charts import category, tooltip
from edgewise.report.layers import FAMILIES, REST
from edgewise.report.names import APPS_NAMED, DEVICE, NAMED, TARGET
from edgewise.report.parts import Ask, Numbers, Spec

#: Rows of each table at most; the pages tell that there are more.
_ROWS = 200_000
#: Files that could not be parsed, at most: those that most apps ship first.
_OTHERS = 20_000
#: Layers, of the models that most apps ship first: whole models, while they fit.
_LAYERS = 100_000

_APPS = f"""
    with {APPS_NAMED}
    select key, app, package, version_name, version_code, kind, size_bytes, sha256, path, min_sdk,
      target_sdk, coverage.entries as entries, coverage.examined as examined,
      coverage.candidates as candidates, error, array_to_string(notes, ' · ') as notes,
      list_sort([e.key || ': ' || e.value for e in map_entries(listing)]) as listing
    from apps_named order by app, key
"""

#: A port in words: `input: float32 1×224×224×3`.
_PORTS = """[p.name || ': ' || p.dtype || ' '
    || coalesce(array_to_string(p.shape, '×'), 'of no known shape') for p in {ports}]"""

#: Of each content one row: parsed files by their label, then what could not be parsed.
_FILES = f"""
    with {NAMED},
    others as (
      select any_value(columns(models.* exclude (key, app_key, stored_at))), list(key) as keys,
        count(*) as places
      from models where status <> 'parsed' group by coalesce(sha256, key)
      order by places desc, list_min(keys) limit {_OTHERS}),
    every as (
      select * exclude (file) from named
      union all by name
      select *, regexp_extract(path, '[^/]+$') || ' · ' || left(coalesce(sha256, keys[1]), 6)
        as label from others),
    lying as (
      select coalesce(sha256, key) as content, any_value(path) as lies_at
      from models where app_key is null group by all)
    select keys, label as model, sha256, format, status, reason, size_bytes, places, name, producer,
      architecture, task, task_confidence as confidence_share, modality, layers, parameters, macs,
      macs_formula, flops, weight_bytes,
      list_sort(map_keys(weight_dtypes)) as weight_dtypes, quantization, peak_activation_bytes,
      zero_fraction as zeros_share, {_PORTS.format(ports="inputs")} as inputs,
      {_PORTS.format(ports="outputs")} as outputs,
      [d.target || case when d.runs_whole then ': whole'
        else ': not ' || array_to_string(map_keys(d.blocking), ', ') end for d in deployability]
        as delegates,
      array_to_string(notes, ' · ') as notes,
      lies_at as path, fingerprint, alike
    from every left join lying on content = coalesce(sha256, keys[1])
      left join (
        select sha256, dense_rank() over (order by structure) as alike from structures
        qualify count(distinct sha256) over (partition by structure) > 1) using (sha256)
    order by label, sha256
"""

_HELD = """
    select app_key, key, coalesce(nullif(regexp_extract(path, '!/(.*)$', 1), ''), path) as path,
      reach
    from models where app_key is not null order by app_key, path
"""

_EVIDENCE = """
    select app_key, replace(kind, '_', ' ') as kind, name, replace(grade, '_', ' ') as grade, reach,
      owner, "where", detail
    from evidence order by grade = 'string', app_key, kind, name, grade
"""

_MEASURED = f"""
    select sha256, {DEVICE} as device, {TARGET} as target, status, reason,
      latency_ms.p50 as p50_ms, latency_ms.ci95_low as low_ms, latency_ms.ci95_high as high_ms,
      latency_ms.p90 as p90_ms, latency_ms.n as runs, load_ms.p50 as load_ms,
      first_ms.p50 as first_ms, peak_memory_bytes, energy.inference_j as inference_j,
      energy.method as meter, stability, origin, left(context.started_at, 10) as measured_on
    from measurements where sha256 is not null order by sha256, device, target
"""

_LAYER_TIMES = f"""
    select sha256, {DEVICE} as device, {TARGET} as target, time.name as layer, time.op as op,
      time.mean_ms as mean_ms, time.share as of_all_share
    from (select *, unnest(layer_times) as time from measurements where sha256 is not null)
    order by sha256, device, target, mean_ms desc
"""

_ACCURACIES = """
    select sha256, accuracy, ci95_low as from_percent, ci95_high as to_percent, n as inputs, data,
      runtime, error
    from accuracies where sha256 is not null order by sha256, n desc
"""

_PLACED = """
    select sha256, device, server, link, connection, faster, on_device.total_ms as device_ms,
      cloud.total_ms as cloud_ms, time_ratio, on_device.energy_j as device_j,
      cloud.energy_j as cloud_j, frugal as spares_battery, reason
    from placements where sha256 is not null order by sha256, device, link, connection
"""

_USED_MOST = f"""
    with {NAMED}
    select list_min(keys) as key, coalesce(layers, 0) as layers
    from named order by sha256 in (select sha256 from measurements) desc, places desc,
      macs desc nulls last, label
"""

_LAYERS_OF = """
    select model_key, index, name, op, kind,
      array_to_string([array_to_string(s, '×') for s in output_shapes], ', ') as output,
      dtype, macs, parameters, weight_bytes, output_bytes
    from layers semi join layered using (model_key) order by model_key, index
"""


class Subjects:
    """The tables of one report's apps and models."""

    def __init__(self, ask: Ask) -> None:
        related.make_structures(ask)
        apps, files = ask.numbers(_APPS, _ROWS), ask.numbers(_FILES, _ROWS)
        self.names: Mapping[str, AbstractSet[str]] = {
            "app": {row[1] for row in apps.rows}, "model": {row[1] for row in files.rows},
        }  # fmt: skip
        self.tables = {"apps": _without_key(apps), "files": _without_key(files)}
        by_app = {row[0]: place for place, row in enumerate(apps.rows)}
        by_key = {key: place for place, row in enumerate(files.rows) for key in row[0]}
        by_hash = {row[2]: place for place, row in enumerate(files.rows) if row[2]}
        held = ask.numbers(_HELD, _ROWS)
        self.tables["held"] = packs.columns(
            ("app", "file", "path", "reach"),
            [
                (by_app[row[0]], by_key[row[1]], *row[2:])
                for row in held.rows
                if row[0] in by_app and row[1] in by_key
            ],
        ) | {"total": held.total}
        self._of("evidence", ask.numbers(_EVIDENCE, _ROWS), "app", by_app)
        for name, sql in (
            ("measured", _MEASURED), ("times", _LAYER_TIMES), ("accuracies", _ACCURACIES),
            ("placed", _PLACED),
        ):  # fmt: skip
            self._of(name, ask.numbers(sql, _ROWS), "file", by_hash)
        self._of("related", related.of_each(ask, _ROWS), "file", by_hash)
        self._layers_of = self._layers(ask, by_key)

    @property
    def empty(self) -> bool:
        """Whether there is nothing that has a page."""
        return not any(self.names.values())

    @property
    def layered(self) -> bool:
        """Whether there are layers to draw."""
        return bool(self.tables["layers"]["rows"])

    def data(self) -> dict[str, Any]:
        """What the page's script needs beside the tables: of how many of all parsed models it has
        the layers, how they are drawn, and what families of layers there are."""
        families = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
        return {
            "tables": list(self.tables), "layered": self._layers_of, "chart": _chart(),
            "families": families, "rest": REST,
        }  # fmt: skip

    def _of(self, name: str, numbers: Numbers, owner: str, places: Mapping[Any, int]) -> None:
        """A table whose first column says what its rows belong to: by place, not by key."""
        rows = [row for row in numbers.rows if row[0] in places]
        across = list(zip(*rows, strict=True)) if rows else [() for _ in numbers.columns]
        owners = packs.column(owner, [places[each] for each in across[0]])
        others = map(packs.column, numbers.columns[1:], map(_short, across[1:]))
        self.tables[name] = {
            "rows": len(rows), "columns": [owners, *others], "total": numbers.total,
        }  # fmt: skip

    def _layers(self, ask: Ask, places: Mapping[str, int]) -> tuple[int, int]:
        left, keys = _LAYERS, []
        used = ask.numbers(_USED_MOST, _ROWS).rows
        for key, layers in used:
            if layers > left:
                break
            keys.append(key)
            left -= layers
        import pyarrow as pa

        ask.bring("layered", pa.table({"model_key": pa.array(keys, pa.string())}))
        self._of("layers", ask.numbers(_LAYERS_OF, _ROWS), "file", places)
        return len(keys), len(used)


def _without_key(numbers: Numbers) -> dict[str, Any]:
    rows = [row[1:] for row in numbers.rows]
    return packs.columns(numbers.columns[1:], rows) | {"total": numbers.total}


def _short(values: Sequence[Any]) -> Sequence[Any]:
    """Nobody measured more than six digits."""
    if float not in set(map(type, values)):
        return values
    return [float(f"{each:.6g}") if isinstance(each, float) else each for each in values]


def _chart() -> Spec:
    """How a model's page draws its layers: bars of multiply-accumulates in the file's order."""
    return {
        "width": "container", "height": 220,
        "transform": [
            {"filter": "datum.macs > 0"},
            {"calculate": "datum.index - 0.4", "as": "from"},
            {"calculate": "datum.index + 0.4", "as": "to"},
        ],
        "mark": {"type": "rect"},
        "encoding": {
            "x": {
                "field": "from", "type": "quantitative",
                "axis": {"title": "layer, in order", "format": "d", "tickMinStep": 1},
                "scale": {"nice": False, "zero": False},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "macs", "type": "quantitative",
                "axis": {"title": "multiply-accumulates", "format": "~s", "tickCount": 5},
            },
            "y2": {"datum": 0},
            "color": category("family", ""),
            "tooltip": tooltip(
                ("index", "layer", "d"), ("name", "name"), ("op", "operator"),
                ("output", "output"), ("macs", "MACs", ",d"), ("parameters", "parameters", ",d"),
            ),
        },
    }  # fmt: skip
