"""What we could not see: what was not read and why, what is not known of what was, all notes."""

from __future__ import annotations

from edgewise.report.charts import rows_by, tooltip
from edgewise.report.names import NAMED
from edgewise.report.numerals import count_text, many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table, Tile

_COUNTS = """
    select (select count(*) from models) as candidates,
      (select count(*) from models where status = 'parsed') as parsed,
      (select count(*) from models where status = 'opaque') as opaque,
      (select count(*) from models where status = 'rejected') as rejected,
      (select count(*) from models where status = 'not_examined') as not_examined,
      (select count(*) from apps) as apps,
      (select count(*) from apps where error is not null) as apps_failed,
      (select sum(coverage.entries - coverage.examined)::bigint from apps) as entries_left,
      (select count(*) from measurements) as measurements,
      (select count(*) from measurements where status <> 'ok') as failed
"""

_REASONS = """
    select status as outcome, coalesce(format, 'unknown') as format,
      coalesce(reason, '(no reason given)') as reason, count(*) as files,
      min(path) as example
    from models where status <> 'parsed' group by all
    union all
    select 'app not processed', coalesce(kind, 'unknown'), error, count(*), min(path)
    from apps where error is not null group by all
    union all
    select 'measurement ' || status, target.runtime, coalesce(reason, '(no reason given)'),
      count(*), min(model) from measurements where status <> 'ok' group by all
    order by files desc, outcome, reason
"""

#: Each field that may be null: what it is of, how many there are, how many are null, and what a
#: null means. Where records give a reason, the one most often given.
_FIELDS = f"""
    with {NAMED},
    counted as (
      select * from (select 'multiply-accumulates' as field, 'model files' as of_what,
          count(*) as looked_at, count(*) filter (macs is null) as unknown,
          'an operator that is not understood, or an input without a size' as because from named)
      union all (select 'parameters', 'model files', count(*),
        count(*) filter (parameters is null), 'the weights lie where they were not read'
        from named)
      union all (select 'peak activation memory', 'model files', count(*),
        count(*) filter (peak_activation_bytes is null),
        'the size of a tensor does not follow from the inputs' from named)
      union all (select 'layers', 'model files', count(*), count(*) filter (level <> 'graph'),
        'only the operators were read, not how they are joined' from named)
      union all (select 'task', 'model files', count(*), count(*) filter (task is null),
        'neither name nor metadata nor structure say it surely' from named)
      union all (select 'known architecture', 'model files', count(*),
        count(*) filter (architecture is null), 'its structure is of no family that is told'
        from named)
      union all (select 'statistics of weights', 'model files', count(*),
        count(*) filter (fingerprint is null), 'weights are read on demand: scan --weights'
        from named)
      union all (select 'reach of code', 'models in apps', count(*),
        count(*) filter (reach is null), 'code cannot tell what loads it: read from code that was '
          || 'not understood, or no code' from models
        where app_key is not null and status = 'parsed')
      union all (select 'reach of code', 'pieces of evidence', count(*),
        count(*) filter (reach is null), 'code cannot tell whether anything uses it' from evidence)
      union all (select 'package name', 'apps', count(*), count(*) filter (package is null),
        'no manifest that could be read' from apps where error is null)
      union all (select 'accuracy', 'measured models', count(distinct sha256),
        count(distinct sha256) filter (sha256 not in (
          select sha256 from accuracies where accuracy is not null and sha256 is not null)),
        'not evaluated: eval --store' from measurements where status = 'ok')
      union all (select 'time', 'model files', count(*), count(*) filter (sha256 not in (
          select sha256 from measurements where status = 'ok' and sha256 is not null)),
        'not measured: bench --store' from named where sha256 is not null)
      union all (select '90th percentile', 'measurements', count(*),
        count(*) filter (latency_ms.p90 is null), 'too few samples for it'
        from measurements where status = 'ok')
      union all (select 'energy', 'measurements', count(*),
        count(*) filter (energy.inference_j is null),
        coalesce(mode(energy.reason), 'no meter was read: bench --meter')
        from measurements where status = 'ok')
      union all (select 'coverage of a delegate', 'measurements', count(*),
        count(*) filter (coverage.operators is null),
        coalesce(mode(coverage.reason), 'the runtime does not tell')
        from measurements where status = 'ok' and target.delegate <> 'cpu')
      union all (select 'peak memory', 'measurements', count(*),
        count(*) filter (peak_memory_bytes is null), 'the device does not tell'
        from measurements where status = 'ok')
      union all (select 'accuracy', 'evaluations', count(*), count(*) filter (accuracy is null),
        coalesce(mode(error), 'no labels') from accuracies)
      union all (select 'time of both ways', 'placements', count(*),
        count(*) filter (faster is null), coalesce(mode(reason), 'a part of one way is not known')
        from placements)
      union all (select 'energy on the device', 'placements', count(*),
        count(*) filter (on_device.energy_j is null),
        'neither a meter nor a declared power: place --power' from placements)
      union all (select 'energy over the network', 'placements', count(*),
        count(*) filter (cloud.energy_j is null),
        'the radio of the link is not known, or computing beside it is not' from placements))
    select field, of_what as "of", looked_at, unknown,
      unknown / looked_at as unknown_share, because
    from counted where unknown > 0 order by unknown_share desc, field, of_what
"""

