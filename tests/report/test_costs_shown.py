"""What it costs: devices apart, what delegates took, energy by its meter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import Context, Delegation, Distribution, Energy, Measurement, Target
from edgewise.report import cost
from edgewise.report.parts import Ask, Section
from edgewise.store import Store


def shown(store: Store) -> Section:
    with Ask(store) as ask:
        section = cost.section(ask)
    assert section is not None
    return section


def numbers(section: Section, title: str) -> list[dict[str, Any]]:
    return next(part.numbers.objects() for part in section.parts if part.title == title)


def measured(model: str, device: str = "host", ms: float = 2.0, **more: Any) -> Measurement:
    soc = "Example CPU" if device == "host" else "Phone SoC"
    facts: dict[str, Any] = {"context": Context(cpu_model=soc), **more}
    return Measurement(
        model=model, sha256=model, target=Target(device=device), stability="stable",
        load_ms=Distribution(n=5, p50=9.0), first_ms=Distribution(n=5, p50=4.0),
        latency_ms=Distribution(n=700, mean=ms, p50=ms),
        **facts,
    )  # fmt: skip


def test_devices_are_told_apart_by_name(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("m"), measured("m", "pixel"), measured("m", "moto", origin="imported")])
    section = shown(store)
    assert "3 measurements on Example CPU, moto, pixel." in section.lead
    assert "1 were imported" in section.lead
    rows = numbers(section, "Measurements")
    assert {(row["device"], row["origin"]) for row in rows} == {
        ("Example CPU", "measured"), ("pixel", "measured"), ("moto", "imported")
    }  # fmt: skip
    runs = {row["run"] for row in numbers(section, "What the first answer costs")}
    assert len(runs) == 3, "none hides the other"


def test_two_machines_are_two_devices(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("m"), measured("m", context=Context(cpu_model="Other CPU"))])
    targets = {row["target"] for row in numbers(shown(store), "Measurements")}
    assert targets == {"litert, 1 thread, Example CPU", "litert, 1 thread, Other CPU"}


def test_without_delegate_or_meter_nothing_is_said_of_them(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append(measured("m", coverage=Delegation(delegate="cpu", fell_back={})))
    titles = {part.title for part in shown(store).parts}
    assert not titles & {"Coverage of delegates", "What the delegates took", "Energy"}


def test_what_a_delegate_took_and_what_fell_back(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    part = Delegation(delegate="gpu", fell_back={"SHAPE": 2, "PACK": 1}, operators=12,
                      delegated=9, partitions=2)  # fmt: skip
    untold = Delegation(delegate="nnapi", fell_back={}, reason="the tool does not tell")
    store.append([measured("a", coverage=part), measured("b", coverage=untold)])
    first, second = numbers(shown(store), "What the delegates took")
    assert (first["taken_share"], first["partitions"]) == (0.75, 2)
    assert first["fell_back"] == "SHAPE × 2, PACK × 1"
    assert second["taken_share"] is None
    assert second["why"] == "the tool does not tell"


def test_energy_says_what_metered_it_and_why_it_is_not_known(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    known = Energy(inference_j=0.002, mean_w=3.0, idle_w=1.0, method="battery", inferences=500,
                   boundary="the whole device")  # fmt: skip
    refused = Energy(inference_j=None, mean_w=None, idle_w=None, method="rapl", reason="wrapped")
    store.append([measured("a", energy=known), measured("b", energy=refused), measured("c")])
    section = shown(store)
    first, second = numbers(section, "Energy")
    assert (first["inference_j"], first["method"]) == (0.002, "the battery's gauge")
    assert second["inference_j"] is None
    assert second["why"] == "wrapped"
    table = next(part for part in section.parts if part.title == "Energy")
    assert "1 measurements had no meter" in table.caption
