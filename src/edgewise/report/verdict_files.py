"""The verdict's sentences about files: what was looked at, formats, versions, reuse, precision."""

from __future__ import annotations

from edgewise.report import changes, mixes, published, snapshots
from edgewise.report import quantised as halved
from edgewise.report.names import APPS_NAMED, DEVICE, NAMED
from edgewise.report.numerals import bytes_text, count_text, many, percent, short
from edgewise.report.parts import Ask, Point

_NAMES = 3


def looked_at(ask: Ask) -> str:
    """Apps by name, how many model files, devices, dates, versions."""
    seen = ask.one(f"""
        select (select count(*) from apps) as apps,
          (select count(*) from models where status = 'parsed') as models,
          (select list_sort(list(distinct {DEVICE})) from measurements) as devices,
          (select min(context.started_at)[:10] from measurements) as first_day,
          (select max(context.started_at)[:10] from measurements) as last_day,
          (select string_agg(distinct context.os, ', ') from measurements
            where target.device = 'host') as systems,
          (select min(stored_at)::date::varchar from (select stored_at from apps
            union all select stored_at from models)) as read_from,
          (select max(stored_at)::date::varchar from (select stored_at from apps
            union all select stored_at from models)) as read_to
    """)
    parts = [_apps(ask, seen["apps"]), f"{many(seen['models'], 'model file')} read"]
    read = _days(seen["read_from"], seen["read_to"])
    text = ", ".join(part for part in parts if part) + (f" {read}" if read else "")
    devices = seen["devices"] or []
    if devices:
        more = f" and {len(devices) - _NAMES} more" if len(devices) > _NAMES else ""
        where = ", ".join(devices[:_NAMES]) + more
        system = f" ({seen['systems']})" if seen["systems"] and len(devices) == 1 else ""
        when = _days(seen["first_day"], seen["last_day"])
        text += f"; measured on {where}{system}" + (f" {when}" if when else "")
    versions = _versions(ask)
    return f"{text}{'; with ' + versions if versions else ''}."


def _apps(ask: Ask, count: int) -> str:
    """One app by its name and versions, several by how many they are."""
    names = ask.numbers("""
        select coalesce(label, package, parse_filename(path)) as app,
          list_sort(list(distinct version_name)) as versions
        from apps group by coalesce(package, key), app limit 2
    """).objects()
    if len(names) == 1:
        versions = " and ".join(each for each in names[0]["versions"] if each)
        return f"“{names[0]['app']}”" + (f" {versions}" if versions else "")
    return many(count, "app") if count else ""


def _days(first: str | None, last: str | None) -> str:
    days = list(dict.fromkeys(day for day in (first, last) if day))
    return "on " + days[0] if len(days) == 1 else " to ".join(days)


def _versions(ask: Ask) -> str:
    """Edgewise and the runtimes that measured."""
    rows = ask.numbers("""
        select distinct entry.key as name, entry.value as version from (
          select unnest(map_entries(context.versions)) as entry from measurements)
        where entry.key in (select target.runtime from measurements) or entry.key = 'edgewise'
        order by name = 'edgewise' desc, name, version
    """).rows
    return ", ".join(f"{name} {version}" for name, version in rows[: 2 * _NAMES])


def shipped(ask: Ask) -> Point | None:
    """Of what format most files are, how many are quantised, which is the largest."""
    found = ask.one(f"""
        with {NAMED}
        select count(*) as files, mode(format) as format,
          count(*) filter (format = (select mode(format) from named)) as of_format,
          count(*) filter (quantization not in ('none')) as quantised,
          count(*) filter (quantization is not null) as told,
          arg_max(label, size_bytes) as largest, max(size_bytes) as size_bytes
        from named
    """)
    if not found["files"] or found["size_bytes"] is None:
        return None
    told = f"; {found['quantised']:,} of {found['told']:,} are quantised" if found["told"] else ""
    return Point(
        f"Of {many(found['files'], 'different model file')} {found['of_format']:,} are "
        f"{found['format']}{told}; the largest is `{short(found['largest'])}` with "
        f"{bytes_text(found['size_bytes'])}.",
        "read from the files",
        see="models",
    )


