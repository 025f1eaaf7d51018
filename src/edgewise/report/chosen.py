"""Sliders and maps of what the policies choose for one request, from the store's own profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewise.report.charts import rows_by, tooltip
from edgewise.report.numerals import bytes_text, many
from edgewise.report.parts import Ask, Explorer, Figure, Numbers, Spec
from edgewise.report.picks import Picks, picks_of

if TYPE_CHECKING:
    from edgewise.selection.profiles.table import ProfileTable

#: Sets of models that may answer for one another: the largest.
_TABLES = 2
#: Policies whose choice is drawn; the others are in the sliders' table.
_DRAWN = ("deadline", "mdinference")
#: Models that are drawn with a colour of their own at most; of more, the policies choose few.
_REFUSED = "#8c93a0"
_COLUMNS = (
    "network", "network_ms", "deadline_ms", "model", "chance_share", "accuracy", "in_time_share",
    "effective_accuracy",
)  # fmt: skip

_SENT = """
    select median(payload_bytes) as payload_bytes, median(reply_bytes) as reply_bytes
    from placements where payload_bytes > 0
"""


#: Published sets of profiles that something was simulated with, the latest first.
_SETS = """
    select profiles from simulations where profiles is not null
    group by profiles order by max(stored_at) desc, profiles
"""


def parts(ask: Ask) -> list[Explorer | Figure]:
    """Nothing where fewer than two models were measured and evaluated on the same data, and
    nothing was simulated with published profiles."""
    tables = _tables(ask)
    sent = ask.one(_SENT)
    payload, reply = sent["payload_bytes"] or 100_000.0, sent["reply_bytes"] or 1_000.0
    sizes = f"{bytes_text(payload)} there and {bytes_text(reply)} back"
    sizes += ", as the placements sent" if sent["payload_bytes"] else ""
    found: list[Explorer | Figure] = []
    for table in tables:
        picks = picks_of(table, payload, reply)
        found.append(_explorer(picks, table, sizes))
        found += _maps(picks, _origin(table), f", {table.name}" if len(tables) > 1 else "")
    return found


def _tables(ask: Ask) -> list[ProfileTable]:
    """The store's own profiles, then published ones."""
    from edgewise.selection.profiles.sources import load, published
    from edgewise.selection.profiles.stored import read_tables

    own = []
    if ask.one("select count(*) as n from accuracies where accuracy is not null")["n"]:
        own = sorted(read_tables(ask.store), key=len, reverse=True)
    known = published()
    others = [load(name).table for (name,) in ask.numbers(_SETS).rows if name in known]
    return [*own, *others][:_TABLES]


def _origin(table: ProfileTable) -> str:
    return "published" if table.profiles[0].origin == "published" else "measured"


def _explorer(picks: Picks, table: ProfileTable, sizes: str) -> Explorer:
    runs = sorted({profile.n for profile in table.profiles if profile.n})
    whose = (
        f"The models of the published profiles {table.name}."
        if _origin(table) == "published"
        else f"The models that were evaluated on {table.name}."
    )
    return Explorer(
        f"Which of the {len(table)} models answers",
        f"{whose} Set the deadline and the network: the policies were asked for each pair. One "
        f"request, nothing in the queue, {sizes}. A network with a name is a preset with its "
        "spread; one with a time always takes that.",
        picks,
        n=many(len(table), "model") + _runs(runs),
        origin=f"times and accuracy {_origin(table)}; networks from presets; choices by the "
        "policies",
    )


def _runs(counts: list[int]) -> str:
    if not counts:
        return ""
    least, most = counts[0], counts[-1]
    return f", {least:,} runs each" if least == most else f", {least:,} to {most:,} runs each"


def _maps(picks: Picks, origin: str, of: str) -> list[Figure]:
    """One for each drawn policy, a model in the same colour in all."""
    rows = {policy: list(picks.rows(picks.policies.index(policy))) for policy in _DRAWN}
    seen = {row[3] for each in rows.values() for row in each}
    models = [model for model in picks.models if model in seen]
    # From dark to light with accuracy; the models' order is the best first.
    parts = [1 - place / max(1, len(models) - 1) for place in range(len(models))]
    shades = [f"hsl({250 - 200 * k:.0f} {55 + 25 * k:.0f}% {30 + 35 * k:.0f}%)" for k in parts]
    colours = dict(zip(models, shades, strict=True)) | {"refused": _REFUSED}
    return [_map(picks, policy, each, colours, origin, of) for policy, each in rows.items()]


def _map(
    picks: Picks,
    policy: str,
    rows: list[tuple[Any, ...]],
    colours: dict[str, str],
    origin: str,
    name: str,
) -> Figure:
    place = picks.policies.index(policy)
    numbers = Numbers(_COLUMNS, rows, len(rows), "")
    models = {row[3] for row in rows}
    network, deadline = picks.start()
    start = picks.conditions[network].label, picks.deadlines_ms[deadline]
    of = picks.picks[place][network][deadline]
    return Figure(
        f"What {policy} chooses{name}",
        "Each field is one deadline on one network, coloured by the model that most likely "
        "answers: the lighter, the more accurate. Grey: refused at once. The ring is where the "
        "sliders stand.",
        f"A map of deadlines and networks; {policy} chooses {len(models - {'refused'})} models. At "
        f"{start[1]:g} ms and {start[0]}: {picks.called(of.models[0][0])}.",
        _spec(rows, {each: colours[each] for each in colours if each in models}, start),
        numbers,
        unit="the model chosen, over ms and network",
        origin=f"computed by the policy {policy} from {origin} times and accuracies",
        n=f"{many(len(rows), 'pair')} of deadline and network",
    )


def _spec(rows: list[tuple[Any, ...]], colours: dict[str, str], start: tuple[str, float]) -> Spec:
    networks = list(dict.fromkeys(row[0] for row in rows))
    x: Spec = {
        "field": "deadline_ms", "type": "ordinal",
        "axis": {"title": "deadline, ms", "labelAngle": 0, "labelOverlap": "greedy", "grid": False},
    }  # fmt: skip
    return {
        "height": {"step": 22},
        "params": [
            {"name": "at_deadline", "value": start[1]}, {"name": "at_network", "value": start[0]}
        ],
        "encoding": {"x": x, "y": rows_by("network", networks)},
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": {
                    "color": {
                        "field": "model", "type": "nominal", "title": None,
                        "scale": {"domain": list(colours), "range": list(colours.values())},
                    },
                    "tooltip": tooltip(
                        ("network", "network"), ("deadline_ms", "deadline, ms", "~g"),
                        ("model", "answers"), ("chance_share", "how likely", ".1%"),
                        ("accuracy", "accuracy, %", ".2f"), ("in_time_share", "in time", ".1%"),
                        ("effective_accuracy", "right and in time, %", ".1f"),
                    ),
                },
            },
            {
                "transform": [{
                    "filter": "datum.deadline_ms == at_deadline && datum.network == at_network"
                }],
                "mark": {
                    "type": "point", "shape": "circle", "size": 260, "strokeWidth": 3,
                    "filled": False, "color": "#dd2f5a", "opacity": 1,
                },
            },
        ],
    }  # fmt: skip
