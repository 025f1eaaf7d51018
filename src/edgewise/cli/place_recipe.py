"""A published experiment run again: `edgewise place --recipe`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgewise.cli import output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.placement.recipes import Finding
    from edgewise.records import Placement

_HOST = "host"


def source(
    name: str,
    *,
    models: Sequence[str],
    device: str,
    phone: str | None,
    server: str,
    links: Sequence[str],
    inputs: Sequence[Path],
    requests: int | None,
    processes: int | None,
    capped: bool,
    whole_phone: bool | None,
    cache: Path | None,
    quick: bool,
) -> Callable[[Callable[[str], None]], Iterator[Placement]]:
    """The experiment's rows, given somebody to tell of its progress.

    Raises:
        UsageError: a device that is not emulated.
    """
    from edgewise.devices.emulated import device_name, share_of
    from edgewise.placement import recipes

    share = share_of(device)
    if share is None and device != _HOST:
        raise UsageError(f"--recipe with --device {device}", hint=f"like {device_name(0.1)}")
    return lambda step: recipes.run(
        name, models=models, links=links, input=inputs, requests=requests, processes=processes,
        phone=phone, share=share, server=server, capped=capped, whole_phone=whole_phone,
        cache=cache, quick=quick, progress=step,
    )  # fmt: skip


def with_finding(row: Placement) -> dict[str, object]:
    """A row's fields and `finding`: what it says of the paper's questions; null for a fresh
    connection, of which the paper says nothing."""
    import msgspec

    from edgewise.placement import recipes

    found = recipes.findings([row])
    finding = msgspec.to_builtins(found[0]) if found else None
    return {**msgspec.to_builtins(row), "finding": finding}


def show(rows: Sequence[Placement], store: str | None, *, as_json: bool) -> None:
    """The paper's statements beside what was found here, after the rows."""
    from edgewise.cli import papers
    from edgewise.placement import recipes

    found = recipes.beside_paper(rows)
    if as_json:
        for each in found:
            output.emit(each)
        return
    screen = output.console()
    screen.print()
    screen.print(_per_row(recipes.findings(rows)), "")
    papers.show(recipes.PAPER, found, store)


def _per_row(found: Sequence[Finding]) -> object:
    from rich.markup import escape

    # On two lines, so that a terminal of 80 columns has room for the models' names.
    table = output.table(
        "model", "link", ">first\ntime", ">later\ntime", ">first\nenergy", ">later\nenergy",
        ">loading", ">computing",
    )  # fmt: skip
    table.caption = "device over cloud; shares of the first answer on the device"
    table.caption_justify = "left"
    for one in found:
        table.add_row(
            escape(one.model), escape(one.link),
            _times(one.first_time_ratio), _times(one.later_time_ratio),
            _times(one.first_energy_ratio), _times(one.later_energy_ratio),
            _part(one.load_share), _part(one.compute_share),
        )  # fmt: skip
    return table


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"×{ratio:.3g}"


def _part(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
