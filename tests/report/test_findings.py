"""The report begins with what was found, each sentence with its origin."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from edgewise.records import (
    AccuracyRow,
    App,
    Context,
    Coverage,
    Distribution,
    Evidence,
    Measurement,
    Model,
    PlacementMix,
    SimulationRow,
    Target,
)
from edgewise.report import verdict
from edgewise.report.parts import Ask, Section
from edgewise.store import Store


def told(store: Store) -> Section | None:
    with Ask(store) as ask:
        return verdict.section(ask)


def sentences(store: Store) -> list[str]:
    section = told(store)
    assert section is not None
    return [point.text for point in section.points]


def measured(sha256: str, ms: float) -> Measurement:
    return Measurement(
        model=f"{sha256[0]}.tflite", sha256=sha256, target=Target(runtime="litert"),
        latency_ms=Distribution(n=700, mean=ms, p50=ms), stability="stable", processes=5,
    )  # fmt: skip


def accuracy(name: str, sha256: str, percent: float, n: int) -> AccuracyRow:
    return AccuracyRow(
        model=name, path=name, data="held-out", n=n, correct=round(n * percent / 100),
        accuracy=percent, ci95_low=percent - 1, ci95_high=percent + 1, sha256=sha256,
    )  # fmt: skip


def test_an_empty_store_has_no_verdict(tmp_path: Path) -> None:
    assert told(Store.open(str(tmp_path), create=True)) is None


def test_one_app_is_called_by_its_name(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    models = (
        Model(path="a.apk!/m.tflite", format="tflite", sha256="a" * 64, size_bytes=250, macs=2_000),
        Model(
            path="a.apk!/x.tflite",
            format="tflite",
            status="rejected",
            reason="no model",
            sha256="b" * 64,
        ),
    )
    evidence = (
        Evidence(kind="framework", name="TensorFlow Lite", grade="class"),
        Evidence(kind="framework", name="ncnn", grade="string"),
    )
    store.append(
        App(path="a.apk", sha256="c" * 64, size_bytes=1000, label="Camera", version_name="2.1",
            models=models, evidence=evidence, coverage=Coverage(entries=2, examined=2))
    )  # fmt: skip
    first, _, second, *_, last = sentences(store)
    assert first == "“Camera” 2.1 ships 1 model, 2,000 MACs together; 250 B (25 % of the package)."
    assert "TensorFlow Lite" in second and "ncnn" not in second, "a string is no proof"
    assert last.startswith("Not seen: 1 rejected")


def test_many_apps_are_counted(survey: Store) -> None:
    first, *_, last = sentences(survey)
    assert first.startswith("3 of 3 apps ship models (100 %)")
    assert "1 apps not processed" in last


def test_the_evaluation_of_more_inputs_speaks_for_a_model(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("a" * 64, 4.0), measured("b" * 64, 1.0)])
    store.append([accuracy("big", "a" * 64, 90.0, 360), accuracy("small", "b" * 64, 89.5, 360)])
    store.append(accuracy("big", "a" * 64, 33.3, 3))
    best, cheap = sentences(store)
    assert best.startswith("`big` is right on 90.0 % and takes 4 ms")
    assert "`small` gives up 0.5 points for 4.0 times the speed" in cheap


def test_the_choice_under_load_is_told(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        SimulationRow(policy=policy, network="wifi", sla_ms=100, requests=1000, accuracy=90,
                      attainment=1, effective_accuracy=percent, mean_ms=1, p99_ms=2,
                      usage={}, offered_per_s=80)
        for policy, percent in (("deadline", 90.0), ("fastest", 41.0))
    ])  # fmt: skip
    (only,) = sentences(store)
    assert "`deadline` gives 90.0 %" in only and "`fastest`" in only and "41.0 %" in only


def test_what_was_looked_at_says_app_device_days_and_versions(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    context = Context(cpu_model="Example CPU", os="Example OS 1", started_at="2026-03-04T05:06:07",
                      versions={"edgewise": "9.9", "litert": "2.3", "numpy": "2"})  # fmt: skip
    store.append([
        App(path="a1.apk", sha256="1", package="org.a", label="Able", version_name="1.0"),
        App(path="a2.apk", sha256="2", package="org.a", label="Able", version_name="1.1"),
        structs.replace(measured("a" * 64, 2.0), context=context),
    ])  # fmt: skip
    section = told(store)
    assert section is not None
    assert section.lead.startswith("“Able” 1.0 and 1.1, 0 model files read on 20")
    assert section.lead.endswith(
        "; measured on Example CPU (Example OS 1) on 2026-03-04; with edgewise 9.9, litert 2.3."
    )


def test_at_most_seven_findings_and_each_leads_somewhere(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    for version in (1, 2):
        path = f"a{version}.apk"
        held = Model(path=f"{path}!/m", format="tflite", sha256="a" * 64, size_bytes=9,
                     quantization="none")  # fmt: skip
        for owner in ("a", "b"):
            store.append(
                App(path=f"{owner}{version}.apk", sha256=f"{owner}{version}", package=owner,
                    version_code=version, version_name=str(version), models=(held,),
                    evidence=(Evidence(kind="framework", name="tflite", grade="class"),))
            )  # fmt: skip
    store.append([measured("a" * 64, 2.0), accuracy("m", "a" * 64, 90.0, 50)])
    section = told(store)
    assert section is not None
    seen = {point.see for point in section.points}
    assert seen == {"apps", "models", "shipped", "reuse", "frontier"}
    assert len([point for point in section.points if point.see != "unseen"]) <= 7


def test_what_was_simulated_without_load_is_a_finding_too(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    for policy, effective in (("greedy", 40.0), ("deadline", 70.0)):
        store.append(
            SimulationRow(policy=policy, network="home", sla_ms=200.0, requests=100, accuracy=75.0,
                          attainment=0.9, effective_accuracy=effective, mean_ms=9.0, p99_ms=9.0,
                          usage={})
        )  # fmt: skip
    (said,) = sentences(store)
    assert said.startswith("Without load over home with 200 ms, `deadline` gives 70.0 %")


def test_what_the_cloud_costs_and_what_publications_know_better_are_findings(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        PlacementMix(model="net", device="phone", server="c5", mix="wifi=1", users=0,
                     connection="warm", cloud_share=0.9, device_ms=9, cloud_ms=5, best_ms=4,
                     price_per_core_hour=0.05, cost_per_million=0.87, best_cost_per_million=0.78),
        Model(path="v1.tflite", format="tflite", sha256="v1", architecture="mobilenet-v1",
              quantization="none", parameters=4_231_976, macs=568_740_352),
    ])  # fmt: skip
    better, money = sentences(store)
    assert "MobileNet v2 1.0, 224 has 71.8 % with 300 M MACs" in better
    assert money.startswith("A million requests to `net` on c5 cost 0.87 at 0.05 a core hour; 0.78")
