"""One's own link, measured against a server behind a shaped one."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import fake_server
import pytest
from fake_server import Fake
from msgspec.structs import replace

from edgewise.errors import InputError
from edgewise.network import catalogue
from edgewise.network.shaper import shaped
from edgewise.network.streams import ENDS_MBPS
from edgewise.placement.own_link import OwnLink, as_toml, measure_link
from edgewise.placement.probing import Effort
from edgewise.records import LinkProfile

pytest.importorskip("httptools", reason="answers are read by it")

LINK = LinkProfile(name="x", uplink_mbps=12.0, downlink_mbps=30.0, rtt_ms=30.0, jitter_ms=3.0)


#: A page that costs the server as good as nothing, so that it is the link that is measured.
PAGE = b"x" * 65_536
SHORT = Effort(stream_ms=80, share=0.1, seconds=1.0, streams=4, pings=8)
#: A measurement that other work on this machine disturbed is made again, for longer.
TRIES = 8


def through_the_link(url: str, attempt: int) -> OwnLink:
    port = urlsplit(url).port
    assert port is not None
    effort = dataclasses.replace(SHORT, stream_ms=80 * (1 + attempt))
    with shaped(LINK, "127.0.0.1", port) as entry:
        return measure_link(f"http://127.0.0.1:{entry}", effort=effort)


def is_right(found: OwnLink) -> bool:
    said = found.described("mine")
    names = ("uplink_mbps", "downlink_mbps", "rtt_ms")
    return all(said[name] == pytest.approx(getattr(LINK, name), rel=0.2) for name in names)


def test_the_shaped_rates_are_found(tmp_path: Path) -> None:
    with fake_server.running(Fake(page=PAGE)) as server:
        tries = (through_the_link(server.url, attempt) for attempt in range(TRIES))
        found = next((each for each in tries if is_right(each)), None)
    assert found is not None
    file = tmp_path / "mine.toml"
    file.write_text(as_toml([found.profile("mine", "lte-2012")]))
    known = catalogue.link(f"{file}:mine")
    assert known.uplink_mbps == pytest.approx(12.0, rel=0.2)
    assert (known.radio, known.promotion_ms) == ("lte-2012", 260)


def test_without_a_link_it_is_at_least_so_fast() -> None:
    with fake_server.running(Fake(page=PAGE)) as server:
        found = measure_link(server.url, effort=SHORT)
    rate = found.measured.uplink_mbps
    assert rate is not None
    assert (rate.value < ENDS_MBPS) or math.isinf(rate.high)
    if math.isinf(rate.high):
        assert found.described("mine")["uplink_ci95_mbps"] == (rate.low, None)
        assert any(note.startswith("uplink: at least ") for note in found.notes)


def test_a_body_that_is_too_large_is_answered_with_that() -> None:
    with fake_server.running(Fake(page=PAGE, most_bytes=20_000)) as server:
        found = measure_link(server.url, effort=SHORT)
    assert found.measured.uplink_mbps is not None
    [note] = [each for each in found.notes if "a body of" in each]
    assert note == "uplink: a body of 32768 bytes is answered with 413; smaller ones are used"


def test_a_server_that_takes_and_gives_nothing_large_tells_no_rates() -> None:
    with fake_server.running(Fake()) as server:
        found = measure_link(server.url, effort=SHORT)
    said = found.described("mine")
    assert said["uplink_mbps"] is None
    assert said["downlink_mbps"] is None
    assert said["rtt_ms"] is not None
    assert any(note.startswith("uplink: a body of 4096 bytes is") for note in found.notes)
    assert any(note.startswith("downlink: the server has no page") for note in found.notes)
    with pytest.raises(InputError, match="cannot be told"):
        found.profile("mine")


def test_a_server_that_wants_a_token_is_no_server_without_pages() -> None:
    with fake_server.running(Fake(refusal=401)) as server:
        found = measure_link(server.url, effort=SHORT)
    assert found.notes == (
        "downlink: pages are answered with 401 (give the right --token)",
        "uplink: a body of 4096 bytes is answered with 401 (give the right --token)",
    )


def test_nobody_answers() -> None:
    with fake_server.running(Fake()) as server:
        dead = server.url
    with pytest.raises(InputError, match="no connection to"):
        measure_link(dead)


def test_a_link_as_a_file_has_only_what_is_known() -> None:
    text = as_toml([LINK, LinkProfile(name='o"dd', uplink_mbps=1, downlink_mbps=2, rtt_ms=0)])
    first, second = tomllib.loads(text)["link"]
    assert first == {
        "name": "x", "uplink_mbps": 12.0, "downlink_mbps": 30.0, "rtt_ms": 30.0, "jitter_ms": 3.0
    }  # fmt: skip
    wired = replace(LINK, radio="none")
    assert tomllib.loads(as_toml([wired]))["link"][0]["radio"] == "none"
    assert second["name"] == 'o"dd'
