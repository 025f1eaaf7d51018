"""From requests that were measured to the phases of the cloud's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from msgspec.structs import replace

from edgewise.network.link import HANDSHAKE_ROUND_TRIPS
from edgewise.placement.cloud import Sample, Samples, mean_total_ms
from edgewise.placement.decide import summed_cloud
from edgewise.placement.device import spread
from edgewise.placement.line import Silence
from edgewise.placement.wire import Usage, wire
from edgewise.records import CloudPhases, Distribution, LinkProfile, Method

#: How far the server's word may exceed what the client saw: its times are rounded.
_ROUNDING_MS = 0.05
_SPLIT = (
    "cloud: of the wait, download is half a round trip{origin} and the reply's reading, upload is "
    "the rest but for the server's word; it holds what the server does not report"
)
_SILENT = (
    "cloud: {reason}: inference_ms is all between upload and download, and these are split by "
    "{network}"
)


class Parts(NamedTuple):
    """A wait's parts in ms; they add up to it. `queue_ms` and `preprocess_ms` are the server's,
    None where it does not say."""

    upload_ms: float
    queue_ms: float | None
    preprocess_ms: float | None
    inference_ms: float
    download_ms: float


class InCloud(NamedTuple):
    """The cloud's way. `awake_ms` and `first_awake_ms` is how long the radio was, of a warm and of
    a fresh request; `own_ms` what the device computed."""

    phases: CloudPhases
    distributions: dict[str, Distribution]
    methods: dict[str, Method]
    payload_bytes: float
    reply_bytes: float
    own_ms: float
    awake_ms: float
    first_awake_ms: float
    notes: tuple[str, ...]


def in_cloud(samples: Samples, link: LinkProfile | None, silence: Silence) -> InCloud:
    """Means and distributions; needs samples of both kinds. The sum of the phases is the mean of
    the totals, exactly; but a new connection costs at least its handshake, where fresh and open
    ones differ by less than chance."""
    warm, fresh = samples.warm, samples.fresh
    half_ms = (link.rtt_ms if link else samples.rtt_ms or 0.0) / 2
    doubt = _doubt([*warm, *fresh])
    parts = [_parts(sample, half_ms, link, believed=doubt is None) for sample in warm]
    handshake_ms = fmean(sample.connect_ms for sample in fresh)
    connect_ms = max(mean_total_ms(fresh) - mean_total_ms(warm), handshake_ms)
    server_ms = mean(part.preprocess_ms for part in parts)
    client_ms = fmean(sample.preprocess_ms for sample in warm)
    phases = summed_cloud(
        CloudPhases(
            preprocess_ms=client_ms + (server_ms or 0.0),
            encode_ms=fmean(sample.encode_ms for sample in warm),
            connect_ms=connect_ms,
            upload_ms=fmean(part.upload_ms for part in parts),
            # What is merged into inference took no time of its own.
            queue_ms=mean(part.queue_ms for part in parts) or 0.0,
            inference_ms=fmean(part.inference_ms for part in parts),
            download_ms=fmean(part.download_ms for part in parts),
            postprocess_ms=fmean(sample.postprocess_ms for sample in warm),
            server_preprocess_ms=server_ms,
            slow_start_ms=_slow_start_ms(fresh, connect_ms, link, silence),
            promotion_ms=link.promotion_ms if link and silence.fresh_asleep else None,
        )
    )
    if doubt is not None:
        phases = _without_queue(phases)
    own = phases.encode_ms or 0.0
    return InCloud(
        phases=phases,
        distributions=_distributions(warm, fresh, parts),
        methods=_methods(phases, doubt),
        payload_bytes=fmean(sample.payload_bytes for sample in warm),
        reply_bytes=fmean(sample.reply_bytes for sample in warm),
        own_ms=client_ms + own + (phases.postprocess_ms or 0.0),
        awake_ms=fmean(sample.wait_ms for sample in warm),
        first_awake_ms=fmean(sample.connect_ms + sample.wait_ms for sample in fresh),
        notes=(*_notes(samples, link, doubt, connect_ms <= handshake_ms), *silence.notes),
    )


def _without_queue(phases: CloudPhases) -> CloudPhases:
    """Merged phases: the sums stay, the queue is not known."""
    return replace(phases, queue_ms=None)


def _doubt(samples: Sequence[Sample]) -> str | None:
    """Why the server's times cannot be used; None: they fit into what the client saw."""
    services = [(sample, sample.said.service_ms) for sample in samples]
    missing = sum(service is None for _, service in services)
    if missing == len(services):
        return "the server does not say how long it took"
    if missing:
        return f"{missing} of {len(services)} answers do not say how long the server took"
    longer = sum((ms or 0.0) > sample.wait_ms + _ROUNDING_MS for sample, ms in services)
    if longer:
        return (
            f"{longer} of {len(services)} answers claim more time at the server than the client "
            "saw in all, so that none is believed"
        )
    return None


