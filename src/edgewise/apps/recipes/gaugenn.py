"""Almeida et al., "Smart at what cost? Characterising Mobile Deep Neural Networks in the wild".

What was found in 16,000 apps of 2021, asked of the apps, models and measurements of any store.
`gaugenn.toml` has the statements; a query here answers each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from edgewise.apps.study import Asking, Study, asking
from edgewise.papers import Answer, Statement, beside, of_share, read_paper
from edgewise.records import Agreement, Model, PublishedFinding
from edgewise.store import Store

PAPER = read_paper(Path(__file__).with_suffix(".toml"))
#: What "small", "gap" and "heterogeneous" are taken for, where the paper's words have no number.
_SMALL, _RARE, _APART = 0.25, 0.5, 2.0
#: Models whose relation says that training went on from a common origin.
_TRAINED_ON = ("fine_tuned", "shares_layers")


class Asked(NamedTuple):
    """A store and what answers SQL of the apps that count."""

    store: Store
    ask: Asking


def findings(store: Store, study: Study | None = None) -> list[PublishedFinding]:
    """The paper's statements beside what a store says; with a study, of its apps alone.

    Raises:
        StoreError: the store lacks apps of the study.
    """
    with asking(store, study) as ask:
        return beside(PAPER, QUERIES, Asked(store, ask))


def _apps(stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("select count(*) as n, count(distinct package) as packages from a")
    agrees: Agreement = "yes" if row["n"] > float(stated.theirs) else "no"
    return Answer(row["n"], row["n"], agrees, f"{row['packages']:,} different packages")


def _popular(_stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("""
        select count(*) as n, count_if(key in (select app_key from m)) as with_models,
          count_if(key in (select app_key from e where kind in ('framework', 'llm')))
            as with_framework, count_if(key in (select key from hidden)) as hidden from a""")
    if not row["n"]:
        return Answer(None, 0, "cannot tell", "there are no apps here")
    why = (
        f"{row['with_models']:,} apps with models, {row['with_framework']:,} with a framework, "
        f"{row['hidden']:,} in which something may be hidden"
    )
    return Answer(100 * row["with_models"] / row["n"], row["n"], "cannot tell", why, (row,))


_FORMATS = "select format, count(*) as models from m group by format order by models desc, format"


def _tflite(stated: Statement, of: Asked) -> Answer:
    rows = of.ask(_FORMATS)
    counted = {row["format"]: row["models"] for row in rows}
    return of_share(stated, counted.get("tflite", 0), sum(counted.values()), "models")


def _order(stated: Statement, of: Asked) -> Answer:
    rows = of.ask(_FORMATS)
    n = sum(row["models"] for row in rows)
    if len(rows) < 3:
        return Answer(None, n, "cannot tell", f"{len(rows)} formats here", tuple(rows))
    ours = ", ".join(row["format"] for row in rows[:3])
    why = ", ".join(f"{row['format']} {row['models']:,}" for row in rows[:6])
    agrees: Agreement = "yes" if ours == stated.theirs else "no"
    return Answer(ours, n, agrees, why, tuple(rows))


def _reused(stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("""
        select count(*) as models, count(distinct sha256) as contents,
          count_if(apps > 1) as in_several
        from (select sha256, count(distinct app_key) over (partition by sha256) as apps
              from m where sha256 is not null)""")
    found = of_share(stated, row["in_several"], row["models"], "models")
    return found._replace(
        why=f"the same bytes in two apps or more: {found.why}; {row['contents']:,} different ones",
        details=(row,),
    )


def _fine_tuned(_stated: Statement, of: Asked) -> Answer:
    from edgewise.analysis.lineage import lineage

    models = _weighed(of)
    (counted,) = of.ask("select count(distinct sha256) as n from m where status = 'parsed'")
    if not models:
        why = f"the weights of {counted['n']:,} models were not read (inspect --weights --store)"
        return Answer(None, 0, "cannot tell", why)
    trained = {
        path
        for pair in lineage(models)
        if pair.relation in _TRAINED_ON
        for path in (pair.a, pair.b)
    }
    share = len(trained) / len(models)
    why = f"{len(trained):,} of {len(models):,} contents share part of their weights with another"
    agrees: Agreement = "yes" if share < _SMALL else "no"
    if len(models) < counted["n"]:
        why += f"; the weights of {counted['n'] - len(models):,} more were not read"
    return Answer(100 * share, len(models), agrees, f"{why}; small: below {_SMALL:.0%}")


def _weighed(of: Asked) -> list[Model]:
    """One model of each content of the apps whose weights' sketches the store has."""
    rows = of.ask("""
        select distinct sha256 from models where sha256 in (select sha256 from m)
          and key in (select model_key from tensors where sketch is not null)""")
    wanted = {row["sha256"] for row in rows}
    if not wanted:
        return []
    found: dict[str, Model] = {}
    for model in of.store.models():
        if model.sha256 in wanted and any(row.sketch for row in model.tensors or ()):
            found.setdefault(str(model.sha256), model)
    return list(found.values())


