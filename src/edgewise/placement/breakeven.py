"""The uplink and the round trip at which both ways take the same time.

Solved by bisection on the very sum that a placement states, its network replaced by the link's
model: for many rows of one link at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from edgewise.network.capacity import Floats
from edgewise.placement.wire import Lines, Usage, network_ms
from edgewise.records import BreakEven, FrontierPoint, LinkProfile, Method, Placement

#: Where it is looked for.
UPLINK_MBPS = (1e-3, 1e5)
RTT_MS = (0.0, 60_000.0)
#: Round trips of the frontier.
FRONTIER_RTT_MS: tuple[float, ...] = (1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500)
_HALVINGS = 48

#: The bisection's ends: the device is faster everywhere, the cloud is.
_DEVICE, _CLOUD = 1, -1
_UPLINK_REASONS = {
    _DEVICE: f"the device is faster even at {UPLINK_MBPS[1]:,.0f} Mbps up",
    _CLOUD: f"the cloud is faster even at {UPLINK_MBPS[0]:g} Mbps up",
}
_RTT_REASONS = {
    _DEVICE: "the device is faster even without a round trip",
    _CLOUD: f"the cloud is faster even at a round trip of {RTT_MS[1] / 1000:.0f} s",
}


class Sending(NamedTuple):
    """One way to send a request: its sizes, and what its answer takes beside the network."""

    payload_bytes: float
    reply_bytes: float
    elsewhere_ms: float


def sending_of(row: Placement) -> Sending | None:
    """The way that a row was sent; None where its times or sizes are not known."""
    cloud = row.cloud
    if cloud is None or cloud.total_ms is None or row.payload_bytes is None:
        return None
    network_ms = (cloud.upload_ms or 0.0) + (cloud.download_ms or 0.0)
    return Sending(row.payload_bytes, row.reply_bytes or 0.0, cloud.total_ms - network_ms)


def with_break_even(
    rows: Sequence[Placement],
    link: LinkProfile,
    usage: Usage,
    ways: Sequence[Sequence[Sending]] | None = None,
) -> list[Placement]:
    """Rows over one link, of one usage, with their break-even points and frontiers.

    Args:
        ways: for each row, the ways to send it, of which the soonest counts at every uplink and
            round trip; equally many for each row and of equal sizes. None: as it was sent.

    Where device and cloud cross more than once (a window that an idle connection lost makes steps)
    it is one of the crossings. Rows without times are given back as they are.
    """
    chosen = ways or [[way] if (way := sending_of(row)) else [] for row in rows]
    known = [
        i
        for i, (row, sent) in enumerate(zip(rows, chosen, strict=True))
        if sent and row.on_device is not None and row.on_device.total_ms is not None
    ]
    solved = list(rows)
    groups: dict[object, list[int]] = defaultdict(list)
    for i in known:
        groups[tuple(way[:2] for way in chosen[i])].append(i)
    for members in groups.values():
        solver = _Solver([rows[i] for i in members], [chosen[i] for i in members], link, usage)
        for i, point, line in zip(members, solver.points(), solver.frontiers(), strict=True):
            methods: dict[str, Method] = {**rows[i].methods, "break_even": "model"}
            solved[i] = replace(rows[i], break_even=point, frontier=line, methods=methods)
    return solved


class _Solver:
    """n rows over one link, each with the same k ways to send it."""

    def __init__(
        self,
        rows: Sequence[Placement],
        ways: Sequence[Sequence[Sending]],
        link: LinkProfile,
        usage: Usage,
    ) -> None:
        self._n = len(rows)
        self._link, self._usage = link, usage
        self._sizes = [(way.payload_bytes, way.reply_bytes) for way in ways[0]]
        device_ms = np.array([row.on_device.total_ms for row in rows if row.on_device is not None])
        elsewhere_ms = np.array([[way.elsewhere_ms for way in sent] for sent in ways])
        #: How far the cloud is behind but for the network, by way: shape (k, n).
        self._beside_ms = elsewhere_ms.T - device_ms

    def points(self) -> list[BreakEven]:
        """One for each row."""
        uplink, uplink_ends = self._uplinks(np.full(self._n, self._link.rtt_ms), 1)
        rtt_ms, rtt_ends = _rising_root(self._behind_at_rtt, *RTT_MS, self._n)
        return [
            BreakEven(
                uplink_mbps=None if uplink_ends[i] else float(uplink[i]),
                rtt_ms=None if rtt_ends[i] else float(rtt_ms[i]),
                uplink_reason=_UPLINK_REASONS.get(int(uplink_ends[i])),
                rtt_reason=_RTT_REASONS.get(int(rtt_ends[i])),
            )
            for i in range(self._n)
        ]

    def frontiers(self) -> list[tuple[FrontierPoint, ...]]:
        """For each row, the uplink over round trips."""
        count = len(FRONTIER_RTT_MS)
        rtt_ms = np.tile(np.array(FRONTIER_RTT_MS), self._n)
        uplink, ends = self._uplinks(rtt_ms, count)
        points = [
            FrontierPoint(
                rtt_ms=float(rtt_ms[i]),
                uplink_mbps=None if ends[i] else float(uplink[i]),
                faster=None if not ends[i] else "device" if ends[i] == _DEVICE else "cloud",
            )
            for i in range(len(rtt_ms))
        ]
        return [tuple(points[i * count : (i + 1) * count]) for i in range(self._n)]

    def _uplinks(self, rtt_ms: Floats, each: int) -> tuple[Floats, Floats]:
        """Break-even uplinks, `each` in a row for every row; shape (n · each,)."""
        downlink = np.full(len(rtt_ms), self._link.downlink_mbps)

        def behind_ms(log_slowness: Floats) -> Floats:
            return self._behind_ms(Lines(np.exp(-log_slowness), downlink, rtt_ms), each)

        low, high = UPLINK_MBPS
        slowness, ends = _rising_root(behind_ms, -np.log(high), -np.log(low), len(rtt_ms))
        return np.exp(-slowness), ends

    def _behind_at_rtt(self, rtt_ms: Floats) -> Floats:
        uplink = np.full(self._n, self._link.uplink_mbps)
        downlink = np.full(self._n, self._link.downlink_mbps)
        return self._behind_ms(Lines(uplink, downlink, rtt_ms), 1)

    def _behind_ms(self, lines: Lines, each: int) -> Floats:
        """How far the cloud is behind, sent in the way that is answered first."""
        by_way = [
            np.repeat(beside_ms, each) + network_ms(self._link, lines, *sizes, self._usage)
            for beside_ms, sizes in zip(self._beside_ms, self._sizes, strict=True)
        ]
        behind_ms: Floats = np.min(by_way, axis=0)
        return behind_ms


def _rising_root(
    behind_ms: Callable[[Floats], Floats], low: float, high: float, n: int
) -> tuple[Floats, Floats]:
    """Where the cloud falls behind, shape (n,), and whether it does: 0, else who is faster
    everywhere."""
    lows, highs = np.full(n, low), np.full(n, high)
    ends = np.where(behind_ms(lows) > 0, _DEVICE, np.where(behind_ms(highs) <= 0, _CLOUD, 0))
    for _ in range(_HALVINGS):
        middle = (lows + highs) / 2
        behind = behind_ms(middle) > 0
        highs, lows = np.where(behind, middle, highs), np.where(behind, lows, middle)
    return (lows + highs) / 2, ends
