"""Published studies of apps, to be asked again of any store: by the name that `edgewise study`
takes."""

from __future__ import annotations

from collections.abc import Callable

from edgewise.apps.recipes import gaugenn
from edgewise.apps.study import Study
from edgewise.papers import Paper
from edgewise.records import PublishedFinding
from edgewise.store import Store

Find = Callable[[Store, Study | None, Callable[[str], None]], list[PublishedFinding]]

#: By name: the paper; what answers its statements from a store, telling of each model it reads.
RECIPES: dict[str, tuple[Paper, Find]] = {
    gaugenn.PAPER.name: (gaugenn.PAPER, gaugenn.findings),
}