def changed(ask: Ask) -> Point | None:
    """What two snapshots, or two versions of the apps, differ by."""
    if said := snapshots.finding(ask):
        return Point(*said, see="shipped")
    rows = ask.numbers(changes.Sides().apps(), 100_000).objects()
    if not rows:
        return None
    added, replaced, removed = (
        sum(row[fate] for row in rows) for fate in ("added", "replaced", "removed")
    )
    if len(rows) == 1:
        who = f"From {rows[0]['from_version']} to {rows[0]['to_version']} “{rows[0]['app']}”"
    else:
        who = f"From their first to their last version {len(rows):,} apps"
    text = f"{who} added {many(added, 'model')}, replaced {replaced:,}, removed {removed:,}."
    return Point(text, "read from both versions", see="shipped")


def reused(ask: Ask) -> Point | None:
    """How many contents are in several apps."""
    found = ask.one(f"""
        with {APPS_NAMED},
        held as (
          select m.sha256, count(distinct coalesce(package, a.key)) as apps,
            min(parse_filename(m.path)) as file
          from models m join apps_named a on a.key = m.app_key
          where m.status = 'parsed' and m.sha256 is not null group by m.sha256)
        select count(*) as contents, count(*) filter (apps > 1) as shared,
          arg_max(file, apps) as file, max(apps) as apps from held
    """)
    if not found["shared"]:
        return None
    return Point(
        f"{found['shared']:,} of {many(found['contents'], 'different model')} in apps "
        f"({percent(found['shared'] / found['contents'])}) are in more than one app; "
        f"`{short(found['file'])}` is in {found['apps']:,}.",
        "read from the packages: equal bytes",
        see="reuse",
    )


def quantised(ask: Ask) -> Point | None:
    """What quantisation saved, and what it cost, where one network was timed both ways."""
    rows = [row for row in halved.pairs(ask) if row["time_ratio"] is not None]
    if not rows:
        return None
    best = min(rows, key=lambda row: row["bytes_ratio"])
    points = best["accuracy_points"]
    cost = f", accuracy {points:+.1f} points" if points is not None else ""
    return Point(
        f"Quantised, `{short(best['after'])}` has {percent(best['bytes_ratio'])} of the bytes of "
        f"`{short(best['before'])}` and takes {percent(best['time_ratio'])} of its time{cost}.",
        f"measured: {best['runs']:,} runs" if best["runs"] else "measured",
        see="cost",
    )


def outdone(ask: Ask) -> Point | None:
    """A network with a published one that costs less and is more accurate."""
    rows = published.outdone(ask)
    if not rows:
        return None
    row = rows[0]
    more = f"; so have {len(rows) - 1:,} more of the files" if len(rows) > 1 else ""
    return Point(
        f"`{short(row['model'])}` is {row['published_as']} by its structure, published at "
        f"{row['accuracy']:.1f} % with {count_text(row['macs'])} MACs; {row['better']} has "
        f"{row['better_accuracy']:.1f} % with {count_text(row['better_macs'])} MACs and "
        f"{count_text(row['better_parameters'])} parameters instead of "
        f"{count_text(row['parameters'])}{more}.",
        f"accuracy published for ImageNet: {row['sources']}",
        see="frontier",
    )


def money(ask: Ask) -> Point | None:
    """What a million requests cost in the cloud, where a price was given."""
    rows = mixes.priced(ask)
    if not rows:
        return None
    row = rows[0]
    less = (
        f"; {row['best_cost_per_million']:.3g} where only those ask whom it answers sooner "
        f"({row['cloud_share']:.0%})"
        if row["best_cost_per_million"] is not None else ""
    )  # fmt: skip
    return Point(
        f"A million requests to `{short(row['model'])}` on {row['server']} cost "
        f"{row['cost_per_million']:.3g} at {row['price_per_core_hour']:g} a core hour{less}.",
        f"computed from a price that was given, for {row['mix']}",
        see="placement",
    )
