"""The computed comparison: profiles × links × a server's profile, in microseconds a row.

`table` computes every model on every device against every server over every link: the same
records as measured ones, each value labelled with how it came about. Times on the network are the
means of `network/link.py`; inference and loading are the profiles'; preparing photos, waiting in a
queue and energy are models, whose data name their sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from edgewise.energy.computing import Computing, metered
from edgewise.errors import UsageError
from edgewise.placement import battery
from edgewise.placement.battery import Work
from edgewise.placement.breakeven import Sending, with_break_even
from edgewise.placement.decide import decided, summed_cloud, summed_device
from edgewise.placement.preprocess import Exchange
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine, method_of, pairs
from edgewise.placement.wire import Usage, Wire, wire
from edgewise.placement.words import with_flips
from edgewise.records import (
    CloudPhases,
    DevicePhases,
    LinkProfile,
    Method,
    Placement,
    Profile,
)


class Served(NamedTuple):
    """One way of sending a request, without the network: what is the same over all links."""

    exchange: Exchange
    phases: CloudPhases

    @property
    def elsewhere_ms(self) -> float:
        """All but the network, of an answer."""
        one = self.phases
        return self.server_ms + self.own_ms + (one.queue_ms or 0.0)

    @property
    def sending(self) -> Sending:
        """As break-even points are solved from."""
        sizes = self.exchange.payload_bytes, self.exchange.reply_bytes
        return Sending(*sizes, self.elsewhere_ms)

    @property
    def server_ms(self) -> float:
        """What a worker of the server is busy for."""
        return (self.phases.server_preprocess_ms or 0.0) + (self.phases.inference_ms or 0.0)

    @property
    def own_ms(self) -> float:
        """What the device itself computes."""
        post_ms = self.phases.postprocess_ms or 0.0
        return self.exchange.device_preprocess_ms + self.exchange.encode_ms + post_ms


class Case(NamedTuple):
    """A model on a device against a server, for one kind of request: the same over all links."""

    model: str
    device: Machine
    server: Machine
    on_device: DevicePhases
    computing: Computing
    ways: tuple[Served, ...]
    methods: dict[str, Method]
    notes: tuple[str, ...]


def table(
    devices: Sequence[Machine],
    servers: Sequence[Machine],
    links: Sequence[LinkProfile],
    sent: Sent,
    *,
    models: Iterable[str] | None = None,
    usages: Sequence[Usage] = (Usage(),),
    utilisation: float = 0.0,
) -> list[Placement]:
    """Every model on every device, against every server, over every link, in every usage.

    Args:
        models: as `sides.pairs` takes them; None: all that a device and a server have in common.
        utilisation: of the server's workers, for the wait in its queue.

    Raises:
        UsageError: an unknown model, or a utilisation outside 0 … 1.
        InputError: a device and a server with no model in common.
    """
    wanted = None if models is None else tuple(models)
    cases = [
        case
        for device in devices
        for server in servers
        for case in cases_of(device, server, sent, wanted, utilisation)
    ]
    rows = [row for link in links for usage in usages for row in _over_link(cases, link, usage)]
    return with_flips(rows)


def place(
    model: str,
    device: Machine,
    server: Machine,
    link: LinkProfile,
    sent: Sent,
    *,
    usage: Usage | None = None,
    utilisation: float = 0.0,
) -> Placement:
    """One row of the table; see there."""
    (row,) = table(
        (device,), (server,), (link,), sent,
        models=(model,), usages=(usage or Usage(),), utilisation=utilisation,
    )  # fmt: skip
    return row


def cases_of(
    device: Machine,
    server: Machine,
    sent: Sent,
    models: Iterable[str] | None = None,
    utilisation: float = 0.0,
) -> list[Case]:
    """What does not depend on the link, of every model that both sides know.

    Raises:
        UsageError, InputError: as `table`.
    """
    if not 0 <= utilisation < 1:
        raise UsageError(f"a utilisation of {utilisation}", hint="0 or more, and below 1")
    return [
        _case(model, device, server, local, remote, sent, utilisation)
        for model, local, remote in pairs(device, server, models)
    ]


def _case(
    model: str,
    device: Machine,
    server: Machine,
    local: Profile,
    remote: Profile,
    sent: Sent,
    utilisation: float,
) -> Case:
    here, there = method_of(local), method_of(remote)
    sent = sent.to(device.input_sizes.get(local.sha256 or ""))
    meter = metered(local.energy, local.mean_ms)
    computing = Computing(device.power, meter, device.whole_phone)
    on_device = _on_device(device, local, sent, computing)
    methods: dict[str, Method] = {
        **dict.fromkeys(_MODELLED, "model"),
        "on_device.inference_ms": here,
        "cloud.inference_ms": there,
    }
    notes = [*device.said.get(local.model, ()), *server.said.get(remote.model, ())]
    if on_device.load_ms is not None:
        methods["on_device.load_ms"] = here
    else:
        notes.append(f"first answer: the profile of {device.name} does not say what loading takes")
    if computing.is_known:
        methods |= {"on_device.energy_j": computing.method, "cloud.energy_j": "model"}
    if sent.photo is None:
        notes.append("preprocessing: the request's bytes are the model's input as it is")
    elif sent.size_assumed:
        height, width = sent.input_size
        notes.append(
            f"preprocessing: for an input of {height} × {width}, see --input-size; a store "
            "knows it once `bench` ran the model or `inspect` looked at its file"
        )
    if sent.photo is not None and sent.photo_assumed:
        pixels = sent.photo.width * sent.photo.height / 1e6
        notes.append(f"a request is assumed to be a photo of {pixels:.0f} megapixels, see --photo")
    ways = tuple(
        _served(device, remote, way, utilisation) for way in sent.ways(device.costs, server.costs)
    )
    return Case(model, device, server, on_device, computing, ways, methods, tuple(notes))


_MODELLED = (
    "on_device.preprocess_ms", "on_device.postprocess_ms", "cloud.preprocess_ms",
    "cloud.encode_ms", "cloud.connect_ms", "cloud.upload_ms", "cloud.queue_ms",
    "cloud.download_ms", "cloud.postprocess_ms",
)  # fmt: skip


def _on_device(device: Machine, local: Profile, sent: Sent, how: Computing) -> DevicePhases:
    load_ms = None if local.cold_ms is None else max(local.cold_ms - local.mean_ms, 0.0)
    phases = DevicePhases(
        load_ms=load_ms,
        preprocess_ms=sent.local_ms(device.costs),
        inference_ms=local.mean_ms,
        postprocess_ms=device.costs.reading_ms(),
    )
    return battery.on_device(summed_device(phases), how, device.threads)


def _served(device: Machine, remote: Profile, exchange: Exchange, utilisation: float) -> Served:
    prepared_ms = exchange.server_preprocess_ms
    phases = CloudPhases(
        preprocess_ms=exchange.device_preprocess_ms + prepared_ms,
        encode_ms=exchange.encode_ms,
        queue_ms=queue_ms(prepared_ms + remote.mean_ms, remote.std_ms, utilisation),
        inference_ms=remote.mean_ms,
        postprocess_ms=device.costs.reading_ms(),
        server_preprocess_ms=prepared_ms,
    )
    return Served(exchange, phases)


def queue_ms(service_ms: float, std_ms: float, utilisation: float) -> float:
    """Mean wait before a worker that is busy for a fraction of the time: Pollaczek and Khinchine,
    ρ/(1 − ρ) · (1 + c²)/2 · service, c the coefficient of variation; requests come at random."""
    variation = std_ms / service_ms if service_ms > 0 else 0.0
    return utilisation / (1 - utilisation) * (1 + variation**2) / 2 * service_ms


def _over_link(cases: Sequence[Case], link: LinkProfile, usage: Usage) -> list[Placement]:
    """All rows of one link and usage: their break-even points are solved together."""
    rows = [_row(case, link, usage) for case in cases]
    ways = [[way.sending for way in case.ways] for case in cases]
    return [decided(row) for row in with_break_even(rows, link, usage, ways)]


def _row(case: Case, link: LinkProfile, usage: Usage) -> Placement:
    """Over one link, sent in the way that is answered sooner."""
    sent = [
        (_answer_ms(way, over, usage), place, way, over)
        for place, way in enumerate(case.ways)
        for over in (wire(link, way.exchange.payload_bytes, way.exchange.reply_bytes, usage),)
    ]
    (answer_ms, _, way, over), *others = sorted(sent, key=lambda each: each[:2])
    exchange = way.exchange
    return Placement(
        model=case.model,
        device=case.device.name,
        server=case.server.name,
        link=link.name,
        connection=usage.connection,
        on_device=case.on_device,
        cloud=_over(way, over, case.computing, link, usage),
        methods=case.methods,
        where_to_preprocess=exchange.where,
        preprocess_gain_ms=others[0][0] - answer_ms if others else None,
        radio=usage.radio,
        requests=usage.requests,
        gap_ms=usage.gap_ms,
        payload_bytes=exchange.payload_bytes,
        reply_bytes=exchange.reply_bytes,
        uplink_mbps=link.uplink_mbps,
        downlink_mbps=link.downlink_mbps,
        rtt_ms=link.rtt_ms,
        notes=(
            *battery.notes(link, case.computing, case.device.name, capped=usage.capped),
            *case.notes,
        ),
    )


def _answer_ms(way: Served, over: Wire, usage: Usage) -> float:
    network_ms = over.upload_ms + over.download_ms
    connect_ms = over.connect_ms if usage.connection == "fresh" else 0.0
    return way.elsewhere_ms + network_ms + connect_ms


def _over(way: Served, over: Wire, how: Computing, link: LinkProfile, usage: Usage) -> CloudPhases:
    """The phases with the network's, and the energy."""
    phases = summed_cloud(
        replace(
            way.phases,
            connect_ms=over.connect_ms,
            upload_ms=over.upload_ms,
            download_ms=over.download_ms,
            slow_start_ms=over.slow_start_ms,
            promotion_ms=over.asleep_ms + over.waking_ms,
        )
    )
    network_ms = over.upload_ms + over.download_ms - over.asleep_ms
    later_ms = network_ms + way.server_ms + (phases.queue_ms or 0.0)
    work = Work(
        way.exchange.payload_bytes,
        way.exchange.reply_bytes,
        own_ms=way.own_ms,
        later_ms=later_ms,
        first_ms=later_ms + over.connect_ms - over.waking_ms,
        all_asleep=over.asleep_ms > 0,
    )
    return battery.in_cloud(phases, work, how, link, usage)