def _vision(_stated: Statement, of: Asked) -> Answer:
    rows = of.ask("""
        select modality, count(*) as models from m
        where status = 'parsed' and modality is not null group by modality
        order by models desc, modality""")
    (unknown,) = of.ask("select count(*) as n from m where status = 'parsed' and modality is null")
    n = sum(row["models"] for row in rows)
    why = f"of {unknown['n']:,} more models it is not known what they take"
    if not n:
        return Answer(None, 0, "cannot tell", why)
    agrees: Agreement = "yes" if rows[0]["modality"] == "image" else "no"
    ours = ", ".join(f"{row['modality']} {100 * row['models'] / n:.1f} %" for row in rows)
    return Answer(ours, n, agrees, why, tuple(rows))


def _gap(_stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("""
        select count(*) as parsed, count(*) filter (where quantization <> 'none') as quantised,
          (select count(distinct sha256) from models where zero_fraction is not null
             and sha256 in (select sha256 from m)) as weighed,
          (select count(distinct sha256) from models where zero_fraction >= 0.5
             and sha256 in (select sha256 from m)) as pruned,
          (select count(distinct sha256) from models where clustered_tensors > 0
             and sha256 in (select sha256 from m)) as clustered
        from (select sha256, any_value(quantization) as quantization from m
              where status = 'parsed' group by sha256)""")
    if not row["parsed"]:
        return Answer(None, 0, "cannot tell", "there are no parsed models here")
    ours = f"quantised {100 * row['quantised'] / row['parsed']:.1f} %"
    if not row["weighed"]:
        why = "whether weights were pruned or clustered is not known (inspect --weights --store)"
        return Answer(ours, row["parsed"], "cannot tell", why, (row,))
    shares = [row["quantised"] / row["parsed"]]
    for what in ("pruned", "clustered"):
        shares.append(row[what] / row["weighed"])
        ours += f", {what} {100 * shares[-1]:.1f} %"
    agrees: Agreement = "yes" if max(shares) < _RARE else "no"
    why = (
        f"contents; weights read of {row['weighed']:,}; pruned: half of the weights are zero; "
        f"agrees where each is below {_RARE:.0%}"
    )
    return Answer(ours, row["parsed"], agrees, why, (row,))


def _tiers(_stated: Statement, of: Asked) -> Answer:
    rows = of.ask("""
        select any_value(regexp_extract(model, '[^/]+$')) as model, target.runtime as runtime,
          min(latency_ms.p50) as fastest_ms, max(latency_ms.p50) as slowest_ms,
          count(distinct target.device) as devices
        from measurements where status = 'ok' and latency_ms.p50 > 0
        group by sha256, target.runtime, target.delegate, target.threads, target.batch
        having count(distinct target.device) > 1 order by all""")
    if not rows:
        (seen,) = of.ask("select count(distinct target.device) as n from measurements")
        why = f"no model was measured alike on two devices; devices here: {seen['n']}"
        return Answer(None, 0, "cannot tell", why)
    times = median(row["slowest_ms"] / row["fastest_ms"] for row in rows)
    agrees: Agreement = "yes" if times >= _APART else "no"
    why = f"median over models and settings; heterogeneous: {_APART:g} times or more"
    return Answer(times, len(rows), agrees, why, tuple(rows))


def _energy(_stated: Statement, of: Asked) -> Answer:
    rows = of.ask("""
        select any_value(regexp_extract(model, '[^/]+$')) as model, target.device as device,
          energy.method as method, median(energy.inference_j) as inference_j
        from measurements where energy.inference_j > 0
        group by sha256, target.device, energy.method order by inference_j, model""")
    if not rows:
        why = "nothing was measured with a meter (bench --meter --store)"
        return Answer(None, 0, "cannot tell", why)
    ends = rows[0]["inference_j"], rows[-1]["inference_j"]
    ours = f"{ends[0]:.3g} to {ends[1]:.3g} J"
    return Answer(ours, len(rows), "cannot tell", "models on devices", tuple(rows))


QUERIES: Mapping[str, Callable[[Statement, Asked], Answer]] = {
    "apps": _apps,
    "popular": _popular,
    "tflite": _tflite,
    "order": _order,
    "reused": _reused,
    "fine_tuned": _fine_tuned,
    "vision": _vision,
    "gap": _gap,
    "tiers": _tiers,
    "energy": _energy,
}
