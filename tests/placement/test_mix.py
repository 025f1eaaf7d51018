"""Mixes of users: shares, means, money; and files of telemetry."""

from __future__ import annotations

from pathlib import Path

import pytest
from machines import PHOTO, TENSOR, cloud, link, phone

from edgewise.errors import InputError, UsageError
from edgewise.placement import mix as mix_module
from edgewise.placement.mix import Price, mixed, read_mix
from edgewise.placement.model import place

SPEC = "wifi=0.6,lte=0.3,3g=0.1"
#: Between what the cloud takes over LTE and over 3G.
MEAN_MS = 100.0


def test_shares_and_means_are_those_of_the_rows() -> None:
    found = mixed("net_v1_1", phone(), cloud(MEAN_MS), read_mix(SPEC), TENSOR)
    rows = {name: place("net_v1_1", phone(), cloud(MEAN_MS), link(name), TENSOR)
            for name in ("wifi", "lte", "3g")}  # fmt: skip
    assert {name: row.faster for name, row in rows.items()} == {
        "wifi": "cloud", "lte": "cloud", "3g": "device",
    }  # fmt: skip
    weights = {"wifi": 0.6, "lte": 0.3, "3g": 0.1}
    cloud_ms = {name: row.cloud.total_ms for name, row in rows.items() if row.cloud}
    assert found.cloud_share == pytest.approx(0.9)
    assert found.cloud_by_link == {"wifi": 1.0, "lte": 1.0, "3g": 0.0}
    assert found.by_link == pytest.approx(weights)
    assert found.cloud_ms == pytest.approx(sum(weights[n] * cloud_ms[n] for n in weights))
    best = sum(weights[n] * min(cloud_ms[n], found.device_ms) for n in weights)
    assert found.best_ms == pytest.approx(best)
    spared = sum(weights[n] for n, row in rows.items() if row.frugal == "cloud")
    assert found.cloud_frugal_share == pytest.approx(spared)
    assert found.frugal_users_share == pytest.approx(1.0)


def test_one_request_alone_pays_a_whole_tail_and_that_is_said() -> None:
    found = mixed("net_v1_1", phone(), cloud(MEAN_MS), read_mix("lte=0.5,wifi=0.5"), TENSOR)
    rows = [place("net_v1_1", phone(), cloud(MEAN_MS), link(n), TENSOR) for n in ("lte", "wifi")]
    alone = [row.cloud.single_energy_j or 0.0 for row in rows if row.cloud]
    assert found.single_cloud_j == pytest.approx(sum(alone) / 2)
    assert [row.single_frugal for row in rows] == ["device", "cloud"]
    assert found.single_cloud_frugal_share == 0.5 != found.cloud_frugal_share
    assert any("of one request alone of 50%" in note for note in found.notes)


def test_a_million_requests_by_hand() -> None:
    """100 ms on 2 cores at 0.09 an hour, busy half of the time: 1e5 core-seconds doubled twice."""
    price = Price(per_core_hour=0.09, cores=2, utilisation=0.5)
    assert price.per_million(100.0) == pytest.approx(1e6 * 0.1 * 2 * 0.09 / 3600 / 0.5)
    found = mixed("net_v1_1", phone(), cloud(MEAN_MS), read_mix(SPEC), TENSOR, price=price)
    assert found.cost_per_million == pytest.approx(10.0)
    assert found.best_cost_per_million == pytest.approx(9.0)
    free = mixed("net_v1_1", phone(), cloud(MEAN_MS), read_mix(SPEC), TENSOR)
    assert free.cost_per_million is None and free.service_ms == pytest.approx(MEAN_MS)


