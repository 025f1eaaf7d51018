"""What the store says, in a few sentences: what was looked at, what was found, what was not seen.

Each sentence carries its origin: measured, computed, simulated or read from files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgewise.report import snapshots
from edgewise.report import verdict_files as files
from edgewise.report.names import APPS_NAMED, DEVICE
from edgewise.report.numerals import bytes_text, cell, count_text, many, percent, short
from edgewise.report.parts import Ask, Point, Section

#: Sentences at most.
_MOST = 7
#: How a number came about, in words.
_METHODS = {"model": "modelled", "profile": "from the store's measurements"}
_NAMES = 3


def section(ask: Ask) -> Section | None:
    """None for an empty store: the overview says what to do then."""
    found = findings(ask)
    if not found:
        return None
    return Section("verdict", "In short", files.looked_at(ask), (), points=[*found, *_unseen(ask)])


def findings(ask: Ask) -> list[Point]:
    """Up to seven findings, each with its origin, in the order of the chain: what ships, what it
    costs, how good it is, which model answers under load, where it should run. Of more, those
    that weigh least here are left out last."""
    best, cheap = _cost(ask)
    chain = (
        (one_or_all(ask), 0), (files.shipped(ask), 8), (_evidence(ask), 4),
        (files.changed(ask), 6 if snapshots.snapshots(ask) is None else 3),
        (files.reused(ask), 7), (best, 1), (cheap, 5), (files.outdone(ask), 4),
        (files.quantised(ask), 9), (_choice(ask), 2), (_load(ask), 6),
        (_both(_place(ask), files.money(ask)), 3),
    )  # fmt: skip
    known = [(weight, place, point) for place, (point, weight) in enumerate(chain) if point]
    most = sorted(known, key=lambda each: each[:2])[:_MOST]
    return [point for _, _, point in sorted(most, key=lambda each: each[1])]


def _both(place: Point | None, money: Point | None) -> Point | None:
    """Where models should run, and what that costs, as one finding."""
    if place is None or money is None:
        return place or money
    return replace(
        place, text=f"{place.text} {money.text}", origin=f"{place.origin}; {money.origin}"
    )


def one_or_all(ask: Ask) -> Point | None:
    """What the app ships, or how many of the apps ship models."""
    rows = ask.numbers(f"""
        with {APPS_NAMED.strip()}
        select app, package, version_name, a.size_bytes,
          count(m.path) filter (m.status = 'parsed') as models,
          sum(m.macs) as macs, count(*) filter (m.status = 'parsed' and m.macs is null) as unknown,
          sum(m.size_bytes) filter (m.status = 'parsed') as model_bytes
        from apps_named a left join models m on m.app_key = a.key
        where a.error is null group by all order by models desc, app
    """).objects()
    if not rows:
        return None
    if len(rows) == 1:
        return Point(_app(rows[0]), "read from the package", see="apps")
    counts = ask.one("""
        with holders as (select distinct app_key from models where status = 'parsed')
        select count(*) as apps, count(*) filter (key in (from holders)) as with_models,
          (select count(distinct sha256) from models where status = 'parsed'
            and app_key is not null) as distinct_models,
          (select count(*) from models where status = 'parsed' and app_key is not null) as copies
        from apps where error is null
    """)
    return Point(
        f"{counts['with_models']:,} of {counts['apps']:,} apps ship models "
        f"({percent(counts['with_models'] / counts['apps'])}): "
        f"{count_text(counts['distinct_models'])} different files, "
        f"{count_text(counts['copies'])} with copies.",
        "read from the packages",
        see="apps",
    )


def _app(row: dict[str, Any]) -> str:
    name = f"“{row['app']}”" + (f" {row['version_name']}" if row["version_name"] else "")
    if not row["models"]:
        return f"{name} ships no model that could be read."
    known = row["model_bytes"] is not None and row["size_bytes"]
    share = row["model_bytes"] / row["size_bytes"] if known else None
    macs = "" if row["macs"] is None else f", {count_text(row['macs'])} MACs together"
    if row["macs"] is not None and row["unknown"]:
        macs += f" without {row['unknown']} whose count is not known"
    size = f"; {bytes_text(row['model_bytes'])}" if row["model_bytes"] is not None else ""
    part = f" ({percent(share)} of the package)" if share is not None else ""
    return f"{name} ships {many(row['models'], 'model')}{macs}{size}{part}."


def _evidence(ask: Ask) -> Point | None:
    """The frameworks and cloud services that most apps use."""
    rows = ask.numbers("""
        select kind, name, count(distinct app_key) as apps from evidence
        where kind in ('framework', 'cloud_api', 'llm') and grade <> 'string'
        group by all order by apps desc, kind desc, name
    """).objects()
    if not rows:
        return None
    apps = ask.one("select count(*) as apps from apps")["apps"]

    def named(kinds: tuple[str, ...]) -> str:
        mine = [row for row in rows if row["kind"] in kinds]
        shown = [
            row["name"] + (f" ({many(row['apps'], 'app')})" if apps > 1 else "")
            for row in mine[:_NAMES]
        ]
        more = f" and {len(mine) - _NAMES} more" if len(mine) > _NAMES else ""
        return ", ".join(shown) + more

    local, cloud = named(("framework", "llm")), named(("cloud_api",))
    text = f"Machine-learning code that ships: {local or 'none that a signature knows'}"
    said = f"{text}; cloud services: {cloud or 'none'}."
    return Point(said, "read from code and libraries", see="shipped")


def _cost(ask: Ask) -> tuple[Point | None, Point | None]:
    """The best of the evaluated models with its time, and what a cheaper one gives."""
    rows = ask.numbers(f"""
        with timed as (
          select sha256, any_value(parse_filename(model, true)) as file,
            min(latency_ms.p50) as ms, arg_min(target, latency_ms.p50) as target,
            arg_min({DEVICE}, latency_ms.p50) as device,
            arg_min(latency_ms.n, latency_ms.p50) as n
          from measurements where status = 'ok' and target.batch = 1 and latency_ms.p50 is not null
          group by sha256),
        right_ as (
          select sha256, arg_max(model, a.n) as name, arg_max(accuracy, a.n) as accuracy,
            max(a.n) as inputs from accuracies a
          where accuracy is not null and sha256 is not null group by sha256)
        select coalesce(name, file) as name, ms, target.runtime as runtime, device,
          n, accuracy, inputs
        from timed left join right_ using (sha256) order by accuracy desc nulls last, ms
    """).objects()
    if not rows:
        return None, None
    known = [row for row in rows if row["accuracy"] is not None]
    if not known:
        slow = max(rows, key=lambda row: row["ms"])
        text = f"The slowest of {many(len(rows), 'measured model')}, `{short(slow['name'])}`, takes"
        where = f"{slow['runtime']} on {slow['device']}"
        said = f"{text} {cell('_ms', slow['ms'])} ({where})."
        return Point(said, f"measured, n = {slow['n']}", see="cost"), None
    best = known[0]
    first = Point(
        f"`{short(best['name'])}` is right on {best['accuracy']:.1f} % and takes "
        f"{cell('_ms', best['ms'])} ({best['runtime']} on {best['device']}).",
        f"measured: {best['inputs']:,} inputs, {best['n']:,} runs",
        see="frontier",
    )
    near = [row for row in known if best["accuracy"] - row["accuracy"] <= 2 and row is not best]
    if not near or (cheap := min(near, key=lambda row: row["ms"]))["ms"] >= best["ms"] / 1.5:
        return first, None
    return first, Point(
        f"`{short(cheap['name'])}` gives up {best['accuracy'] - cheap['accuracy']:.1f} points for "
        f"{best['ms'] / cheap['ms']:.1f} times the speed ({cheap['accuracy']:.1f} %, "
        f"{cell('_ms', cheap['ms'])}).",
        f"measured: {cheap['inputs']:,} inputs, {cheap['n']:,} runs",
        see="frontier",
    )


def _choice(ask: Ask) -> Point | None:
    """The case where the policies differ the most: under load, where any was simulated."""
    rows = ask.numbers("""
        with compared as (
          select network, sla_ms, offered_per_s, requests,
            max(effective_accuracy) as best, arg_max(policy, effective_accuracy) as policy,
            max(effective_accuracy) filter (policy <> 'deadline') as other,
            arg_max(policy, effective_accuracy) filter (policy <> 'deadline') as other_policy
          from simulations where duplicate is null
          group by network, sla_ms, offered_per_s, requests, profiles, arrivals, workers)
        from compared where other is not null
        order by offered_per_s is null, best - other desc, network, sla_ms limit 1
    """).objects()
    if not rows:
        return None
    row = rows[0]
    behind = "" if row["policy"] == row["other_policy"] else (
        f", where `{row['other_policy']}`, the best of the others, makes {row['other']:.1f} %"
    )  # fmt: skip
    load = row["offered_per_s"]
    rate = "Without load" if load is None else f"At {load:,.0f} requests/s"
    return Point(
        f"{rate} over {row['network']} with {row['sla_ms']:g} ms, `{row['policy']}` gives "
        f"{row['best']:.1f} % right answers in time{behind}.",
        f"simulated, {row['requests']:,} requests",
        see="choice",
    )


def _load(ask: Ask) -> Point | None:
    """The service as it was loaded last, over each link."""
    rows = ask.numbers("""
        select array_to_string(links, ', ') as link, attainment, sla_ms, offered_per_s, requests
        from loads where status <> 'void' and attainment is not null and sla_ms is not null
        qualify row_number() over (partition by links order by stored_at desc) = 1
        order by attainment desc, link
    """).objects()
    if not rows:
        return None
    said = [
        f"{percent(row['attainment'])} over {row['link'] or 'loopback'}" for row in rows[:_NAMES]
    ]
    return Point(
        f"The running service answered in time, within {rows[0]['sla_ms']:g} ms at "
        f"{rows[0]['offered_per_s']:,.0f}/s: {', '.join(said)}.",
        f"measured, {sum(row['requests'] for row in rows):,} requests",
        see="load",
    )


def _place(ask: Ask) -> Point | None:
    """Who wins, over which links, by how much."""
    rows = ask.numbers("""
        select link, count(distinct model) as models,
          count(distinct model) filter (faster = 'device') as device,
          min(greatest(time_ratio, 1 / time_ratio)) as low,
          max(greatest(time_ratio, 1 / time_ratio)) as high,
          list(distinct methods['cloud.upload_ms']) as methods
        from placements where connection = 'warm' and faster is not null and time_ratio > 0
        group by link order by link
    """).objects()
    if not rows:
        return None
    said = []
    for row in rows[:_NAMES]:
        here, all_ = row["device"], row["models"]
        who = (
            "the device wins for all" if here == all_
            else "the cloud wins for all" if here == 0
            else f"the device wins for {here} of {all_}"
        )  # fmt: skip
        times = f"{row['low']:.3g} to {row['high']:.3g} times"
        said.append(f"over {row['link']} {who} ({times})")
    by = sorted({method for row in rows for method in row["methods"] if method})
    origin = " and ".join(_METHODS.get(each, each) for each in by) or "computed"
    text = "; ".join(said)
    return Point(f"{text[0].upper()}{text[1:]}.", origin, see="placement")


def _unseen(ask: Ask) -> list[Point]:
    """What could not be looked at, counted."""
    counts = ask.one("""
        select count(*) filter (status = 'opaque') as opaque,
          count(*) filter (status = 'rejected') as rejected,
          count(*) filter (status = 'not_examined') as not_examined,
          (select count(*) from apps where error is not null) as apps,
          (select count(*) from measurements where status <> 'ok') as failed
        from models
    """)
    words = {
        "opaque": "opaque (only the format is certain)", "rejected": "rejected (no valid model)",
        "not_examined": "not examined", "apps": "apps not processed",
        "failed": "measurements failed",
    }  # fmt: skip
    said = [f"{counts[name]:,} {text}" for name, text in words.items() if counts[name]]
    if not said:
        return []
    return [Point(f"Not seen: {', '.join(said)}.", "counted in the store", see="unseen")]
