"""The section about cloud or device: pictures from stored rows alone."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edgewise.network.catalogue import links
from edgewise.placement.mix import Price, mixed, read_mix
from edgewise.placement.model import table
from edgewise.placement.preprocess import photo
from edgewise.placement.sent import Sent
from edgewise.placement.sides import machine
from edgewise.placement.wire import Usage
from edgewise.records import Distribution, Placement, Record
from edgewise.report import placements
from edgewise.report.numerals import cell, heading
from edgewise.report.page import write
from edgewise.report.parts import Ask, Figure, Table
from edgewise.store import Store

SENT = Sent(photo=photo(1600, 1200))


@pytest.fixture(scope="module")
def rows() -> list[Placement]:
    """Two models on a phone whose name needs quoting, over four links, fresh and warm."""
    known = machine("pixel3", name="it's a phone")
    loaded = [replace(one, cold_ms=one.mean_ms * 3) for one in known.profiles]
    over = [links()[name] for name in ("wifi", "lte", "3g", "ethernet")]
    return table(
        [dataclasses.replace(known, profiles=loaded)], [machine("p2")], over, SENT,
        models=["inception_v3", "mobilenet_v1_0.75_224"], usages=[Usage(), Usage("fresh")],
    )  # fmt: skip


def section(folder: Path, *records: Record) -> Any:
    store = Store.open(str(folder / "store"), create=True)
    if records:
        store.append(records)
    with Ask(store) as ask:
        return placements.section(ask)


def test_nothing_placed_is_no_section(tmp_path: Path) -> None:
    assert section(tmp_path) is None


def test_phases_are_stacked_to_the_totals(tmp_path: Path, rows: list[Placement]) -> None:
    later, first, *_ = section(tmp_path, *rows).parts
    over = next(row for row in rows if (row.model, row.link) == ("inception_v3", "lte"))
    assert over.on_device is not None and over.cloud is not None
    for figure, device_ms, cloud_ms in (
        (later, over.on_device.total_ms, over.cloud.total_ms),
        (first, over.on_device.first_total_ms, over.cloud.first_total_ms),
    ):
        spent: dict[str, float] = defaultdict(float)
        for row in figure.numbers.objects():
            spent[row["answer"]] += row["spent_ms"]
        assert spent["inception_v3 · on it's a phone"] == pytest.approx(device_ms)
        assert spent["inception_v3 · over lte"] == pytest.approx(cloud_ms)
    assert {row["phase"] for row in first.numbers.objects()} > {"load", "connect"}
    assert not {"load", "connect"} & {row["phase"] for row in later.numbers.objects()}


def test_the_map_has_the_frontier_and_the_links(tmp_path: Path, rows: list[Placement]) -> None:
    (found,) = (one for one in section(tmp_path, *rows).parts if "uplink" in one.title)
    drawn = found.numbers.objects()
    assert {row["link"] for row in drawn} == {None, "wifi", "lte", "3g", "ethernet"}
    wifi = next(row for row in rows if (row.model, row.link) == ("inception_v3", "ethernet"))
    expected = {
        point.rtt_ms: point.uplink_mbps
        for point in wifi.frontier
        if point.uplink_mbps and 0.01 <= point.uplink_mbps <= 2000
    }
    curve = "inception_v3 · it's a phone or p2"
    seen = {row["rtt_ms"]: row["uplink_mbps"] for row in drawn if row["curve"] == curve}
    assert seen == expected and len(seen) > 5


def test_energy_is_drawn_where_there_is_a_radio(tmp_path: Path, rows: list[Placement]) -> None:
    (found,) = (one for one in section(tmp_path, *rows).parts if "energy" in one.title)
    places = {row["place"] for row in found.numbers.objects()}
    assert places == {"on it's a phone", "over wifi", "over lte", "over 3g"}


def test_a_row_that_failed_is_in_the_table_with_its_reason(
    tmp_path: Path, rows: list[Placement]
) -> None:
    dead = Placement(model="m", device="d", server="s", link="lte", reason="the server is gone")
    found = section(tmp_path, dead)
    assert "1 have no numbers" in found.lead
    (only,) = found.parts
    assert only.numbers.objects()[0]["why_not"] == "the server is gone"
    both = section(tmp_path / "both", dead, *rows)
    assert sum(isinstance(part, Figure) for part in both.parts) == 4


def test_files_of_one_name_stay_apart(tmp_path: Path, rows: list[Placement]) -> None:
    twins = [
        replace(rows[0], model=f"{folder}/model.tflite", sha256=folder * 32) for folder in "ab"
    ]
    parts = section(tmp_path, *twins, replace(rows[0], model="c/only.tflite")).parts
    (table_,) = (part for part in parts if part.title == "Placements")
    names = {row["model"] for row in table_.numbers.objects()}
    assert names == {"model.tflite · aaaaaa", "model.tflite · bbbbbb", "only.tflite"}


def test_what_the_drawn_cases_say_is_told_in_words(tmp_path: Path, rows: list[Placement]) -> None:
    (words,) = (part for part in section(tmp_path, *rows).parts if part.title == "In words")
    warm = next(
        r for r in rows if (r.model, r.link, r.connection) == ("inception_v3", "lte", "warm")
    )
    case = f"inception_v3 on {warm.device} or {warm.server}"
    said = [r["says"] for r in words.numbers.objects() if (r["case"], r["link"]) == (case, "lte")]
    assert tuple(said) == warm.verdict


@pytest.mark.parametrize(
    ("joules", "text"), [(12.3, "12.3 J"), (0.0123, "12.3 mJ"), (12.3e-6, "12.3 µJ"), (0.0, "0 J")]
)
def test_energies_have_units(joules: float, text: str) -> None:
    assert (cell("device_j", joules), heading("device_j")) == (text, "device")


def test_a_mix_is_a_row_of_its_table(tmp_path: Path) -> None:
    mix = mixed(
        "inception_v3", machine("pixel3"), machine("p2"), read_mix("wifi=0.9,3g=0.1"), SENT,
        price=Price(0.04),
    )  # fmt: skip
    times, money, table_ = section(tmp_path, mix).parts
    assert isinstance(money, Figure) and isinstance(times, Figure) and isinstance(table_, Table)
    (paid,) = money.numbers.objects()
    assert paid["cost_per_million"] == mix.cost_per_million
    assert "0.04 a core hour" in money.caption
    (row,) = table_.numbers.objects()
    assert row["cloud_share"] == mix.cloud_share
    assert row["cost_per_million"] == mix.cost_per_million


def test_the_whole_page_is_written(tmp_path: Path, rows: list[Placement]) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(rows)
    write(store, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="placement"' in page and "Latency against energy" in page


def test_rows_come_back_from_the_store_as_they_were(tmp_path: Path, rows: list[Placement]) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    spread = {"cloud.upload_ms": Distribution(n=3, mean=1.5, p50=1.0)}
    kept = [replace(rows[0], distributions=spread), *rows[1:]]
    store.append(kept)
    assert store.read(Placement) == kept
