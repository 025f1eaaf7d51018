"""Published accuracy: of the right network, apart from what was measured."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edgewise.analysis import architecture
from edgewise.records import AccuracyRow, Context, Distribution, Measurement, Model, Target
from edgewise.report import frontier
from edgewise.report.parts import Ask, Figure, Section
from edgewise.report.published import facts, published
from edgewise.store import Store


def test_every_fact_is_of_an_architecture_that_is_told() -> None:
    rules = Path(architecture.__file__).with_name("architectures.toml")
    told = {rule.get("architecture") for rule in tomllib.loads(rules.read_text("utf-8"))["rule"]}
    for fact in facts():
        assert fact.architecture in told
        assert 40 < fact.accuracy < 90
    assert len({fact.name for fact in facts()}) == len(facts())


@pytest.mark.parametrize(
    ("family", "kind", "parameters", "macs", "name"),
    [
        ("mobilenet-v1", "none", 4_231_976, 568_740_352, "MobileNet v1 1.0, 224"),
        ("mobilenet-v1", "float16", 4_231_976, 418_000_000, "MobileNet v1 1.0, 192"),
        ("mobilenet-v1", "full", 4_231_976, 568_740_352, "MobileNet v1 1.0, 224, 8 bits"),
        ("mobilenet-v2", "none", 3_488_872, 313_619_328, "MobileNet v2 1.0, 224"),
        ("resnet-50", "none", 25_530_472, 3_857_973_248, "ResNet-50 (stride in 1×1)"),
        ("googlenet", "none", 6_998_552, 1_582_671_872, "GoogLeNet (BVLC)"),
        ("mobilenet-v1", "none", 3_217_226, 568_000_000, None),  # another head: retrained
        ("mobilenet-v1", "none", 210_706, 7_157_888, None),
        ("resnet-18", "full", 11_688_872, 1_826_918_400, None),  # not published in integers
        ("u-net", "none", 11_688_872, 1_826_918_400, None),
    ],
)
def test_size_and_work_tell_which_network_it_is(
    family: str, kind: str, parameters: int, macs: int, name: str | None
) -> None:
    found = published(family, kind, parameters, macs)
    assert (found and found.name) == name


def model(name: str, family: str | None, parameters: int, macs: int) -> Model:
    return Model(
        path=f"{name}.tflite", format="tflite", sha256=name, size_bytes=9, architecture=family,
        quantization="none", parameters=parameters, macs=macs,
    )  # fmt: skip


def measured(name: str, ms: float) -> Measurement:
    return Measurement(
        model=f"{name}.tflite", sha256=name, target=Target(),
        latency_ms=Distribution(n=50, mean=ms, p50=ms), context=Context(cpu_model="CPU"),
    )  # fmt: skip


def shown(store: Store) -> Section:
    with Ask(store) as ask:
        section = frontier.section(ask)
    assert section is not None
    return section


def test_published_is_apart_and_its_frontier_too(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        model("v1", "mobilenet-v1", 4_231_976, 568_740_352),
        model("v2", "mobilenet-v2", 3_488_872, 313_619_328),
        model("vgg", "vgg-16", 138_357_544, 15_470_000_000), model("own", None, 100, 100),
    ])  # fmt: skip
    store.append([measured("v1", 9.0), measured("v2", 6.0), measured("own", 1.0)])
    own = AccuracyRow(model="own", path="own", data="digits.npz", n=90, correct=89, accuracy=98.9,
                      ci95_low=95.0, ci95_high=99.0, sha256="own")  # fmt: skip
    store.append(own)
    section = shown(store)
    titles = [part.title for part in section.parts]
    assert titles == [
        "Accuracy against latency on CPU", "Accuracy and time",
        "Published accuracy against latency on CPU", "Accuracy as published",
        "Cheaper and more accurate, as published",
    ]  # fmt: skip
    outdone = {row["model"]: row for row in section.parts[-1].numbers.objects()}
    assert outdone["v1.tflite"]["better"] == "MobileNet v2 1.0, 224"
    assert outdone["v1.tflite"]["accuracy_points"] == 0.9
    assert outdone.keys() == {"v1.tflite", "vgg.tflite"}
    figure = section.parts[2]
    assert isinstance(figure, Figure)
    rows = figure.numbers.objects()
    assert [(row["model"], row["frontier"]) for row in rows] == [
        ("v2.tflite", True), ("v1.tflite", False)
    ]  # fmt: skip
    table = section.parts[3].numbers.objects()  # type: ignore[union-attr]
    assert {row["model"]: row["p50_ms"] for row in table}["vgg.tflite"] is None
    assert all(row["source"] for row in table)


def test_what_was_measured_on_the_same_data_stands_with_it(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        model("v1", "mobilenet-v1", 4_231_976, 568_740_352),
        model("v2", "mobilenet-v2", 3_488_872, 313_619_328),
    ])  # fmt: skip
    store.append([measured("v1", 9.0), measured("v2", 6.0)])
    store.append(
        AccuracyRow(model="v1.tflite", path="v1", data="/data/imagenet-val.npz", n=900, correct=630,
                    accuracy=70.0, ci95_low=67.0, ci95_high=73.0, sha256="v1")
    )  # fmt: skip
    figure = next(part for part in shown(store).parts if part.title.startswith("Published"))
    assert isinstance(figure, Figure)
    kinds = {row["model"]: row["known"] for row in figure.numbers.objects()}
    assert kinds == {"v2.tflite": "published", "v1.tflite": "measured on 900 inputs"}
