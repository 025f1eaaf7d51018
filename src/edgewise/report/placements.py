"""On the device or in the cloud: what each way spends its time and its energy on, and who wins."""

from __future__ import annotations

import json
from typing import Any

from edgewise.report import mixes
from edgewise.report.charts import by_log, category, dot_names, rows_by, tooltip
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

#: Cases (a model on a device against a server) whose phases are drawn at most, one of each model:
#: those first whose links disagree on the winner. And lines of the map at most.
_CASES = 3
_CURVES = 6

#: The phases of both ways, always in this order and these colours; what computes is warm, what
#: travels is blue.
_PHASES = {
    "load": "#dd5a72", "preprocess": "#d8ab2b", "encode": "#b8862f", "connect": "#8c93a0",
    "upload": "#3f7fd9", "queue": "#b565c9", "inference": "#e8873a", "download": "#5cb0cf",
    "postprocess": "#2fa58a",
}  # fmt: skip
#: How a number came about, in words.
_METHODS = {"model": "modelled", "profile": "from the store's measurements"}
_WAYS = {"device": "#e8873a", "cloud": "#3f7fd9"}

#: `named`: every placement with its model as a picture calls it: the file's name, and the start of
#: its hash where several files share the name.
_NAMED = """
    files as (
      select *, coalesce(nullif(regexp_extract(model, '[^/]+$'), ''), model) as file,
        coalesce(sha256, model) as content from placements),
    called as (
      select *, case when max(content) over shared = min(content) over shared then file
        else file || ' · ' || left(coalesce(sha256, md5(model)), 6) end as name
      from files window shared as (partition by file)),
    named as (select * exclude (file, content, name) replace (name as model) from called)
"""

#: `rows_`: of each model, device, server and link the latest row; over an open connection and with
#: the radio awake where there are several. `drawn`: those of the first few cases.
_ROWS = f"""
    {_NAMED.strip()},
    rows_ as (
      select *, model || ' on ' || device || ' or ' || server as case_ from named
      qualify row_number() over (partition by model, device, server, link
        order by connection desc, radio, stored_at desc, key) = 1),
    cases as (
      from (select model, case_, count(distinct faster) as winners, max(stored_at) as latest
        from rows_ where faster is not null group by model, case_)
      qualify row_number() over (partition by model order by winners desc, latest desc, case_) = 1
      order by winners desc, latest desc, case_ limit {_CASES}),
    drawn as (from rows_ semi join cases using (case_) where faster is not null)
"""

_SPENT = """
    with {rows},
    bars as (
      select case_, model || ' · on ' || device as answer, 0 as place, device as by_,
        [{{'phase': 'load', 'ms': {load}}},
         {{'phase': 'preprocess', 'ms': on_device.preprocess_ms}},
         {{'phase': 'inference', 'ms': on_device.inference_ms}},
         {{'phase': 'postprocess', 'ms': on_device.postprocess_ms}}] as phases
      from (from drawn qualify row_number() over (partition by case_ order by stored_at desc) = 1)
      where {known_device}
      union all
      select case_, model || ' · over ' || link, 1, server,
        [{{'phase': 'preprocess', 'ms': cloud.preprocess_ms}},
         {{'phase': 'encode', 'ms': cloud.encode_ms}}, {{'phase': 'connect', 'ms': {connect}}},
         {{'phase': 'upload', 'ms': cloud.upload_ms}}, {{'phase': 'queue', 'ms': cloud.queue_ms}},
         {{'phase': 'inference', 'ms': cloud.inference_ms}},
         {{'phase': 'download', 'ms': cloud.download_ms}},
         {{'phase': 'postprocess', 'ms': cloud.postprocess_ms}}]
      from drawn where {known_cloud}),
    spent as (select case_, answer, place, by_, unnest(phases) as part from bars),
    summed as (select *, sum(part.ms) over (partition by answer) as total_ms from spent)
    select answer, by_ as computed_by, part.phase as phase, part.ms as spent_ms, total_ms,
      part.ms / total_ms as of_answer_share
    from summed where part.ms > 0 order by case_, place, total_ms, answer
"""

