"""The measured comparison: the same questions answered on the device and in the cloud.

One record per model, link and connection. What fails (a dead server, a link that stalls, a model
that the runtime refuses) is a record with a reason, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from edgewise import sandbox
from edgewise.energy.power import PowerModel, power
from edgewise.errors import EdgewiseError
from edgewise.placement import device, phases
from edgewise.placement.client import caller_of
from edgewise.placement.cloud import Collector
from edgewise.placement.comparison import Comparison
from edgewise.placement.device import OnDevice
from edgewise.placement.line import Line, line
from edgewise.placement.rows import Sent, failed, judged
from edgewise.placement.server import Reached, reached
from edgewise.placement.subjects import Subject, Unplaceable, subjects
from edgewise.placement.words import with_flips
from edgewise.records import Placement
from edgewise.serving.load import inputs

_TENSORS_ONLY = "cloud: the server takes tensors, no images: the device prepares them all the same"
#: Told before each step what comes next.
Progress = Callable[[str], None]


def measured(of: Comparison, progress: Progress = lambda _: None) -> Iterator[Placement]:
    """Measure; the rows of a model as soon as all its links are done. On Ctrl-C the rows of the
    links that are done come first.

    Raises:
        UsageError, InputError: a link, the power model or the inputs cannot be used.
    """
    lines = [line(spec, of.seed) for spec in of.links]
    declared = of.power or of.on.power
    model = power(declared) if declared else None
    given = inputs.read(of.given) if of.given else None
    with ExitStack() as until:
        every = subjects(
            of.models, given, of.how, until,
            most=max(of.requests, 1), threads=of.threads, seconds=of.timeout_s,
        )  # fmt: skip
        for subject in every:
            rows: list[Placement] = []
            try:
                # Not a list of all: what is there when the user has enough is kept.
                for row in _rows(of, subject, lines, model, progress):
                    rows.append(row)  # noqa: PERF402
            except KeyboardInterrupt:
                yield from with_flips(rows)
                raise
            yield from with_flips(rows)


def _rows(
    of: Comparison,
    subject: Subject | Unplaceable,
    lines: Sequence[Line],
    model: PowerModel | None,
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
                yield from _over(of, subject, here, server, each, model)
    except EdgewiseError as error:
        for each in lines:
            yield from judged(of, subject, here, f"cloud: {error}", each, model)


def _here(of: Comparison, subject: Subject, progress: Progress) -> OnDevice | str:
    """The device's way, or why there is none."""
    progress(f"{subject.name} on {of.on.name}")
    try:
        return device.measure(
            of.on, subject, requests=of.requests, processes=of.processes,
            seconds=of.timeout_s, affinity=of.affinity,
        )  # fmt: skip
    except EdgewiseError as error:
        return f"device: {error}"


def _over(
    of: Comparison,
    subject: Subject,
    here: OnDevice | str,
    server: Reached,
    over: Line,
    model: PowerModel | None,
) -> Iterator[Placement]:
    """The rows of one link."""
    shaped, silence = over.silent(of.radio, of.gap_ms)
    sent: list[Sent] = []
    failures: list[str] = []
    sendings = server.sendings(subject, of.prepared_by)
    for sending in sendings:
        try:
            if of.on.client is not None:
                sending = of.on.client(sending, subject, sandbox.Limits(of.timeout_s))
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
            failures += samples.failures or ["no request was answered"]
    if sent and failures:
        note = f"cloud: a way of sending was not answered: {failures[0]}"
        sent = [each.noting(note) for each in sent]
    if of.prepared_by == "cloud" and all(sending.where == "device" for sending in sendings):
        sent = [each.noting(_TENSORS_ONLY) for each in sent]
    there = sent or f"cloud: {failures[0]}"
    yield from judged(of, subject, here, there, over, model)
