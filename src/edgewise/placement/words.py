"""A placement in sentences: who wins, what each way spends its time on, and when that changes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from edgewise.records import CloudPhases, DevicePhases, Placement, Way

#: A phase is worth a word from this share of the total on.
_MOST = 0.4
_WORDS = {
    "load_ms": "loading",
    "preprocess_ms": "preprocessing",
    "inference_ms": "inference",
    "postprocess_ms": "postprocessing",
    "encode_ms": "encoding",
    "connect_ms": "connecting",
    "upload_ms": "the upload",
    "queue_ms": "waiting in the queue",
    "download_ms": "the download",
}


def verdict(row: Placement) -> tuple[str, ...]:
    """What a row says, in sentences; empty where it has no numbers."""
    if row.on_device is None and row.cloud is None:
        return ()
    sentences = (
        _winner(row), *_bottlenecks(row), _first(row), _overtaking(row), *_energy(row),
        _break_even(row), _preparing(row),
    )  # fmt: skip
    return tuple(text for text in sentences if text)


def _winner(row: Placement) -> str | None:
    on_device, cloud = row.on_device or DevicePhases(), row.cloud or CloudPhases()
    fresh = row.connection == "fresh"
    here_ms, there_ms = on_device.total_ms, cloud.first_total_ms if fresh else cloud.total_ms
    if here_ms is None or there_ms is None or row.faster is None:
        missing = "the device" if here_ms is None else "the cloud"
        return f"Nothing to compare: what {missing} takes is not known."
    kind = "over a new connection each time" if fresh else "over an open connection"
    low, high = sorted((here_ms, there_ms))
    ratio = f": {_times(high / low)}" if low > 0 else ""
    return (
        f"The {row.faster} is faster{ratio} ({_ms(here_ms)} on {row.device}, "
        f"{_ms(there_ms)} over {row.link} {kind})."
    )


def _bottlenecks(row: Placement) -> Iterable[str | None]:
    yield _bottleneck("On the device", row.on_device, ("load_ms",))
    skipped = () if row.connection == "fresh" else ("connect_ms",)
    yield _bottleneck("In the cloud's way", row.cloud, skipped)


def _bottleneck(
    where: str, phases: DevicePhases | CloudPhases | None, skipped: tuple[str, ...]
) -> str | None:
    shares = _shares(phases, skipped)
    if not shares:
        return None
    name, share = max(shares.items(), key=lambda item: item[1])
    if share < _MOST:
        (first, one), (second, other) = sorted(shares.items(), key=lambda item: -item[1])[:2]
        return (
            f"{where} {_WORDS[first]} is {one:.0%} and {_WORDS[second]} {other:.0%} of an answer."
        )
    return f"{where} {_WORDS[name]} is {share:.0%} of an answer."


def _shares(
    phases: DevicePhases | CloudPhases | None, skipped: tuple[str, ...] = ()
) -> dict[str, float]:
    """Each phase's part of what its answer takes; empty where that is not known."""
    if phases is None or phases.total_ms is None:
        return {}
    known = {name: getattr(phases, name, None) for name in _WORDS if name not in skipped}
    times = {name: ms for name, ms in known.items() if ms is not None}
    total_ms = sum(times.values())
    return {name: ms / total_ms for name, ms in times.items()} if total_ms > 0 else {}


def _first(row: Placement) -> str | None:
    """The first answer: how long, what of, and who is first."""
    parts = []
    for where, phases in (("on the device", row.on_device), ("from the cloud", row.cloud)):
        if phases is not None and phases.first_total_ms is not None:
            shares = _shares(phases)
            name = max(shares, key=shares.__getitem__) if shares else None
            share = f" ({_WORDS[name]} is {shares[name]:.0%} of it)" if name else ""
            parts.append(f"{_ms(phases.first_total_ms)} {where}{share}")
    if not parts:
        return None
    flip = (
        row.first_faster is not None and row.faster is not None and row.first_faster != row.faster
    )
    ahead = f": there the {row.first_faster} is faster" if flip else ""
    return f"The first answer takes {' and '.join(parts)}{ahead}."


def _overtaking(row: Placement) -> str | None:
    """Where the first answer's winner is not the later ones': when the sum changes sides."""
    here, there = row.on_device or DevicePhases(), row.cloud or CloudPhases()
    if row.first_faster in (None, row.faster) or row.connection == "fresh":
        return None
    if here.total_ms is None or there.total_ms is None or row.faster is None:
        return None
    if here.first_total_ms is None or there.first_total_ms is None:
        return None
    head_start_ms = abs(here.first_total_ms - there.first_total_ms)
    answers = 1 + math.floor(head_start_ms / abs(here.total_ms - there.total_ms) + 1)
    return f"In sum the {row.faster} is ahead from answer {answers} on."


