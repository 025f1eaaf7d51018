"""The measured comparison: the same questions answered on the device and in the cloud.

One record per model, link and connection. What fails (a dead server, a link that stalls, a model
that the runtime refuses) is a record with a reason, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from edgewise import sandbox
from edgewise.energy.computing import Computing, Metered
from edgewise.energy.power import power
from edgewise.errors import EdgewiseError
from edgewise.placement import device, phases
from edgewise.placement.client import caller_of
from edgewise.placement.cloud import Collector, Samples
from edgewise.placement.comparison import Comparison
from edgewise.placement.device import OnDevice
from edgewise.placement.line import Line, line
from edgewise.placement.rows import Sent, failed, judged
from edgewise.placement.server import Reached, check, reached
from edgewise.placement.stored import Ran, metered_on
from edgewise.placement.subjects import Subject, Unplaceable, subjects
from edgewise.placement.words import with_flips
from edgewise.protocol import inputs
from edgewise.records import Placement
from edgewise.store import Store

_TENSORS_ONLY = "cloud: the server takes tensors, no images: the device prepares them all the same"
#: Told before each step what comes next.
Progress = Callable[[str], None]


def measured(of: Comparison, progress: Progress = lambda _: None) -> Iterator[Placement]:
    """Measure; the rows of a model as soon as all its links are done. On Ctrl-C the rows of the
    links that are done come first.

    Raises:
        UsageError, InputError, StoreError: a link, the power model, the inputs, the server's
            address, its certificates or the store cannot be used.
    """
    lines = [line(spec, of.seed) for spec in of.links]
    declared = of.power or of.on.power
    declared_power = power(declared) if declared else None
    Computing(declared_power, whole_phone=of.whole_phone)  # refused before the work
    meters = metered_on(Store.open(of.store), of.on.name) if of.store else {}
    given = inputs.read(of.given) if of.given else None
    check(of.server)
    with ExitStack() as until:
        every = subjects(
            of.models, given, of.how, until,
            most=max(of.requests, 1), threads=of.threads, seconds=of.process_s,
        )  # fmt: skip
        for subject in every:
            rows: list[Placement] = []
            how = Computing(declared_power, _meter(subject, meters), of.whole_phone)
            try:
                # Not a list of all: what is there when the user has enough is kept.
                for row in _rows(of, subject, lines, how, progress):
                    rows.append(row)  # noqa: PERF402
            except KeyboardInterrupt:
                yield from with_flips(rows)
                raise
            yield from with_flips(rows)


def _rows(
    of: Comparison,
    subject: Subject | Unplaceable,
    lines: Sequence[Line],
    how: Computing,
    progress: Progress,
) -> Iterator[Placement]:
    if isinstance(subject, Unplaceable):
        for each in lines:
            yield from failed(of, subject, each, subject.reason)
        return
    here = _here(of, subject, progress)
    try:
        with reached(of.server, subject) as server:
            for each in lines:
                progress(f"{subject.name} over {each.name}")
                yield from _over(of, subject, here, server, each, how)
    except EdgewiseError as error:
        for each in lines:
            yield from judged(of, subject, here, f"cloud: {error}", each, how)


def _meter(subject: Subject | Unplaceable, known: Mapping[Ran, Metered]) -> Metered | None:
    if isinstance(subject, Unplaceable):
        return None
    how = subject.runnable
    return known.get(Ran(subject.sha256, how.runtime, how.threads))


def _failure(samples: Samples) -> str:
    """Why a way of sending gave too little, and whether it had answered before."""
    reason = samples.failures[0] if samples.failures else "no request was answered"
    answered = len(samples.fresh) + len(samples.warm)
    return f"after {answered} answer{'s' * (answered > 1)}: {reason}" if answered else reason


def _here(of: Comparison, subject: Subject, progress: Progress) -> OnDevice | str:
    """The device's way, or why there is none."""
    progress(f"{subject.name} on {of.on.name}")
    try:
        return device.measure(
            of.on, subject, requests=of.requests, processes=of.processes,
            seconds=of.process_s, affinity=of.affinity,
        )  # fmt: skip
    except EdgewiseError as error:
        return f"device: {error}"


def _over(
    of: Comparison,
    subject: Subject,
    here: OnDevice | str,
    server: Reached,
    over: Line,
    how: Computing,
) -> Iterator[Placement]:
    """The rows of one link."""
    shaped, silence = over.silent(of.radio, of.gap_ms)
    sent: list[Sent] = []
    failures: list[str] = []
    sendings = server.sendings(subject, of.prepared_by)
    for sending in sendings:
        try:
            if of.on.client is not None:
                sending = of.on.client(sending, subject, sandbox.Limits(of.process_s))
            with shaped.opened(server.target) as address:
                caller = caller_of(server.target, server.about, server.model, address, of.timeout_s)
                samples = Collector(
                    subject, sending, caller, of.requests, silence, over.profile is not None
                ).collect()
        except EdgewiseError as error:
            failures.append(str(error))
            continue
        if samples.complete:
            found = phases.in_cloud(samples, over.profile, silence)
            sent.append(Sent(sending.where, samples, found))
        else:
            failures.append(_failure(samples))
    if sent and failures:
        note = f"cloud: a way of sending was not answered: {failures[0]}"
        sent = [each.noting(note) for each in sent]
    if of.prepared_by == "cloud" and all(sending.where == "device" for sending in sendings):
        sent = [each.noting(_TENSORS_ONLY) for each in sent]
    there = sent or f"cloud: {failures[0]}"
    yield from judged(of, subject, here, there, over, how)
