"""What is left of a deadline, and whose word on the network that rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.protocol.messages import RequestTiming
from edgewise.server.budget import resolve


def test_without_a_deadline_there_is_no_budget() -> None:
    found = resolve(RequestTiming(arrived_ms=1000.0), None)
    assert (found.sla_ms, found.budget_ms, found.due_ms) == (None, None, math.inf)
    assert found.basis == "default"


def test_the_service_has_a_deadline_for_those_who_state_none() -> None:
    assert resolve(RequestTiming(arrived_ms=1000.0), 80.0).budget_ms == 80.0
    assert resolve(RequestTiming(arrived_ms=1000.0, sla_ms=50.0), 80.0).budget_ms == 50.0


def test_what_the_caller_states_of_the_network_wins() -> None:
    stated = RequestTiming(
        arrived_ms=1000.0,
        sla_ms=200.0,
        elapsed_ms=5.0,
        upload_ms=60.0,
        download_ms=20.0,
        proxy_elapsed_ms=7.0,
        received_ms=1.0,
        kernel_rtt_ms=0.1,
    )
    found = resolve(stated, None)
    assert found.basis == "client"
    assert found.budget_ms == pytest.approx(200 - 5 - 60 - 20)
    assert found.due_ms == pytest.approx(1001 + 115)


def test_how_long_the_way_back_may_take_is_stated_by_two_quantiles() -> None:
    def errors(**more: float) -> list[float]:
        stated = RequestTiming(arrived_ms=0.0, sla_ms=300.0, upload_ms=10.0, **more)
        return resolve(stated, None).errors_ms.tolist()

    found = errors(download_ms=36.0, download_p90_ms=130.0)
    assert found == sorted(found)
    assert np.interp(0.5, (np.arange(8) + 0.5) / 8, found) == pytest.approx(0, abs=2)
    assert -36 < found[0] < 0
    assert 40 < found[6] < 130 - 36 < found[7]
    for certain in ({}, {"download_ms": 36.0}, {"download_ms": 36.0, "download_p90_ms": 36.0}):
        assert errors(**certain) == [0.0] * 8


def test_a_round_trip_is_shared_between_the_ways() -> None:
    found = resolve(
        RequestTiming(arrived_ms=0.0, sla_ms=100.0, rtt_ms=40.0, received_ms=10.0), None
    )
    assert (found.upload_ms, found.download_ms) == (30.0, 20.0)
    assert found.budget_ms == 50.0


def test_a_proxys_word_comes_before_the_services_own() -> None:
    stated = RequestTiming(
        arrived_ms=0.0, sla_ms=100.0, proxy_elapsed_ms=30.0, received_ms=1.0, kernel_rtt_ms=0.1
    )
    found = resolve(stated, None)
    assert found.basis == "proxy"
    assert found.budget_ms == pytest.approx(40.0), "the download is taken equal to the upload"


def test_the_service_uses_what_it_sees() -> None:
    found = resolve(
        RequestTiming(arrived_ms=0.0, sla_ms=100.0, received_ms=20.0, kernel_rtt_ms=10.0), None
    )
    assert found.basis == "service"
    assert (found.upload_ms, found.download_ms) == (25.0, 5.0)


def test_the_earliest_of_several_deadlines_counts() -> None:
    stated = RequestTiming(arrived_ms=0.0, sla_ms=100.0, timeout_ms=30.0, proxy_timeout_ms=60.0)
    assert resolve(stated, None).due_ms == 30.0
    assert resolve(RequestTiming(arrived_ms=0.0, proxy_timeout_ms=60.0), None).due_ms == 60.0


def test_the_deadline_of_grpc_loses_the_way_back() -> None:
    found = resolve(RequestTiming(arrived_ms=0.0, remaining_ms=100.0, rtt_ms=40.0), None)
    assert found.budget_ms == pytest.approx(60.0)
    assert found.sla_ms == 100.0


@given(
    sla=st.floats(0, 1e4),
    elapsed=st.floats(0, 1e4),
    up=st.floats(0, 1e4),
    down=st.floats(0, 1e4),
    more=st.floats(0, 1e3),
)
def test_more_time_spent_never_leaves_more(
    sla: float, elapsed: float, up: float, down: float, more: float
) -> None:
    def budget(elapsed_ms: float, upload_ms: float) -> float:
        stated = RequestTiming(0.0, sla, elapsed_ms, None, upload_ms, down)
        found = resolve(stated, None).budget_ms
        assert found is not None
        return found

    assert budget(elapsed + more, up) <= budget(elapsed, up)
    assert budget(elapsed, up + more) <= budget(elapsed, up)
