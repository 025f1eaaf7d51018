"""The page's sections, in order. A new question is a new module and one more entry here."""

from __future__ import annotations

from edgewise.report import (
    apps,
    choice,
    cost,
    frontier,
    layers,
    load,
    models,
    overview,
    placements,
    reuse,
    shipped,
    unseen,
    verdict,
    weights,
)
from edgewise.report.parts import MakeSection

SECTIONS: tuple[MakeSection, ...] = (
    verdict.section,
    overview.section,
    apps.section,
    shipped.section,
    models.section,
    reuse.section,
    cost.section,
    frontier.section,
    layers.section,
    weights.section,
    choice.section,
    load.section,
    placements.section,
    unseen.section,
)