def _parts(sample: Sample, half_ms: float, link: LinkProfile | None, *, believed: bool) -> Parts:
    said, wait_ms = sample.said, sample.wait_ms
    service_ms = said.service_ms
    if not believed or service_ms is None:
        return _silent_parts(sample, half_ms, link)
    network_ms = max(wait_ms - service_ms, 0.0)
    download_ms = min(half_ms + sample.reading_ms, network_ms)
    queue_ms = (said.queue_ms or 0.0) + (said.cold_ms or 0.0)
    preprocess_ms = said.preprocess_ms or 0.0
    return Parts(
        upload_ms=network_ms - download_ms,
        queue_ms=queue_ms,
        preprocess_ms=preprocess_ms,
        # Not the server's number: rounding must not break the sum.
        inference_ms=wait_ms - network_ms - queue_ms - preprocess_ms,
        download_ms=download_ms,
    )


def _silent_parts(sample: Sample, half_ms: float, link: LinkProfile | None) -> Parts:
    """Without the server's word: the network by the link's model, else by a small request's round
    trip and what the kernel took to take the bytes."""
    download_ms = min(half_ms + sample.reading_ms, sample.wait_ms)
    if link is not None:
        over = wire(link, sample.payload_bytes, sample.reply_bytes, Usage())
        upload_ms = over.upload_ms
    else:
        upload_ms = half_ms + sample.sending_ms
    upload_ms = min(upload_ms, sample.wait_ms - download_ms)
    left_ms = sample.wait_ms - upload_ms - download_ms
    return Parts(upload_ms, None, None, left_ms, download_ms)


def _slow_start_ms(
    fresh: Sequence[Sample], connect_ms: float, link: LinkProfile | None, silence: Silence
) -> float:
    """What of a new connection's cost is neither handshake nor a radio that only then wakes. A
    shaped connection's handshake is paid with its first bytes: there it is the link's."""
    if link is not None:
        handshake_ms = HANDSHAKE_ROUND_TRIPS * link.rtt_ms
        if silence.fresh_asleep and not silence.warm_asleep:
            handshake_ms += link.promotion_ms
    else:
        handshake_ms = fmean(sample.connect_ms for sample in fresh)
    return max(connect_ms - handshake_ms, 0.0)


def _distributions(
    warm: Sequence[Sample], fresh: Sequence[Sample], parts: Sequence[Parts]
) -> dict[str, Distribution]:
    by_question: dict[int, list[float]] = {}
    for sample in warm:
        by_question.setdefault(sample.question, []).append(sample.total_ms)
    all_ms = mean_total_ms(warm)
    later_ms = {question: fmean(totals) for question, totals in by_question.items()}
    known = {
        "preprocess_ms": [
            sample.preprocess_ms + (part.preprocess_ms or 0.0)
            for sample, part in zip(warm, parts, strict=True)
        ],
        "encode_ms": [sample.encode_ms for sample in warm],
        "upload_ms": [part.upload_ms for part in parts],
        "queue_ms": [part.queue_ms for part in parts if part.queue_ms is not None],
        "server_preprocess_ms": [p.preprocess_ms for p in parts if p.preprocess_ms is not None],
        "inference_ms": [part.inference_ms for part in parts],
        "download_ms": [part.download_ms for part in parts],
        "postprocess_ms": [sample.postprocess_ms for sample in warm],
        "total_ms": [sample.total_ms for sample in warm],
        "connect_ms": [s.total_ms - later_ms.get(s.question, all_ms) for s in fresh],
        "first_total_ms": [sample.total_ms for sample in fresh],
    }
    # One process, one link: nothing tells how much others would differ, so there is no interval.
    return {f"cloud.{name}": spread([values]) for name, values in known.items() if values}


def _methods(phases: CloudPhases, doubt: str | None) -> dict[str, Method]:
    modelled = {"slow_start_ms", "promotion_ms"}
    if doubt is not None:
        modelled |= {"upload_ms", "inference_ms", "download_ms"}
    known = (name for name in phases.__struct_fields__ if getattr(phases, name) is not None)
    return {f"cloud.{name}": "model" if name in modelled else "measured" for name in known}


def _notes(
    samples: Samples, link: LinkProfile | None, doubt: str | None, only_handshake: bool
) -> Iterable[str]:
    if doubt is None:
        yield _SPLIT.format(origin=" of the link" if link else " of a small request")
    else:
        network = "the link's model" if link else "a small request's round trip"
        yield _SILENT.format(reason=doubt, network=network)
    if any(sample.said.cold_ms for sample in samples.warm):
        yield "cloud: some answers waited for the server to load the model: that is in queue_ms"
    if only_handshake:
        yield (
            "cloud: a new connection costs less than these requests vary: connect_ms is the "
            "handshake alone"
        )
    if samples.failures:
        done, failed = len(samples.warm) + len(samples.fresh), len(samples.failures)
        yield f"cloud: {failed} of {done + failed} requests failed: {samples.failures[0]}"


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
