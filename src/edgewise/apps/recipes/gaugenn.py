"""Almeida et al., "Smart at what cost? Characterising Mobile Deep Neural Networks in the wild".

What was found in 16,000 apps of 2021, asked of the apps, models and measurements of any store.
`gaugenn.toml` has the statements; a query here answers each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from msgspec.structs import asdict

from edgewise.apps.kinship import weighed
from edgewise.apps.study import Asking, Study, asking
from edgewise.papers import (
    Answer,
    Statement,
    all_agree,
    beside,
    is_below,
    of_share,
    read_paper,
)
from edgewise.records import Agreement, Model, PublishedFinding
from edgewise.store import Store

PAPER = read_paper(Path(__file__).with_suffix(".toml"))
#: What "small", "gap" and "heterogeneous" are taken for, where the paper's words have no number.
_SMALL, _RARE, _APART = 0.25, 0.5, 2.0
_PRUNED = 0.5
#: Models whose relation says that training went on from a common origin.
_TRAINED_ON = ("fine_tuned", "shares_layers")


@dataclass(frozen=True)
class Asked:
    """A store, what answers SQL of the apps that count, and what is told of each model read."""

    store: Store
    ask: Asking
    progress: Callable[[str], None]

    @cached_property
    def weighed(self) -> tuple[list[Model], int]:
        """One model of each content of the apps with its weights, as stored or else read again
        where it still lies; of how many they could not be read."""
        rows = self.ask(
            "select distinct sha256 from m where status = 'parsed' and sha256 is not null"
        )
        wanted = {row["sha256"] for row in rows}
        found: dict[str, Model] = {}
        others: dict[str, Model] = {}
        for model in self.store.read(Model, without=("layers",)) if wanted else ():
            if model.sha256 in wanted:
                told = any(row.sketch for row in model.tensors or ())
                (found if told else others).setdefault(str(model.sha256), model)
        for sha256 in sorted(others.keys() - found.keys()):
            self.progress(others[sha256].path)
            if (read := weighed(others[sha256])) is not None:
                found[sha256] = read
        return [found[sha256] for sha256 in sorted(found)], len(wanted) - len(found)


def findings(
    store: Store, study: Study | None = None, progress: Callable[[str], None] = lambda _: None
) -> list[PublishedFinding]:
    """The paper's statements beside what a store says; with a study, of its apps alone.

    Raises:
        StoreError: the store lacks apps of the study.
    """
    with asking(store, study) as ask:
        return beside(PAPER, QUERIES, Asked(store, ask, progress))


def _apps(stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("select count(*) as n, count(distinct package) as packages from a")
    agrees: Agreement = "yes" if row["n"] > float(stated.theirs) else "no"
    return Answer(row["n"], row["n"], agrees, f"different packages: {row['packages']:,}")


def _popular(_stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("""
        select count(*) as n, count_if(key in (select app_key from m)) as with_models,
          count_if(key in (select app_key from e where kind in ('framework', 'llm')))
            as with_framework, count_if(key in (select key from hidden)) as hidden from a""")
    if not row["n"]:
        return Answer(None, 0, "cannot tell", "there are no apps here")
    why = (
        f"apps with models: {row['with_models']:,}, with a framework: {row['with_framework']:,}, "
        f"in which something may be hidden: {row['hidden']:,}"
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

    models, missing = of.weighed
    if not models:
        return Answer(None, 0, "cannot tell", f"the weights of {missing:,} models cannot be read")
    pairs = [pair for pair in lineage(models) if pair.relation in _TRAINED_ON]
    trained = {path for pair in pairs for path in (pair.a, pair.b)}
    agrees = is_below(len(trained), len(models), _SMALL)
    why = (
        f"{len(trained):,} of {len(models):,} contents share part of their weights with another; "
        f"weights that cannot be read: {missing:,}; small: below {_SMALL:.0%}, the 95 % interval "
        "too"
    )
    share = 100 * len(trained) / len(models)
    return Answer(share, len(models), agrees, why, tuple(map(asdict, pairs)))


def _vision(_stated: Statement, of: Asked) -> Answer:
    rows = of.ask("""
        select modality, count(*) as models from m
        where status = 'parsed' and modality is not null group by modality
        order by models desc, modality""")
    (unknown,) = of.ask("select count(*) as n from m where status = 'parsed' and modality is null")
    n = sum(row["models"] for row in rows)
    why = f"models of which it is not known what they take: {unknown['n']:,}"
    if not n:
        return Answer(None, 0, "cannot tell", why)
    images = sum(row["models"] for row in rows if row["modality"] == "image")
    agrees = is_below(n - images, n, _RARE)
    why += f"; agrees where images are more than {_RARE:.0%}, the 95 % interval too"
    ours = ", ".join(f"{row['modality']} {100 * row['models'] / n:.1f} %" for row in rows)
    return Answer(ours, n, agrees, why, tuple(rows))


def _gap(_stated: Statement, of: Asked) -> Answer:
    (row,) = of.ask("""
        select count(*) as parsed, count(*) filter (where quantization <> 'none') as quantised
        from (select any_value(quantization) as quantization from m
              where status = 'parsed' group by sha256)""")
    if not row["parsed"]:
        return Answer(None, 0, "cannot tell", "there are no parsed models here")
    counted = {"quantised": (row["quantised"], row["parsed"])}
    models, _ = of.weighed
    for what, holds in _TECHNIQUES.items() if models else ():
        counted[what] = sum(map(holds, models)), len(models)
    ours = ", ".join(f"{what} {100 * part / n:.1f} %" for what, (part, n) in counted.items())
    why = (
        f"pruned (half of the weights are zero) and clustered of the {len(models):,} whose weights "
        f"can be read; agrees where each is below {_RARE:.0%}, the 95 % interval too"
    )
    agrees = all_agree(is_below(part, n, _RARE) for part, n in counted.values())
    return Answer(ours, row["parsed"], agrees if models else "cannot tell", why, (row,))


#: Whether a model's weights show a technique of compression.
_TECHNIQUES: Mapping[str, Callable[[Model], bool]] = {
    "pruned": lambda model: (model.zero_fraction or 0.0) >= _PRUNED,
    "clustered": lambda model: bool(model.clustered_tensors),
}


def _tiers(_stated: Statement, of: Asked) -> Answer:
    rows = of.ask("""
        select any_value(regexp_extract(model, '[^/]+$')) as model, target.runtime as runtime,
          min(latency_ms.p50) as fastest_ms, max(latency_ms.p50) as slowest_ms,
          count(distinct target.device) as devices
        from measurements
        where status = 'ok' and latency_ms.p50 > 0 and context.emulated is null
        group by sha256, target.runtime, target.delegate, target.threads, target.batch
        having count(distinct target.device) > 1 order by all""")
    if not rows:
        (seen,) = of.ask("""
            select count(distinct target.device) as n from measurements
            where context.emulated is null""")
        why = f"no model was measured alike on two devices; real devices here: {seen['n']}"
        return Answer(None, 0, "cannot tell", why)
    times = median(row["slowest_ms"] / row["fastest_ms"] for row in rows)
    agrees: Agreement = "yes" if times >= _APART else "no"
    why = (
        "median over models and settings, emulated devices left out; heterogeneous: "
        f"{_APART:g} times or more"
    )
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
