"""A load from its settings to its record."""

from __future__ import annotations

from datetime import UTC, datetime

from edgewise.errors import InputError
from edgewise.load import links, processes
from edgewise.load.outcome import Driven, summarise
from edgewise.load.process import Advance, Prepared, alone
from edgewise.load.schedule import plan
from edgewise.load.settings import LoadSettings
from edgewise.protocol.http import prepared as encoding
from edgewise.protocol.http.target import parse
from edgewise.protocol.inputs import read
from edgewise.records import LoadRun


#: Told how many requests ended since it was told last.
def prepare(settings: LoadSettings) -> Prepared:
    """Ask the server what its model takes, read the inputs and encode them for it.

    Raises:
        UsageError, InputError: a setting, an input, the address or the model is wrong: which.
    """
    links.check(settings.links)
    inputs = read(settings.inputs, settings.labels)
    schedule = plan(settings, len(inputs))
    target = parse(settings.url, settings.token, settings.ca).resolved()
    server = target.server()
    model = target.model(settings.model)
    if not model.inputs:
        raise InputError(f"{target.url}: the model '{settings.model}' states no inputs")
    bodies = encoding.encode(inputs, model.inputs, binary=server.binary)
    return Prepared(settings, target, server, inputs, bodies, schedule)


def drive(settings: LoadSettings, advance: Advance | None = None) -> LoadRun:
    """Run a load. Interrupted (Ctrl-C), it ends at once with what was finished.

    Raises:
        UsageError, InputError: as `prepare`; the connection is refused any more.
    """
    return carry_out(prepare(settings), advance)


def carry_out(prepared: Prepared, advance: Advance | None = None) -> LoadRun:
    """Run a load that is prepared.

    Raises:
        InputError: the connection is refused.
    """
    settings = prepared.settings
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    if settings.processes > 1:
        start_ms, exchanges, interrupted = processes.split(prepared, advance)
    else:
        start_ms, exchanges, interrupted = alone(prepared, advance=advance)
    return summarise(
        Driven(
            settings=settings,
            url=prepared.target.url,
            server=prepared.server,
            inputs=prepared.inputs,
            payload_bytes=sum(body.size_bytes for body in prepared.bodies) / len(prepared.bodies),
            schedule=prepared.schedule,
            started_at=started_at,
            start_ms=start_ms,
            exchanges=exchanges,
            interrupted=interrupted,
        )
    )
