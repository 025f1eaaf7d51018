"""What is shipped: code for machine learning and how sure that is, formats, tasks, and what changed
from version to version."""

from __future__ import annotations

from edgewise.report import changes, snapshots
from edgewise.report.charts import PALETTE, category, rows_by, size_axis, tooltip
from edgewise.report.names import NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

#: How near code gets to what was found, the nearest first; the last: nothing but a text of it.
_STATES = {
    "loaded": "#2fa58a",
    "referenced": "#3f7fd9",
    "unreferenced": "#d8ab2b",
    "code cannot tell": "#9aa1ad",
    "a string only": "#dd5a72",
}
_ROWS = 40
#: Colours for formats; the last is of all others together.
_COLOURS = len(PALETTE)
_KINDS = {
    "framework": "framework", "llm": "language model", "accelerator": "accelerator",
    "cloud_api": "cloud API", "packer": "packer",
}  # fmt: skip

#: `seen`: each thing once per app, with the nearest reach of all its traces there.
_SEEN = """
    seen as (
      select app_key, kind, name, list(distinct grade) as grades, bool_or(owner = 'app') as own,
        case when bool_or(reach = 'loaded') then 'loaded'
          when bool_and(grade = 'string') then 'a string only'
          when bool_or(reach = 'referenced') then 'referenced'
          when bool_or(reach = 'unreferenced') then 'unreferenced'
          else 'code cannot tell' end as state
      from evidence group by app_key, kind, name)
"""

_CODE = f"""
    with {_SEEN}
    select name, replace(kind, '_', ' ') as kind, state, count(*) as apps,
      sum(count(*)) over (partition by kind, name)::bigint as in_all,
      array_to_string(list_sort(list_distinct(flatten(list(grades)))), ', ') as seen_as
    from seen group by kind, seen.name, state order by in_all desc, kind, seen.name, state
"""

_EVIDENCE = f"""
    with {_SEEN}
    select name, replace(kind, '_', ' ') as kind, count(*) as apps,
      count(*) filter (state = 'loaded') as loaded,
      count(*) filter (state = 'referenced') as referenced,
      count(*) filter (state = 'unreferenced') as unreferenced,
      count(*) filter (state = 'code cannot tell') as cannot_tell,
      count(*) filter (state = 'a string only') as string_only,
      count(*) filter (own) as from_own_code,
      array_to_string(list_sort(list_distinct(flatten(list(grades)))), ', ') as seen_as
    from seen group by kind, seen.name order by apps desc, kind, seen.name
"""

_TASKS = f"""
    with {NAMED},
    tasks as (
      select coalesce(task, 'not known' || coalesce(' (' || modality || ')', '')) as task,
        coalesce(format, 'unknown') as format, count(*) as files, sum(places)::bigint as copies,
        string_agg(distinct architecture, ', ' order by architecture) as architectures,
        sum(size_bytes)::bigint as size_bytes
      from named group by all),
    sizes as (select format, sum(files) as of_format from tasks group by format),
    ranked as (
      select format, case when row_number() over (order by of_format desc, format) < {_COLOURS}
        then format else 'others' end as shown_as
      from sizes)
    select tasks.*, shown_as from tasks join ranked using (format)
    order by files desc, task, format
"""


def section(ask: Ask) -> Section | None:
    """None where neither evidence nor a parsed model is in the store."""
    parts: list[Figure | Table] = []
    evidence = ask.numbers(_EVIDENCE, TABLE_ROWS)
    if evidence.rows:
        parts += [_code(ask.numbers(_CODE), evidence), Table("Evidence", _NOTE, evidence)]
    tasks = ask.numbers(_TASKS)
    if tasks.rows:
        parts.append(_by_task(tasks))
    parts += snapshots.parts(ask) or changes.parts(ask)
    if not parts:
        return None
    return Section("shipped", "What is shipped", _lead(ask), parts)


_NOTE = (
    "In how many apps, by how near code gets to it. Loaded: a constant that names a model flows "
    "to its loader. Referenced: code outside it uses it. Unreferenced: the code was read, and "
    "nothing gets to it. A string alone is no proof. Seen as: where its traces are."
)


def _lead(ask: Ask) -> str:
    found = ask.numbers("""
        select kind, count(distinct name) as names, count(distinct app_key) as apps
        from evidence where grade <> 'string' group by kind
    """).objects()
    said = {row["kind"]: row for row in found}
    parts = [
        f"{many(said[kind]['names'], word)} in {many(said[kind]['apps'], 'app')}"
        for kind, word in _KINDS.items()
        if kind in said
    ]
    if not parts:
        return "The formats and the tasks of the models."
    return f"Found in code, libraries, manifests and assets: {'; '.join(parts)}."


def _code(numbers: Numbers, evidence: Numbers) -> Figure:
    things = evidence.objects()
    order = list(_STATES)
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"calculate": "datum.name + ' · ' + datum.kind", "as": "thing"},
            {
                "window": [{"op": "dense_rank", "as": "place"}],
                "sort": [
                    {"field": "in_all", "order": "descending"}, {"field": "kind"}, {"field": "name"}
                ],
            },
            {"filter": f"datum.place <= {_ROWS}"},
            {"calculate": f"indexof({order}, datum.state)", "as": "order"},
        ],
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("thing"),
            "x": {
                "field": "apps", "type": "quantitative", "stack": "zero",
                "axis": size_axis("apps", tickMinStep=1),
            },
            "color": {
                "field": "state", "type": "nominal", "title": None,
                "scale": {"domain": order, "range": list(_STATES.values())},
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": tooltip(
                ("name", "name"), ("kind", "kind"), ("state", "reach"), ("apps", "apps", ",d"),
                ("seen_as", "seen as"),
            ),
        },
    }  # fmt: skip
    first = things[0]
    left_out = max(0, evidence.total - _ROWS)
    return Figure(
        "What their code uses",
        "Frameworks, language models, accelerators, cloud APIs and packers, by how near code gets "
        "to them." + (f" {left_out:,} in fewer apps are in the table." if left_out else ""),
        f"Bars of apps for each of {min(evidence.total, _ROWS)} things found, split by reach; "
        f"most often {first['name']}, in {first['apps']} apps.",
        spec,
        numbers,
        unit="apps",
        origin="read from code, libraries, manifests and assets",
        n=many(evidence.total, "thing"),
    )


def _by_task(numbers: Numbers) -> Figure:
    rows = numbers.objects()
    known = sum(row["files"] for row in rows if not row["task"].startswith("not known"))
    files = sum(row["files"] for row in rows)
    spec: Spec = {
        "height": {"step": 26},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("task", {"field": "files", "op": "sum", "order": "descending"}),
            "x": {
                "field": "files", "type": "quantitative",
                "axis": size_axis("different files", tickMinStep=1),
            },
            "color": category("shown_as", "format"),
            "tooltip": tooltip(
                ("task", "task"), ("format", "format"), ("files", "different files", ",d"),
                ("copies", "with copies", ",d"), ("architectures", "architectures"),
                ("size_bytes", "bytes", ".3~s"),
            ),
        },
    }  # fmt: skip
    return Figure(
        "Formats and tasks",
        f"Each file once. The task is told by the file or its graph for {known:,} of {files:,}; "
        "of the others, what goes in where that is known.",
        f"Bars of different model files by task, split by format; most are {rows[0]['task']} in "
        f"{rows[0]['format']}, {rows[0]['files']} files.",
        spec,
        numbers,
        unit="files",
        origin="read from the files",
        n=many(files, "file"),
    )