def _energy(row: Placement) -> Iterable[str]:
    here, there = row.on_device or DevicePhases(), row.cloud or CloudPhases()
    if row.frugal is None or here.energy_j is None or there.energy_j is None:
        return
    run = "an answer" if row.requests == 1 else f"an answer of {row.requests} in a row"
    radio = ""
    if there.radio_j is not None and there.energy_j > 0:
        radio = f", {there.radio_j / there.energy_j:.0%} of it for the radio"
    yield (
        f"The {row.frugal} spares the battery: {run} takes {_joules(here.energy_j)} on the device "
        f"and {_joules(there.energy_j)} over {row.link}{radio}."
    )
    if row.single_frugal not in (None, row.frugal) and there.single_energy_j is not None:
        yield (
            f"Of one request alone the {row.single_frugal} spares it: {_joules(here.energy_j)} on "
            f"the device, {_joules(there.single_energy_j)} over {row.link} with the radio's whole "
            "tail; which holds depends on how many follow each other."
        )
    alone = row.first_energy_ratio
    if alone is None or here.first_energy_j is None or there.first_energy_j is None:
        return
    if row.requests > 1 and (alone > 1) != (row.frugal == "cloud"):
        yield (
            f"A first answer by itself turns that round: {_joules(here.first_energy_j)} on the "
            f"device, {_joules(there.first_energy_j)} over {row.link} with the radio's whole tail."
        )


def _break_even(row: Placement) -> str | None:
    even, parts = row.break_even, []
    if even.uplink_mbps is not None:
        parts.append(f"above {even.uplink_mbps:.3g} Mbps up")
    if even.rtt_ms is not None:
        parts.append(f"below a round trip of {_ms(even.rtt_ms)}")
    if not parts:
        reason = even.uplink_reason or even.rtt_reason
        return f"Neither uplink nor round trip changes that: {reason}." if reason else None
    return f"The cloud is faster {' or '.join(parts)}, all else as it is."


def _preparing(row: Placement) -> str | None:
    if row.where_to_preprocess is None or row.preprocess_gain_ms is None:
        return None
    if row.where_to_preprocess == "device":
        return (
            f"Resize the photo on the device: sending the original takes "
            f"{_ms(row.preprocess_gain_ms)} longer."
        )
    return (
        f"Send the original photo: resizing it on the device takes "
        f"{_ms(row.preprocess_gain_ms)} longer."
    )


def with_flips(rows: Sequence[Placement]) -> list[Placement]:
    """Rows with a sentence more where another link, device or server has another winner."""
    said: list[list[str]] = [[] for _ in rows]
    for field, preposition in _FLIPPED.items():
        for places in _alike(rows, field):
            winners = [(str(getattr(rows[i], field)), rows[i].faster) for i in places]
            for i in places:
                text = _flip(rows[i].faster, winners, preposition)
                if text is not None:
                    said[i].append(text)
    return [
        replace(row, verdict=(*row.verdict, *texts)) if texts else row
        for row, texts in zip(rows, said, strict=True)
    ]


#: What may differ between two rows that are compared, and how one speaks of it.
_FLIPPED = {"link": "Over", "device": "On", "server": "Against"}


def _alike(rows: Sequence[Placement], field: str) -> Iterable[list[int]]:
    """Places of the rows that differ in one field only."""
    names = [name for name in ("model", *_FLIPPED) if name != field]
    shared = attrgetter(*names, "connection", "radio", "requests", "gap_ms", "recipe")
    groups: dict[object, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[shared(row)].append(place)
    return groups.values()


def _flip(
    faster: Way | None, winners: Sequence[tuple[str, Way | None]], preposition: str
) -> str | None:
    if faster is None:
        return None
    others = [name for name, winner in winners if winner not in (None, faster)]
    return f"{preposition} {_list(others)} the {_other(faster)} is faster." if others else None


def _other(way: Way) -> Way:
    return "cloud" if way == "device" else "device"


def _list(names: Sequence[str]) -> str:
    *head, last = dict.fromkeys(names)
    return f"{', '.join(head)} and {last}" if head else last


def _times(ratio: float) -> str:
    if ratio < 1.005:
        return "by less than a percent"
    return f"{ratio:.2f} times as fast" if ratio < 10 else f"{ratio:.0f} times as fast"


def _ms(value: float) -> str:
    if value >= 999.5:
        return f"{value / 1000:.{1 if value < 9950 else 0}f} s"
    if value >= 1:
        return f"{_two(value)} ms"
    return f"{_two(value * 1000)} µs" if value > 0 else "0 ms"


def _joules(value: float) -> str:
    if value == 0:
        return "nothing"
    if value >= 0.1:
        return f"{_two(value)} J"
    return f"{_two(value * 1000)} mJ" if value >= 1e-4 else f"{_two(value * 1e6)} µJ"


def _two(value: float) -> str:
    """Two digits that count, all of those before the point, and no power of ten."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"
