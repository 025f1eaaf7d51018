"""From what was measured of both ways to records: energy, winners, break-even points, words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import fmean, variance
from typing import NamedTuple

from msgspec.structs import replace

from edgewise.energy.computing import Computing
from edgewise.placement import battery
from edgewise.placement.battery import Work
from edgewise.placement.breakeven import Sending, with_break_even
from edgewise.placement.cloud import Sample, Samples
from edgewise.placement.comparison import Comparison, Kind
from edgewise.placement.decide import counted, decided
from edgewise.placement.device import OnDevice
from edgewise.placement.line import Line
from edgewise.placement.phases import InCloud
from edgewise.placement.subjects import Subject, Unplaceable
from edgewise.placement.wire import Usage
from edgewise.records import BreakEven, CloudPhases, LinkProfile, Method, Placement, Way

_NO_LINK = "the link is not known: nothing shapes it"


class Sent(NamedTuple):
    """One way of sending that was measured, and the answers' classes by question."""

    where: Way | None
    samples: Samples
    found: InCloud

    def noting(self, note: str) -> Sent:
        """The same with a note more."""
        return self._replace(found=self.found._replace(notes=(*self.found.notes, note)))


def failed(of: Comparison, subject: Unplaceable, over: Line, reason: str) -> Iterator[Placement]:
    """Rows of a model that nothing could be tried with."""
    for connection in of.connections:
        row = _frame(of, subject.path, over, connection)
        yield replace(row, reason=reason, sha256=subject.sha256, family=subject.family)


def judged(
    of: Comparison,
    subject: Subject,
    here: OnDevice | str,
    there: list[Sent] | str,
    over: Line,
    how: Computing,
) -> Iterator[Placement]:
    """A row per connection, from what both ways gave."""
    for connection in of.connections:
        row = _frame(of, subject.path, over, connection)
        reasons = [text for text in (here, there) if isinstance(text, str)]
        row = replace(
            row,
            sha256=subject.sha256,
            family=subject.family,
            reason="; ".join(reasons) or None,
            notes=(*subject.notes, *_energy_notes(over.profile, how, of.on.name, of.capped)),
        )
        if not isinstance(here, str):
            row = _with_device(row, here, how, of.threads)
        if isinstance(there, str):
            yield decided(row)
        else:
            yield _finished(of, row, here, there, over, how)


def _frame(of: Comparison, path: str, over: Line, connection: Kind) -> Placement:
    link = over.profile
    return Placement(
        model=path,
        device=of.on.name,
        server=of.server.server,
        link=over.name,
        connection=connection,
        radio=of.radio,
        requests=of.requests,
        gap_ms=of.gap_ms,
        uplink_mbps=link.uplink_mbps if link else None,
        downlink_mbps=link.downlink_mbps if link else None,
        rtt_ms=link.rtt_ms if link else None,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _with_device(row: Placement, here: OnDevice, how: Computing, threads: int) -> Placement:
    found = battery.on_device(here.phases, how, threads)
    methods: dict[str, Method] = {
        f"on_device.{name}": how.method if name.endswith("energy_j") else "measured"
        for name in found.__struct_fields__
        if getattr(found, name) is not None
    }
    return replace(
        row, on_device=found, distributions=dict(here.distributions), methods=methods,
        notes=(*row.notes, *here.notes),
    )  # fmt: skip


def _finished(
    of: Comparison,
    row: Placement,
    here: OnDevice | str,
    there: list[Sent],
    over: Line,
    how: Computing,
) -> Placement:
    """With the way of sending that was answered sooner, energy, break-even points, verdict."""
    rated = sorted(
        (counted(replace(row, cloud=each.found.phases)).cloud_ms or 0.0, place)
        for place, each in enumerate(there)
    )
    best, other = there[rated[0][1]], there[rated[1][1]] if len(rated) > 1 else None
    usage = of.usage(row.connection)
    row = replace(
        row,
        cloud=_with_energy(best.found, over, usage, how, of),
        distributions={**row.distributions, **best.found.distributions},
        methods={**row.methods, **best.found.methods},
        payload_bytes=best.found.payload_bytes,
        reply_bytes=best.found.reply_bytes,
        where_to_preprocess=best.where,
        preprocess_gain_ms=_gain_ms(best, other, row.connection) if other else None,
        notes=(*row.notes, *best.found.notes),
    )
    if row.cloud is not None and row.cloud.energy_j is not None:
        row.methods["cloud.energy_j"] = "model"
    if not isinstance(here, str):
        row = _compared(row, here, best)
    if over.profile is None:
        return decided(
            replace(row, break_even=BreakEven(uplink_reason=_NO_LINK, rtt_reason=_NO_LINK))
        )
    ways = [[_as_sent(each.found) for each in there]]
    (row,) = with_break_even([row], over.profile, usage, ways)
    return decided(row)


def _gain_ms(best: Sent, other: Sent, connection: Kind) -> float | None:
    """How much later the other way of sending was answered; None where that may be chance (Welch's
    two standard errors), or is nothing that one of two equal ways could be told by."""
    mine, others = (
        [sample.total_ms for sample in _counting(each.samples, connection)]
        for each in (best, other)
    )
    gain_ms = fmean(others) - fmean(mine)
    if min(len(mine), len(others)) < 2:
        return None
    error_ms = math.sqrt(variance(mine) / len(mine) + variance(others) / len(others))
    return gain_ms if gain_ms > 2 * error_ms else None


def _counting(samples: Samples, connection: Kind) -> list[Sample]:
    return samples.fresh if connection == "fresh" else samples.warm


def _with_energy(
    found: InCloud, over: Line, usage: Usage, how: Computing, of: Comparison
) -> CloudPhases:
    link = over.profile
    if link is None:
        return found.phases
    _, silence = over.silent(of.radio, of.gap_ms)
    asleep_ms = link.promotion_ms if silence.warm_asleep else 0.0
    waking_ms = link.promotion_ms if silence.fresh_asleep else 0.0
    work = Work(
        found.payload_bytes,
        found.reply_bytes,
        own_ms=found.own_ms,
        later_ms=max(found.awake_ms - asleep_ms, 0.0),
        first_ms=max(found.first_awake_ms - waking_ms, 0.0),
        all_asleep=silence.warm_asleep,
    )
    return battery.in_cloud(found.phases, work, how, link, usage)


def _energy_notes(
    link: LinkProfile | None, how: Computing, on: str, capped: bool
) -> tuple[str, ...]:
    if link is None:
        return (f"energy: {_NO_LINK}, and with it the radio",)
    return battery.notes(link, how, on, capped=capped)


def _compared(row: Placement, here: OnDevice, best: Sent) -> Placement:
    """Single requests beside each other: who was sooner, and whether they agree."""
    samples = _counting(best.samples, row.connection)
    pairs = [
        (sample.total_ms, here.by_question[sample.question])
        for sample in samples
        if sample.question in here.by_question
    ]
    share = sum(cloud < local for cloud, local in pairs) / len(pairs) if pairs else None
    asked = {s.question: s.chosen for s in samples if s.chosen is not None}
    both = [q for q in asked if here.chosen.get(q) is not None]
    differ = sum(asked[q] != here.chosen[q] for q in both)
    notes = row.notes
    if differ:
        notes = (*notes, f"the two ways answer differently for {differ} of {len(both)} inputs")
    return replace(row, cloud_share=share, notes=notes)


def _as_sent(found: InCloud) -> Sending:
    each = found.phases
    network_ms = (each.upload_ms or 0.0) + (each.download_ms or 0.0)
    return Sending(found.payload_bytes, found.reply_bytes, (each.total_ms or 0.0) - network_ms)
