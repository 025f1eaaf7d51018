"""The sliders of "Which model per request": they say what the policies say, in a browser too."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chromium
from edgewise.records import (
    AccuracyRow,
    Distribution,
    Measurement,
    Placement,
    Sample,
    SimulationRow,
    Target,
)
from edgewise.report import chosen, write
from edgewise.report.explorer import answers
from edgewise.report.parts import Ask, Explorer
from edgewise.report.picks import POLICIES, Pick, conditions, picks_of
from edgewise.selection.policies.registry import parse
from edgewise.selection.profiles.stored import read_tables
from edgewise.store import Store

_SPREAD = (0.9, 0.95, 1.0, 1.0, 1.05, 1.3)


def measured(number: int, ms: float, batch: int = 1) -> Measurement:
    times = [ms * _SPREAD[i % len(_SPREAD)] for i in range(90)]
    return Measurement(
        model=f"net-{number}.tflite", sha256=f"{number + 1:064x}",
        target=Target(runtime="litert", threads=1, batch=batch),
        latency_ms=Distribution(n=90, mean=sum(times) / 90, std=ms * 0.1, p50=ms),
        samples=tuple(Sample(process=0, phase="timed", index=i, ms=t) for i, t in enumerate(times)),
    )  # fmt: skip


def judged(number: int, accuracy: float, data: str = "photos.npz") -> AccuracyRow:
    return AccuracyRow(
        model=f"net-{number}", path=f"net-{number}.tflite", data=data, n=500,
        correct=int(accuracy * 5), accuracy=accuracy, ci95_low=accuracy - 3,
        ci95_high=accuracy + 2, sha256=f"{number + 1:064x}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three models on one set of photos; one was measured only in batches, one never evaluated,
    one evaluated on other data."""
    store = Store.open(str(tmp_path_factory.mktemp("explorer") / "photos"), create=True)
    store.append([measured(0, 4.0), measured(1, 25.0), measured(2, 90.0), measured(9, 1.0)])
    store.append([measured(3, 400.0, batch=4), measured(4, 2.0)])
    store.append([judged(0, 61.0), judged(1, 71.5), judged(2, 78.0), judged(3, 80.0)])
    store.append(judged(4, 99.0, data="letters.npz"))
    store.append(
        Placement(model="net-0.tflite", device="phone", server="here", link="lte",
                  payload_bytes=30_000, reply_bytes=400)
    )  # fmt: skip
    yield store


@pytest.fixture(scope="module")
def page(family: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    write(family, out)
    return out


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    (only,) = json.loads(found[1])["explorers"].values()
    assert isinstance(only, dict)
    return only


def test_the_table_of_the_page_is_what_the_policies_choose(family: Store, page: Path) -> None:
    (table,) = read_tables(family)
    assert table.models == ("net-2", "net-1", "net-0"), "one set of data, batch 1, both known"
    data = data_of(page)
    networks = conditions(30_000, 400)
    assert [each["name"] for each in data["networks"]] == [each.label for each in networks]
    assert {"no network", "50 ms"} < {each["name"] for each in data["networks"]}
    seen = set()
    for place, written in enumerate(POLICIES):
        for n, network in enumerate(networks):
            chooser = parse(written).on(table, network.error_ms)
            for d, sla_ms in enumerate(data["deadlines"]):
                _, _, *chances = data["picks"][place][n][d]
                expected = chooser.probabilities(sla_ms, sla_ms - network.expected_ms)
                told = dict(zip(chances[::2], chances[1::2], strict=True))
                assert told == pytest.approx(expected, abs=5e-4)
                seen |= set(told)
    assert seen == {-1, 0, 1, 2}, "every model is chosen somewhere, and some are refused"


def test_in_time_is_what_the_samples_say(family: Store) -> None:
    (table,) = read_tables(family)
    picks = picks_of(table, 30_000, 400)
    at = {ms: place for place, ms in enumerate(picks.deadlines_ms)}
    fastest = picks.picks[POLICIES.index("fastest")][0]
    assert picks.conditions[0].label == "no network"
    assert fastest[at[5.0]].in_time == pytest.approx(5 / 6, abs=0.03), "1.3 × 4 ms is late"
    assert fastest[at[10.0]].in_time == 1.0
    assert fastest[at[10.0]].effective == 61.0
    assert (picks.deadlines_ms[0], picks.deadlines_ms[-1] > 117) == (2.0, True)


def test_without_a_choice_there_are_no_sliders(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "one"), create=True)
    store.append([measured(0, 4.0), judged(0, 61.0)])
    with Ask(store) as ask:
        assert chosen.parts(ask) == []