_NOTES = """
    select said_of, note, count(*) as times, min(example) as example from (
      select 'app' as said_of, unnest(notes) as note, path as example from apps
      union all select 'model', unnest(notes), path from models
      union all select 'measurement', unnest(notes), model from measurements
      union all select 'measurement, energy', unnest(energy.notes), model from measurements
      union all select 'evaluation', unnest(notes), model from accuracies
      union all select 'simulation', unnest(notes), policy || ' over ' || network from simulations
      union all select 'load', unnest(notes), model from loads
      union all select 'placement', unnest(notes), model || ' over ' || link from placements
      union all select 'mix of users', unnest(notes), model from placement_mixes)
    group by said_of, note order by times desc, said_of, note
"""


def section(ask: Ask) -> Section | None:
    """None where nothing was looked at; that nothing was missed is said, too."""
    counts = ask.one(_COUNTS)
    if not counts["candidates"] and not counts["apps"] and not counts["measurements"]:
        return None
    parts: list[Figure | Table] = []
    reasons = ask.numbers(_REASONS, TABLE_ROWS)
    fields = ask.numbers(_FIELDS, TABLE_ROWS)
    notes = ask.numbers(_NOTES, TABLE_ROWS)
    if reasons.rows:
        parts.append(Table("What could not be read, and why", "", reasons))
    if fields.rows:
        parts += [_figure(fields), Table("What is not known of what was read", _NOTE, fields)]
    if notes.rows:
        told = sum(row["times"] for row in notes.objects())
        caption = f"Each text once, with how often it was said; {told:,} in all."
        parts.append(Table("Notes", caption, notes))
    return Section("unseen", "What we could not see", _lead(counts), parts, _tiles(counts))


_NOTE = "Unknown is not zero: it is left out of every sum and picture, and counted here."


def _lead(counts: dict[str, int]) -> str:
    missed = counts["opaque"] + counts["not_examined"] + counts["apps_failed"] + counts["failed"]
    if not missed and not counts["rejected"]:
        return (
            f"All {many(counts['candidates'], 'file')} that may be models were read; nothing was "
            "refused or left out."
        )
    return (
        f"Of {many(counts['candidates'], 'file')} that may be models {counts['parsed']:,} were "
        "read. What was not, why, and what is not known of the others."
    )


def _tiles(counts: dict[str, int]) -> list[Tile]:
    apps = f"of {count_text(counts['apps'])}"
    tiles = [
        Tile("parsed", count_text(counts["parsed"]), f"of {count_text(counts['candidates'])}"),
        Tile("opaque", count_text(counts["opaque"]), "only the format is certain"),
        Tile("rejected", count_text(counts["rejected"]), "looked like models and are none"),
        Tile("not examined", count_text(counts["not_examined"]), "a limit was hit, or no reader"),
    ]
    if counts["apps"]:
        tiles.append(Tile("apps not processed", count_text(counts["apps_failed"]), apps))
    if counts["entries_left"]:
        tiles.append(Tile("entries not looked into", count_text(counts["entries_left"]), "of apps"))
    if counts["measurements"]:
        of = f"of {count_text(counts['measurements'])}"
        tiles.append(Tile("measurements failed", count_text(counts["failed"]), of))
    return tiles


def _figure(numbers: Numbers) -> Figure:
    spec: Spec = {
        "height": {"step": 24},
        "transform": [{"calculate": "datum.field + ' · ' + datum.of", "as": "what"}],
        "mark": {"type": "bar", "height": {"band": 0.7}, "color": "#8c93a0"},
        "encoding": {
            "y": rows_by("what"),
            "x": {
                "field": "unknown_share", "type": "quantitative", "scale": {"domain": [0, 1]},
                "axis": {"title": "not known", "format": ".0%", "tickCount": 5},
            },
            "tooltip": tooltip(
                ("field", "what"), ("of", "of"), ("unknown", "not known", ",d"),
                ("looked_at", "looked at", ",d"), ("unknown_share", "share", ".1%"),
                ("because", "because"),
            ),
        },
    }  # fmt: skip
    first = numbers.objects()[0]
    return Figure(
        "How much is not known",
        "The share of all for which a value could not be determined.",
        f"Bars of what is not known for {many(numbers.total, 'field')}; the most is "
        f"{first['field']} of {first['of']}, {first['unknown_share']:.0%}.",
        spec,
        numbers,
        unit="share of all",
        origin="counted in the store",
        n=many(numbers.total, "field"),
    )