_FRONTIER = f"""
    with {_ROWS},
    curves as (
      select model || ' · ' || device || ' or ' || server as curve, * from rows_
      where faster is not null and len(frontier) > 0
      qualify row_number() over (partition by model, device, server order by rtt_ms, link) = 1),
    chosen as (from curves order by stored_at desc, curve limit {_CURVES}),
    points as (select curve, unnest(frontier) as point from chosen)
    select curve, point.rtt_ms as rtt_ms, point.uplink_mbps as uplink_mbps, null as link
    from points where point.uplink_mbps between 0.01 and 2000
    union all
    select distinct null, greatest(rtt_ms, 1), uplink_mbps, link from rows_
    where uplink_mbps is not null and rtt_ms is not null
    order by curve nulls last, rtt_ms, link
"""

_ENERGY = f"""
    with {_ROWS},
    points as (
      select distinct model, 'on ' || device as place, 'device' as way, on_device.total_ms as ms,
        on_device.energy_j as energy_j from rows_ where on_device.energy_j > 0
      union
      select model, 'over ' || link, 'cloud',
        case connection when 'fresh' then cloud.first_total_ms else cloud.total_ms end,
        cloud.energy_j from rows_ where cloud.radio_j > 0 and cloud.energy_j > 0)
    select model, place, way, ms as answer_ms, energy_j from points where ms > 0
    order by way desc, place, model, ms
"""

_TABLE = f"""
    with {_NAMED}
    select model, device, server, link, connection, on_device.total_ms as on_device_ms,
      case connection when 'fresh' then cloud.first_total_ms else cloud.total_ms end as in_cloud_ms,
      faster, on_device.first_total_ms as first_on_device_ms,
      cloud.first_total_ms as first_from_cloud_ms, first_faster,
      on_device.energy_j as energy_on_device_j, cloud.energy_j as energy_in_cloud_j, frugal,
      break_even.uplink_mbps as break_even_uplink_mbps, break_even.rtt_ms as break_even_rtt_ms,
      methods['on_device.inference_ms'] as device_by, methods['cloud.upload_ms'] as network_by,
      coalesce(methods['on_device.energy_j'], methods['cloud.energy_j']) as energy_by,
      reason as why_not
    from named order by stored_at desc, model, device, server, link, connection desc, key
"""

_WORDS = f"""
    with {_ROWS}
    select case_ as "case", link, unnest(verdict) as says from drawn
    order by case_, link, generate_subscripts(verdict, 1)
"""

_NOTES = """
    select note, count(*) as placements from (select unnest(notes) as note from placements)
    group by note order by placements desc, note
"""

#: Where joules come from, in words: the notes say which power was declared, for which device.
_ORIGIN = """
    select string_agg(distinct replace(methods['on_device.energy_j'], 'model', 'modelled'), ', ')
        as way,
      (select string_agg(distinct note, '; ' order by note)
        from (select unnest(notes) as note from placements) where note like 'energy: compute is%')
        as note
    from placements where on_device.energy_j is not null
"""


def section(ask: Ask) -> Section | None:
    """None where nothing was placed."""
    table, users = ask.numbers(_TABLE, TABLE_ROWS), mixes.parts(ask)
    if not table.rows and not users:
        return None
    parts: list[Figure | Table] = []
    if table.rows:
        figures = (
            _spent(ask, first=False), _spent(ask, first=True), _map(ask.numbers(_FRONTIER)),
            _energy(ask.numbers(_ENERGY), ask.one(_ORIGIN)),
        )  # fmt: skip
        parts += [figure for figure in figures if figure]
        words = ask.numbers(_WORDS, TABLE_ROWS)
        if words.rows:
            parts.append(Table("In words", _WORDS_NOTE, words))
        parts.append(Table("Placements", _NOTE, table))
        notes = ask.numbers(_NOTES, TABLE_ROWS)
        if notes.rows:
            parts.append(Table("Notes on these figures", "", notes))
    parts += users
    return Section("placement", "Where it should run", _lead(ask), parts)


