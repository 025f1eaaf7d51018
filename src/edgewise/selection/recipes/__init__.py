"""Published simulations, to be run again: by the name that `edgewise simulate --recipe` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edgewise.papers import Paper
from edgewise.records import PublishedFinding, SimulationRow
from edgewise.selection.recipes import cnnselect

Run = Callable[[int, int, int], Iterator[SimulationRow]]
Find = Callable[[Iterable[SimulationRow]], list[PublishedFinding]]

#: By name: the paper; what simulates, given requests, seed and processes; what its rows say.
RECIPES: dict[str, tuple[Paper, Run, Find]] = {
    cnnselect.PAPER.name: (cnnselect.PAPER, cnnselect.run, cnnselect.findings),
}
