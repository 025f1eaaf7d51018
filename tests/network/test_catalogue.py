"""Networks by name, and files of users."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from edgewise.errors import EdgewiseError, InputError, UsageError
from edgewise.network.catalogue import (
    WIRED,
    kinds_of_radio,
    link,
    links,
    pairs,
    radios,
    read_links,
    resolve,
)
from edgewise.network.link import Pair, Path

MINE = '[[link]]\nname = "mine"\nuplink_mbps = 5\ndownlink_mbps = 9\nrtt_ms = 33\n'


def test_the_links_of_the_specification_are_known() -> None:
    assert {"ethernet", "wifi", "campus", "home", "3g", "lte", "5g-low-band", "5g-mmwave"} <= set(
        links()
    )
    for one in links().values():
        assert one.source and one.description
        assert one.radio in kinds_of_radio()
        assert one.promotion_ms > 0 or one.radio == WIRED


def test_promotion_and_tail_are_those_of_the_radio() -> None:
    lte = links()["lte"]
    assert (lte.promotion_ms, lte.tail_ms) == (260, 11_600)
    assert radios()["4g-2021"]["promotion_ms"] is None


def test_a_published_pair_wins_over_a_link_of_its_name() -> None:
    assert isinstance(resolve("campus"), Pair)
    assert isinstance(resolve("link:campus"), Path)
    assert isinstance(resolve("lte"), Path)
    assert resolve("lte-sim") == pairs()["lte-sim"]


def test_two_numbers_are_mean_and_deviation() -> None:
    assert resolve("12.5,3") == Pair("12.5,3", 12.5, 3.0)
    with pytest.raises(UsageError, match="deviation"):
        resolve("12.5,-3")


def test_users_add_files(tmp_path: File) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINE, encoding="utf-8-sig")
    assert resolve(str(file)).name == "mine"
    assert link(str(file)).rtt_ms == 33
    file.write_text(MINE + MINE.replace("mine", "other") + 'radio = "wifi-2012"\n')
    with pytest.raises(UsageError, match="mine, other"):
        resolve(str(file))
    assert link(f"{file}:other").promotion_ms == 79


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINE + "speed = 3\n", "unknown key 'speed'"),
        (MINE.replace("uplink_mbps = 5", "uplink_mbps = 0"), "not positive"),
        (MINE.replace("rtt_ms = 33", "rtt_ms = -1"), "negative"),
        (MINE.replace("rtt_ms = 33", "rtt_ms = nan"), "negative"),
        (MINE.replace("rtt_ms = 33\n", ""), "rtt_ms"),
        (MINE + 'radio = "warp"\n', "names the radio 'warp'"),
        (MINE + MINE, "used twice"),
        ("[[", "cannot be read"),
        ("x = 1", "unknown field"),
        ('[[link]]\nname = 3\nuplink_mbps = 5\ndownlink_mbps = 9\nrtt_ms = 33\n', "str"),
    ],
)  # fmt: skip
def test_links_that_are_none_say_why(tmp_path: File, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_links(file)


def test_an_unknown_network_lists_those_known() -> None:
    with pytest.raises(UsageError, match=r"unknown network 'warp'.*artificial.*lte"):
        resolve("warp")
    for spec in ("missing.toml", "link:warp", "a,b"):
        with pytest.raises(EdgewiseError):
            resolve(spec)