def test_published_profiles_that_were_simulated_with_have_sliders(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "simulated"), create=True)
    facts: dict[str, Any] = {
        "policy": "greedy", "network": "home", "sla_ms": 100.0, "requests": 9, "accuracy": 70.0,
        "attainment": 0.9, "effective_accuracy": 63.0, "mean_ms": 5.0, "p99_ms": 9.0, "usage": {},
    }  # fmt: skip
    store.append([
        SimulationRow(profiles="pixel3", **facts), SimulationRow(profiles="/etc/passwd", **facts),
    ])  # fmt: skip
    with Ask(store) as ask:
        explorer, *maps = chosen.parts(ask)
    assert isinstance(explorer, Explorer) and len(maps) == 2
    assert "published" in explorer.origin and "NASNet large" in explorer.picks.models


def test_a_store_without_equal_data_has_no_table(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "two"), create=True)
    store.append([measured(0, 4.0), measured(1, 5.0), judged(0, 61.0), judged(1, 70.0, "b.npz")])
    assert read_tables(store) == []


#: Moves the sliders as a keyboard does, and notes what stands there.
_MOVES = """(() => {
const card = document.querySelector(".explorer");
const control = (name) => document.getElementById(card.id + "-" + name);
const seen = [];
function note() {
  const mark = document.querySelector("#choice .chart").view?.signal("at_deadline");
  seen.push({
    said: card.querySelector("output").textContent, mark,
    spoken: [control("deadline"), control("network")].map((s) => s.getAttribute("aria-valuetext")),
    rows: [...card.querySelectorAll("[data-policy]")].map((r) => r.textContent),
    line: [...card.querySelectorAll(".line span")].map((s) => s.textContent),
  });
}
function move(name, value) {
  control(name).value = value;
  control(name).dispatchEvent(new Event("input", { bubbles: true }));
}
note();
move("network", 0), move("deadline", 0);
note();
move("deadline", control("deadline").max);
note();
move("policy", "fastest");
note();
return seen;
})()"""


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium here")
def test_sliders_change_the_choice(family: Store, page: Path) -> None:
    picks = picks_of(read_tables(family)[0], 30_000, 400)
    with chromium.tab() as browser:
        browser.open(page.as_uri())
        browser.wait("document.body.dataset.complete")
        start, nothing, all_, fastest = browser.run(_MOVES)
        assert (browser.console, browser.asked) == ([], [])
    text = page.read_text(encoding="utf-8")
    static = re.search(r"<output [^>]*>(.*?)</output>", text)
    assert static
    assert html.unescape(static[1]) == start["said"], "without scripts it stands as with them"
    lines = re.findall(r"<span>(.*?)</span>", text[text.index('class="line"') :])
    assert lines[:3] == start["line"]
    assert [re.sub("<.*?>", "", row) for row in re.findall(r"<tr data-policy.*?</tr>", text)] == (
        start["rows"]
    )
    network, deadline = picks.start()
    assert start["spoken"] == [
        f"{picks.deadlines_ms[deadline]:g} ms", picks.conditions[network].label
    ]  # fmt: skip
    assert start["mark"] == picks.deadlines_ms[deadline]
    assert nothing["spoken"] == ["2 ms", "no network"]
    assert "refuses at once" in nothing["said"]
    assert nothing["mark"] == 2.0
    assert "deadline answers with net-2: 100.0 % in time, 78.0 %" in all_["said"]
    assert "fastest answers with net-0" in fastest["said"]


def test_lots_are_told_with_their_chances(family: Store) -> None:
    picks = picks_of(read_tables(family)[0], 30_000, 400)
    drawn = Pick(((0, 0.6), (2, 0.4)), in_time=1.0, effective=70.0)
    assert answers(picks, drawn) == "net-2 (60.0 %) or net-0 (40.0 %)"
    several = Pick(((0, 0.3), (1, 0.3), (2, 0.2), (0, 0.2)), in_time=1.0, effective=70.0)
    assert answers(picks, several).endswith(" or net-0 (20.0 %) or 1 more")