def test_every_user_of_a_telemetry_is_a_link_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    users = [(15, 100, 150), (70, 6, 13), (160, 0.7, 1.5), (300, 0.3, 1.0)]
    lines = "\n".join(",".join(map(str, user)) for user in users)
    file.write_text(f"# last week\nrtt_ms,uplink_mbps,downlink_mbps\n{lines}\n")
    found = mixed("net_v1_1", phone(), cloud(MEAN_MS), read_mix(str(file)), PHOTO)
    rows = [
        place("net_v1_1", phone(), cloud(MEAN_MS),
              link("ethernet", rtt_ms=rtt, uplink_mbps=up, downlink_mbps=down), PHOTO)
        for rtt, up, down in users
    ]  # fmt: skip
    times = [row.cloud.total_ms for row in rows if row.cloud]
    assert found.users == 4 and found.mix == "users.csv"
    assert found.cloud_ms == pytest.approx(sum(times) / 4)
    assert found.cloud_share == pytest.approx(sum(row.faster == "cloud" for row in rows) / 4)
    assert found.cloud_frugal_share is None and any("radio" in note for note in found.notes)


def test_a_telemetry_may_name_links_for_their_radios(tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text("rtt_ms,uplink_mbps,downlink_mbps,link\n20,50,80,wifi\n80,5,9,lte\n10,9,9,\n")
    found = mixed("net_v1_1", phone(), cloud(), read_mix(str(file)), TENSOR)
    assert found.by_link == pytest.approx({"wifi": 1 / 3, "lte": 1 / 3, "telemetry": 1 / 3})
    assert found.frugal_users_share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfrtt_ms,uplink_mbps,downlink_mbps,link\r\n20.5,50,80,WiFi\r\n,,,\r\n",
        b"RTT_ms; Uplink_Mbps; downlink_mbps; link\n20,5; 50; 80; wifi \n",
        "link\trtt_ms\tuplink_mbps\tdownlink_mbps\nwifi\t20,5\t50\t80\n".encode("utf-16"),
    ],
)
def test_a_spreadsheet_writes_telemetry_in_its_own_way(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(content)
    mix = read_mix(str(file))
    ((link_, lines, weights),) = mix.groups
    assert (mix.users, link_.name, list(weights)) == (1, "wifi", [1.0])
    assert [float(each[0]) for each in lines] == [50.0, 80.0, 20.5]


def test_users_of_all_parts_of_a_large_telemetry_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("rtt_ms,uplink_mbps,downlink_mbps\n" + "20,50,80\n" * 7 + "20,x,80\n")
    monkeypatch.setattr(mix_module, "_AT_ONCE", 3)
    with pytest.raises(InputError, match="line 9"):
        read_mix(str(file))
    file.write_text("rtt_ms,uplink_mbps,downlink_mbps\n" + "20,50,80\n" * 7)
    assert read_mix(str(file)).users == 7


def test_shares_may_be_percentages_with_blanks() -> None:
    groups = read_mix(" wifi = 60% , lte = 0.4").groups
    assert [(group.link.name, float(group.weights[0])) for group in groups] == [
        ("wifi", 0.6), ("lte", 0.4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "says"),
    [("wifi", "no mix"), ("wifi=0.5", "sum to 0.5"), ("wifi=0.5,wifi=0.5", "twice"),
     ("wifi=x,lte=0.5", "no share"), ("warp=1", "unknown link"), ("wifi=1.5,lte=-0.5", "no share")],
)  # fmt: skip
def test_mixes_that_are_none_are_refused(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_mix(spec)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rtt_ms,uplink_mbps\n1,2\n", "downlink_mbps"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n", "no user"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n1,2,3\n1,x,3\n", "line 3"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n1,2\n", "line 2"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n1,0,3\n", "line 2: uplink_mbps is '0'"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n-1,1,3\n", "line 2: rtt_ms is '-1'"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n1,1,nan\n", "line 2: downlink_mbps is 'nan'"),
        ("rtt_ms,uplink_mbps,downlink_mbps\n1,1,inf\n", "line 2: downlink_mbps is 'inf'"),
        ("rtt_ms,uplink_mbps,downlink_mbps,link\n1,1,1,\n\n1,1,1,warp\n", "line 4: unknown link"),
        ("", "rtt_ms"),
    ],
)
def test_telemetries_that_are_none_say_where(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "users.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        read_mix(str(file))


@pytest.mark.parametrize("wrong", [(-1.0, 1.0, 0.5), (1.0, 0.0, 0.5), (1.0, 1.0, 0.0)])
def test_prices_that_are_none_are_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        Price(*wrong)
