"""Numbers that come with the package, as pages: networks, radios, policies, profiles, power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from site_pages.written import code, page, paragraphs, table, text

if TYPE_CHECKING:
    from edgewise.energy.radio import Limit

FOLDER = "reference"


def made() -> Iterator[tuple[str, str]]:
    """All pages of this kind."""
    for write in (networks, policies, energy):
        yield f"{FOLDER}/{write.__name__}.md", write()


def networks() -> str:
    """Links, published pairs, radios."""
    from edgewise.energy.radio import limits
    from edgewise.network import catalogue

    pairs = [catalogue.describe_pair(pair) for pair in catalogue.pairs().values()]
    unknown = "not published"
    return page(
        "Networks and radios",
        "The names that `simulate --network`, `place --link`, `load --link` and `links --shape` take. "
        "A file of your own has the same layout; rules and limits are in [Networks](../network.md).",
        "## Links",
        table(
            ("link", "uplink, Mbps", "downlink, Mbps", "round trip, ms", "radio", "what", "source"),
            (
                (code(link.name), f"{link.uplink_mbps:g}", f"{link.downlink_mbps:g}",
                 f"{link.rtt_ms:g} ± {link.jitter_ms:g}", code(link.radio or "–"),
                 text(link.description), text(link.source))
                for link in catalogue.links().values()
            ),
        ),
        "## Published pairs",
        "Mean and deviation of a one-way time. They have no rates: they can be simulated, not shaped.",
        table(
            ("pair", "mean, ms", "deviation, ms", "source"),
            ((code(each["name"]), f"{each['one_way_mean_ms']:.4g}", f"{each['one_way_std_ms']:.4g}",
              text(str(each["source"]))) for each in pairs),
        ),
        "## Radios",
        "Power of a phone's radio, by which the energy of a transfer is computed. Where a value is "
        "missing, energies over it are unknown, not 0.",
        table(
            ("radio", "promotion", "tail", "sending, mW", "receiving, mW", "reaches to"),
            (
                (code(name), _span(row["promotion_ms"], row["promotion_mw"], unknown),
                 _span(row["tail_ms"], row["tail_mw"], unknown),
                 f"{row['uplink_mw_per_mbps']:g} per Mbps + {row['base_mw']:g}",
                 f"{row['downlink_mw_per_mbps']:g} per Mbps + {row['base_mw']:g}",
                 _reach(limits().get(name)))
                for name, row in catalogue.radios().items()
            ),
        ),
    )  # fmt: skip


def policies() -> str:
    """Policies with their parameters, and the published profiles."""
    from edgewise.selection.policies.registry import policies as all_policies
    from edgewise.selection.profiles.sources import load, published

    rows = [
        (code(kind), paragraphs(each.__doc__ or "").replace("\n\n", "<br>"), _parameters(each))
        for kind, each in all_policies().items()
    ]
    return page(
        "Policies and profiles",
        "Written `name:parameter=value:…` wherever a verb takes `--policy`. What is published and what "
        "is ours: [Choosing per request](../selection.md). How one is added: "
        "[Add a policy](../extending/policy.md).",
        table(("policy", "what it picks", "parameters and defaults"), rows),
        "## Published profiles",
        "What `--profiles NAME` takes beside a store, a CSV file and a file of samples.",
        table(
            ("name", "models", "accuracy, %", "mean time, ms"),
            ((code(name), str(len(of)), f"{of.accuracy.min():g} to {of.accuracy.max():g}",
              f"{of.mean_ms.min():.3g} to {of.mean_ms.max():.3g}")
             for name in published() for of in [load(name).table]),
        ),
    )  # fmt: skip


def _parameters(policy: type[Any]) -> str:
    return "<br>".join(f"{code(each.name)}: {_default(each.default)}" for each in fields(policy))


def _default(value: object) -> str:
    if value is MISSING:
        return "required"
    return "none" if value == "" else code(value)


def energy() -> str:
    """Scenarios and declared power models."""
    from edgewise.energy.power import powers
    from edgewise.energy.scenarios import scenarios

    return page(
        "Scenarios and power models",
        "Joules come from a [meter](meters.md); where there is none, from a declared power, and the "
        "figure says so. [Energy](../energy.md) has the rules.",
        "## Scenarios",
        "What `edgewise scenarios STORE` costs for every model whose task fits.",
        table(
            ("scenario", "what", "inferences", "in", "tasks", "source"),
            ((code(each.name), text(each.title), f"{each.inferences:,}",
              f"{each.seconds:,.0f} s" if each.seconds else "as long as it takes",
              text(", ".join(each.tasks)), text(each.source)) for each in scenarios().values()),
        ),
        "## Declared power",
        "What `--power NAME` and `--meter model:NAME` take: `shared` whenever a core is busy, `core` for "
        "each busy core, above the idle device.",
        table(
            ("name", "shared, W", "core, W", "cores", "idle, W", "screen, W", "what", "source"),
            ((code(each.name), f"{each.shared_w:g}", f"{each.core_w:g}", str(each.cores),
              _known(each.idle_w), _known(each.screen_w), text(each.description), text(each.source))
             for each in powers().values()),
        ),
    )  # fmt: skip


def _known(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _span(ms: float | None, mw: float | None, unknown: str) -> str:
    if ms is None and mw is None:
        return unknown
    return f"{_known(ms)} ms at {_known(mw)} mW"


def _reach(limit: Limit | None) -> str:
    """How far a radio's row reaches, and what a maker states beyond it."""
    if limit is None:
        return "–"
    at_most = f"; at most {limit.transfer_max_mw:g} mW" if limit.transfer_max_mw else ""
    rates = f"{limit.fitted_up_mbps:g} Mbps up, {limit.fitted_down_mbps:g} down"
    return f"{rates}{at_most}<br>{text(limit.source)}"