_NOTE = (
    "Means per request: of a later one (the model loaded, the connection open), and of the first. "
    "Energy is the device's; screen and idle power are left out."
)
_WORDS_NOTE = "What wins in the cases that are drawn, why, and what would turn it round."


def _lead(ask: Ask) -> str:
    said = ask.one(
        "select count(*) as rows, count(distinct model) as models,"
        " count(*) filter (faster = 'cloud') as cloud,"
        " count(*) filter (faster = 'device') as device,"
        " count(*) filter (reason is not null) as failed from placements"
    )
    if not said["rows"]:
        return "Many users, each behind a link of their own."
    text = (
        f"{said['models']:,} models over {said['rows']:,} combinations of device, server and link: "
        f"the cloud is faster in {said['cloud']:,}, the device in {said['device']:,}."
    )
    if said["failed"]:
        text += f" {said['failed']:,} have no numbers; the table says why."
    return text


def _spent(ask: Ask, *, first: bool) -> Figure | None:
    """The phases of both ways, of a later answer or of the first."""
    if first:
        conditions = {
            "load": "on_device.load_ms", "connect": "cloud.connect_ms",
            "known_device": "on_device.first_total_ms is not null",
            "known_cloud": "cloud.first_total_ms is not null",
        }  # fmt: skip
    else:
        conditions = {
            "load": "null::double",
            "connect": "case connection when 'fresh' then cloud.connect_ms end",
            "known_device": "on_device.total_ms is not null",
            "known_cloud": "cloud.total_ms is not null",
        }
    numbers = ask.numbers(_SPENT.format(rows=_ROWS, **conditions))
    rows = numbers.objects()
    if not rows:
        return None
    top = max(rows, key=lambda row: row["of_answer_share"])
    by = " and ".join(_origins(ask))
    title = "The first answer" if first else "A later answer"
    caption = (
        "With loading the model, or with opening the connection."
        if first
        else "The model is loaded and the connection open, unless every request opens its own."
    )
    return Figure(
        f"Where the time goes: {title.lower()}",
        caption,
        f"{title}: bars of the phases of each way, in ms. The largest part of an answer is "
        f"{top['phase']} with {top['of_answer_share']:.0%} of {top['answer']}.",
        _stacked([row["answer"] for row in rows]),
        numbers,
        unit="ms",
        origin=by,
    )


def _origins(ask: Ask) -> list[str]:
    """How the phases that are drawn came about: each way that is among them."""
    found = ask.numbers(f"""
        with {_ROWS}
        select distinct unnest(map_values(methods)) as method from drawn order by method
    """)
    return [_METHODS.get(str(row[0]), str(row[0])) for row in found.rows] or ["computed"]


def _stacked(answers: list[str]) -> Spec:
    colour = category("phase", "", list(_PHASES))
    colour["scale"]["range"] = list(_PHASES.values())
    place = f"indexof({json.dumps(list(_PHASES))}, datum.phase)"
    y = rows_by("answer", list(dict.fromkeys(answers)))
    return {
        "height": {"step": 22},
        "transform": [{"calculate": place, "as": "place"}],
        "mark": {"type": "bar", "cornerRadiusEnd": 0},
        "encoding": {
            "y": y,
            "x": {
                "field": "spent_ms", "type": "quantitative", "stack": "zero",
                "axis": {"title": "ms", "tickCount": 8},
            },
            "color": colour,
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": tooltip(
                ("answer", "answer"), ("computed_by", "by"), ("phase", "phase"),
                ("spent_ms", "ms", ".4~g"),
                ("of_answer_share", "of the answer", ".0%"), ("total_ms", "total, ms", ".4~g"),
            ),
        },
    }  # fmt: skip


