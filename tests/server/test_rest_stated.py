"""What a request says of its time."""

from __future__ import annotations

import pytest

from edgewise.protocol.messages import BadRequest
from edgewise.server.http import timing as stated

NOW_MS = 1_790_000_000_000.0


@pytest.mark.parametrize(
    "start",
    ["t=1789999999.950", "1789999999.95", "t=1789999999950", "1789999999950", "t=1789999999950000",
     "1789999999950000000"],
)  # fmt: skip
@pytest.mark.parametrize("header", [b"x-request-start", b"x-queue-start"])
def test_a_proxys_start_in_every_unit(header: bytes, start: str) -> None:
    given = stated.of_proxy({header: start.encode()}, NOW_MS)
    assert given["proxy_elapsed_ms"] == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize(
    "start", ["", "t=", "nan", "inf", "-5", "yesterday", "0", "1789990000", "1790000001"]
)
def test_implausible_starts_are_ignored(start: str) -> None:
    assert stated.of_proxy({b"x-request-start": start.encode()}, NOW_MS) == {}


def test_envoys_patience() -> None:
    header = b"x-envoy-expected-rq-timeout-ms"
    assert stated.of_proxy({header: b"250"}, NOW_MS) == {"proxy_timeout_ms": 250}
    assert stated.of_proxy({header: b"soon"}, NOW_MS) == {}


def test_the_callers_parameters() -> None:
    given = {"sla_ms": 100, "elapsed_ms": 1.5, "timeout": 5000, "other": "kept"}
    assert stated.of_caller(given) == {"sla_ms": 100, "elapsed_ms": 1.5, "timeout_ms": 5}
    assert stated.others(given) == {"other": "kept"}
    assert stated.of_caller({"timeout": 0}) == {}


@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize(
    "name",
    ["sla_ms", "elapsed_ms", "rtt_ms", "upload_ms", "download_ms", "download_p90_ms", "timeout"],
)
def test_no_time_that_is_none(name: str, value: object) -> None:
    with pytest.raises(BadRequest, match=name):
        stated.of_caller({name: value})
