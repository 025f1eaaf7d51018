"""Times on links: the rule of measuring.md, fresh and warm connections, sleeping radios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.network.capacity import Constant, Recorded
from edgewise.network.link import FRESH, WARM, Connection, Pair, Path, Transfers


def over(connection: Connection = WARM, **how: float) -> Path:
    values = {
        "rtt_ms": 60.0, "jitter_ms": 0.0, "promotion_ms": 0.0, "tail_ms": 0.0,
        "payload_bytes": 100_000.0, "reply_bytes": 0.0, **how,
    }  # fmt: skip
    return Path("test", Constant(20.0), Constant(20.0), connection=connection, **values)


def times(path: Path, n: int = 1) -> Transfers:
    return path.transfers(n, np.random.default_rng(0))


def total(path: Path) -> float:
    seen = times(path)
    return float(seen.upload_ms[0] + seen.download_ms[0])


def test_the_rule_of_measuring() -> None:
    """100 kB at 20 Mbps and 60 ms: about 320 ms fresh, 100 ms by bandwidth alone."""
    assert total(over(WARM)) == pytest.approx(100.0)
    assert total(over(FRESH)) == pytest.approx(320, abs=5)


def test_a_small_payload_needs_no_slow_start() -> None:
    assert total(over(FRESH, payload_bytes=10_000)) == pytest.approx(3 * 60 + 4)


def test_a_fat_pipe_is_bound_by_its_windows() -> None:
    """At 10 Gbps a fresh connection sends 14.6, 29.2, 58.4 kB: two round trips of waiting."""
    fat = Path("fat", Constant(10_000.0), Constant(10_000.0), 60, 0, 0, 0, 100_000, 0, FRESH)
    assert total(fat) == pytest.approx(5 * 60, abs=1)


@given(st.floats(1, 1e7), st.floats(0.5, 2000), st.floats(0, 500))
def test_fresh_is_never_faster_than_warm(payload: float, mbps: float, rtt_ms: float) -> None:
    both = [
        total(Path("t", Constant(mbps), Constant(mbps), rtt_ms, 0, 0, 0, payload, 100, how))
        for how in (WARM, FRESH)
    ]
    alone = rtt_ms + (payload + 100) / (mbps * 125)
    assert both[0] == pytest.approx(alone)
    # Doubling from ten segments catches up with any pipe: never worse than a window per round trip.
    rounds = math.ceil(math.log2(payload / 14_600 + 1))
    assert alone + 2 * rtt_ms - 1e-6 <= both[1] <= alone + (3 + rounds) * rtt_ms + 1e-6


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_more_bytes_need_more_time(one: float, other: float) -> None:
    less, more = sorted([one, other])
    for how in (WARM, FRESH):
        assert total(over(how, payload_bytes=less)) <= total(over(how, payload_bytes=more)) + 1e-9


def test_an_idle_window_shrinks_down_to_a_fresh_one() -> None:
    seen = [total(over(Connection("warm", idle))) for idle in (0.0, 250.0, 500.0, 1e6)]
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(100) and seen[-1] == pytest.approx(total(over(FRESH)) - 120)


def test_a_sleeping_radio_is_promoted_first() -> None:
    radio = {"promotion_ms": 260.0, "tail_ms": 11_600.0, "payload_bytes": 1000.0}
    awake = total(over(Connection("warm", 11_000.0), **radio))
    assert total(over(Connection("warm", 12_000.0), **radio)) == pytest.approx(awake + 260)


def test_jitter_is_the_deviation_of_the_round_trip() -> None:
    seen = times(over(jitter_ms=20.0, payload_bytes=0.0), 50_000)
    rtt_ms = seen.upload_ms + seen.download_ms
    assert rtt_ms.mean() == pytest.approx(60, rel=0.01)
    assert rtt_ms.std() == pytest.approx(20, rel=0.03)
    assert min(seen.upload_ms.min(), seen.download_ms.min()) > 0


def test_a_pair_is_redrawn_until_positive() -> None:
    seen = Pair("p", 5.0, 20.0).one_way_ms(20_000, np.random.default_rng(1))
    assert (seen > 0).all() and 14 < seen.mean() < 20


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pair("p", -1, 2), lambda: Pair("p", math.nan, 2), lambda: Pair("p", 1, -2),
        lambda: Connection("warm", -1), lambda: Connection("hot"),  # type: ignore[arg-type]
        lambda: over(rtt_ms=-1), lambda: over(payload_bytes=math.nan), lambda: over(jitter_ms=-2),
    ],
)  # fmt: skip
def test_times_and_sizes_that_are_none_are_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


def slow_drain(edges: list[float], rates: list[float], start: float, size: float) -> float:
    """Minute steps through a repeated trace, in plain Python."""
    now, left = start, size
    while left > 1e-9:
        cycle, offset = divmod(now, edges[-1])
        segment = max(i for i in range(len(rates)) if edges[i] <= offset)
        until = cycle * edges[-1] + edges[segment + 1]
        passes = (until - now) * rates[segment] * 125
        if passes >= left:
            return now + left / (rates[segment] * 125)
        now, left = max(until, math.nextafter(now, math.inf)), left - passes
    return now


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 1, 4, 30])), min_size=1, max_size=6
    ).filter(lambda rows: any(rate for _, rate in rows)),
    st.floats(0, 500),
    st.floats(1, 50_000),
)
def test_a_trace_drains_as_a_walk_along_it(
    rows: list[tuple[int, int]], start: float, size: float
) -> None:
    edges = np.concatenate([[0.0], np.cumsum([step for step, _ in rows])])
    rates = [float(rate) for _, rate in rows]
    trace = Recorded(edges, np.array(rates))
    seen = trace.drained_ms(np.array([start]), size)[0]
    assert seen == pytest.approx(slow_drain(edges.tolist(), rates, start, size), abs=1e-4)
    assert trace.drained_ms(np.array([start]), 0.0)[0] == pytest.approx(start)