def _map(numbers: Numbers) -> Figure | None:
    """Uplink over round trip: the line on which both ways take the same time, and the links."""
    rows = numbers.objects()
    curves = sorted({row["curve"] for row in rows if row["curve"]})
    if not curves:
        return None
    links = [row["link"] for row in rows if row["link"]]
    position = {
        "x": by_log("rtt_ms", "round trip, ms", [row["rtt_ms"] for row in rows], "~g"),
        "y": by_log("uplink_mbps", "uplink, Mbps", [row["uplink_mbps"] for row in rows], "~g"),
    }
    tip = tooltip(
        ("curve", "model"), ("rtt_ms", "round trip, ms", ".3~g"),
        ("uplink_mbps", "uplink, Mbps", ".3~g"),
    )  # fmt: skip
    colour = category("curve", "", curves) | {"legend": {"columns": 2, "labelLimit": 420}}
    line = {
        "transform": [{"filter": "isValid(datum.curve)"}],
        "mark": {"type": "line", "strokeWidth": 2, "clip": True, "point": {"size": 16}},
        "encoding": {"color": colour, "tooltip": tip},
    }
    here = {"transform": [{"filter": "isValid(datum.link)"}]}
    dot = {
        **here,
        "mark": {"type": "point", "filled": True, "size": 60, "shape": "diamond"},
        "encoding": {"tooltip": [{"field": "link", "title": "link"}, *tip[1:]]},
    }
    name = {
        **here,
        "mark": {"type": "text", "align": "left", "dx": 8, "dy": -2, "fontSize": 12},
        "encoding": {"text": {"field": "link"}},
    }
    return Figure(
        "Who is faster: uplink and round trip",
        "On a line both ways take the same time: above it the cloud is faster, below it the "
        "device. Diamonds are the links. A line that is missing at some round trips lies outside: "
        "there one way wins at any uplink.",
        f"Lines of the uplink above which the cloud is faster, over the round trip, for "
        f"{len(curves)} cases; links shown: {', '.join(links)}.",
        {
            "height": 380,
            "layer": [
                {"encoding": position, "layer": [line, dot, name]},
                _corner("above a line the cloud is faster", _WAYS["cloud"], top=True),
                _corner("below it the device is", _WAYS["device"], top=False),
            ],
        },
        numbers,
        unit="Mbps over ms",
        origin="computed from the rows' phases",
    )


def _corner(text: str, colour: str, *, top: bool) -> Spec:
    """A word in the plot's left corner."""
    return {
        "data": {"values": [{}]},
        "mark": {
            "type": "text", "text": text, "align": "left", "fontSize": 12, "color": colour,
            "x": 8, "y": 12 if top else {"expr": "height - 10"},
        },
    }  # fmt: skip


def _energy(numbers: Numbers, origin: dict[str, Any]) -> Figure | None:
    rows = numbers.objects()
    if len({row["way"] for row in rows}) < 2:
        return None
    places = list(dict.fromkeys(row["place"] for row in rows))
    colour: dict[str, Any] = category("place", "", places)
    least = min(rows, key=lambda row: row["energy_j"])
    x = by_log("answer_ms", "an answer, ms", [row["answer_ms"] for row in rows], "~g")
    y = by_log("energy_j", "energy, J", [row["energy_j"] for row in rows], "~g")
    dots = {
        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 0.9},
        "encoding": {
            "shape": {
                "field": "way", "type": "nominal", "title": "",
                "scale": {"domain": list(_WAYS), "range": ["square", "circle"]},
            },
            "tooltip": tooltip(
                ("model", "model"), ("place", "where"), ("answer_ms", "an answer, ms", ".3~g"),
                ("energy_j", "energy, J", ".3~g"),
            ),
        },
    }  # fmt: skip
    return Figure(
        "Latency against energy",
        "Below and to the left is better. The device's energy per answer: compute on the device, "
        "or radio and what the device prepares for the cloud. Joules of compute are "
        f"{origin['way'] or 'not known'}{': ' if origin['note'] else ''}"
        f"{(origin['note'] or '').removeprefix('energy: ')}.",
        f"Points of energy over latency, one per model and place; the least energy is "
        f"{least['energy_j']:.2g} J, {least['model']} {least['place']}.",
        {
            "height": 380,
            "encoding": {"x": x, "y": y, "color": colour},
            "layer": [dots, dot_names("model", x, y, rows)],
        },
        numbers,
        unit="joules over ms",
        origin=f"energy {origin['way'] or 'of an unknown origin'}",
    )  # fmt: skip
