"""Profiles that a service starts from: by the content of the file, with the store's accuracies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgewise.errors import InputError, UsageError
from edgewise.records import AccuracyRow, Context, Distribution, Measurement, Target
from edgewise.selection.profiles.targets import Wanted
from edgewise.server import catalogue, priors
from edgewise.server.catalogue import ServedFamily
from edgewise.store import Store

FAMILY = """
name = "f"
[[variant]]
name = "small"
file = "a/model.tflite"
accuracy = 50.0
accuracy_source = "stated"
[[variant]]
name = "large"
file = "b/model.tflite"
"""


def content(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def measured(of: str, mean: float, device: str = "host", **target: int) -> Measurement:
    return Measurement(
        model=f"elsewhere/{of}.tflite", sha256=content(of),
        target=Target(device=device, **target),  # type: ignore[arg-type]
        latency_ms=Distribution(n=100, mean=mean, std=0.5), context=Context(cpu_model="Xeon"),
    )  # fmt: skip


@pytest.fixture
def family(tmp_path: Path) -> ServedFamily:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.tflite").write_text(folder)
    (tmp_path / "family.toml").write_text(FAMILY)
    path = tmp_path / "family.toml"
    return catalogue.load([path], accuracies_follow=True).families["f"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(str(tmp_path / "store"), create=True)
    made.append([measured("a", 1.0), measured("b", 9.0), measured("b", 4.0, threads=4)])
    made.append([measured("a", 0.4, "pixel"), measured("b", 6.0, "pixel", threads=2)])
    made.append([measured("a", 0.01, "pixel-2", batch=8)])
    made.append(
        AccuracyRow(
            model="model",
            path="b/model.tflite",
            data="d",
            n=360,
            correct=324,
            accuracy=90.0,
            ci95_low=None,
            ci95_high=None,
            sha256=content("b"),
        )
    )
    return made


def means(family: ServedFamily, given: priors.Given) -> list[float]:
    """Of `small` and `large`."""
    table = given.table(family)
    return [table.profiles[table.index(name)].mean_ms for name in ("small", "large")]


def test_variants_find_their_files_by_content_and_the_service_s_threads(
    family: ServedFamily, store: Store
) -> None:
    host = Wanted(device="host")
    assert means(family, priors.given(store.url, host, 1)) == [1.0, 9.0]
    of_four = priors.given(store.url, host, 4)
    assert means(family, of_four) == [1.0, 4.0]
    assert any("other threads than the 4" in note for note in of_four.notes)
    assert means(family, priors.given(store.url, Wanted(device="pixel"), 2)) == [0.4, 6.0]


def test_the_store_has_the_accuracies_and_others_stay(family: ServedFamily, store: Store) -> None:
    given = priors.given(store.url, Wanted(), 1)
    served = {name: given.with_accuracy(one).variant for name, one in family.variants.items()}
    assert (served["small"].accuracy, served["small"].accuracy_source) == (50.0, "stated")
    assert (served["large"].accuracy, served["large"].accuracy_source) == (90.0, "360 of d")
    assert list(given.corrections(family)) == []
    store.append(
        AccuracyRow(
            model="model",
            path="a/model.tflite",
            data="d",
            n=360,
            correct=144,
            accuracy=40.0,
            ci95_low=None,
            ci95_high=None,
            sha256=content("a"),
        )
    )
    [said] = priors.given(store.url, Wanted(), 1).corrections(family)
    assert said == "small: 40 % right by the store (360 of d), the family says 50"
    with pytest.raises(InputError, match=r"'large' of .* has no accuracy"):
        catalogue.check_accuracies([family])


def test_a_replaced_file_has_neither_times_nor_accuracy_of_the_old_one(
    family: ServedFamily, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "b" / "model.tflite").write_text("another")
    given = priors.given(store.url, Wanted(), 1)
    assert given.with_accuracy(family.variants["large"]).variant.accuracy is None
    with pytest.raises(InputError, match="no measurement of the file of variant 'large'"):
        given.table(family)


def test_targets_are_exact(store: Store) -> None:
    with pytest.raises(UsageError, match="no such target"):
        priors.given(store.url, Wanted(device="pix"), 1)
    with pytest.raises(UsageError, match="no such target"):
        priors.given(store.url, Wanted(device="pixel-2"), 1)
    assert priors.given(store.url, Wanted(device="pixel-2", words=("batch=8",)), 1).profiles


def test_of_a_table_names_count(family: ServedFamily, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("model,accuracy,mean_ms,std_ms\nsmall,51,2,0.1\nlarge,52,3,0.1\n")
    given = priors.given(str(table), Wanted(), 1)
    assert means(family, given) == [2.0, 3.0]
    assert given.with_accuracy(family.variants["small"]).variant.accuracy == 50.0
    table.write_text("model,accuracy,mean_ms,std_ms\nsmall,51,2,0.1\nmedium,51,2,0.1\n")
    with pytest.raises(InputError, match="have no 'large'"):
        priors.given(str(table), Wanted(), 1).table(family)
