"""Profiles from tables, samples and stores; what is no profile is refused with a clear line."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import EdgewiseError, InputError
from edgewise.records import AccuracyRow, Distribution, Measurement, Profile, Sample, Target
from edgewise.selection.profiles.sources import load, published
from edgewise.selection.profiles.table import LEVELS, table

HEADER = "model,accuracy,mean_ms,std_ms\n"


def written(folder: Path, text: str, name: str = "mine.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["p2", "c5", "pixel3"])
def test_published_tables_are_those_of_the_reference_data(name: str, reference_data: Path) -> None:
    import csv

    with (reference_data / "profiles" / f"{name}.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    profiles = load(name).table
    assert set(profiles.models) == set(rows)
    for profile in profiles.profiles:
        row = rows[profile.model]
        assert profile.accuracy == float(row["accuracy"])
        assert profile.mean_ms == float(row.get("mean_ms") or row["cpu_ms_4_threads"])
        assert profile.origin == "published"


def test_every_published_set_loads_and_names_its_source() -> None:
    assert {"p2", "c5", "pixel3", "pixel3-gpu", "pixel3-nnapi"} <= set(published())
    data = Path(load.__code__.co_filename).parent / "data"
    for name in published():
        assert len(load(name).table) >= 15
        assert "# Source: " in (data / f"{name}.csv").read_text()


def test_a_table_with_everything(tmp_path: Path) -> None:
    levels = ",".join(f"p{level}_ms" for level in (5, 10, 25, 50, 75, 90, 95, 99.9))
    path = written(
        tmp_path,
        f"# mine\nmodel,accuracy,mean_ms,std_ms,n,cold_ms,{levels}\n"
        "b,70,10,2,400,55.5,6,7,8,10,11,13,14,30\n\na,60,5,1,,,,,,,,,,\n",
    )
    first, second = load(path).table.profiles
    assert (first.model, first.n, first.cold_ms) == ("b", 400, 55.5)
    assert (second.n, second.cold_ms) == (None, None)
    assert first.quantiles_ms[-1] == (0.999, 30)
    quantiles = load(path).table.quantiles_ms
    assert quantiles.shape == (2, 256)
    assert np.interp(0.5, LEVELS, quantiles[0]) == pytest.approx(10, abs=0.01)
    assert quantiles[1].mean() == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(
    "raw",
    [
        ("\ufeff" + HEADER + "a,70.5,10,1\nb,60,5,1\n").encode(),
        (HEADER + "a,70.5,10,1\nb,60,5,1\n").replace("\n", "\r\n").encode(),
        (HEADER + "a,70.5,10,1\nb,60,5,1\n").encode("utf-16"),
        (HEADER + "a,70.5,10,1\nb,60,5,1\n").replace(",", ";").replace(".", ",").encode(),
        (HEADER + "a,70.5,10,1\nb,60,5,1\n").replace(",", "\t").encode(),
        b"Model, Accuracy, Mean_ms, Std_ms,,\n a , 70.5, 10, 1,,\nb,60,5,1,,\n",
        gzip.compress((HEADER + "a,70.5,10,1\nb,60,5,1\n").encode(), mtime=0),
    ],
)
def test_a_table_as_spreadsheets_write_it(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(raw)
    found = load(str(path)).table
    assert found.models == ("a", "b")
    assert (found.accuracy.tolist(), found.mean_ms.tolist()) == ([70.5, 60], [10, 5])


def test_a_few_quantiles_become_the_distribution_they_are_of(tmp_path: Path) -> None:
    spread = 0.7  # of the logarithm
    scores = {"p50": 0.0, "p90": 1.2815515655, "p99": 2.3263478740}
    times = ",".join(f"{10 * np.exp(spread * score)}" for score in scores.values())
    columns = ",".join(f"{name}_ms" for name in scores)
    path = written(tmp_path, f"model,accuracy,mean_ms,std_ms,{columns}\na,60,12.8,10,{times}\n")
    found = load(path).table
    assert found.empirical
    wanted = [10 * np.exp(spread * NormalDist().inv_cdf(level)) for level in LEVELS]
    assert found.quantiles_ms[0] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no model"),
        (HEADER, "lists no model"),
        ("model,accuracy\na,1\n", "lacks the column mean_ms"),
        (HEADER + "a,70,10\n", "line 2: not as many values"),
        (HEADER + "a,70,10,1,9\n", "line 2: not as many values"),
        (HEADER + "# c\na,70,ten,1\n", "line 3: mean_ms is 'ten'"),
        (HEADER + "a,nan,10,1\n", "accuracy of nan"),
        (HEADER + "a,101,10,1\n", "accuracy of 101"),
        (HEADER + "a,70,nan,1\n", "mean time of nan"),
        (HEADER + "a,70,-10,1\n", "mean time of -10"),
        (HEADER + "a,70,0,1\n", "mean time of 0"),
        (HEADER + "a,70,inf,1\n", "mean time of inf"),
        (HEADER + "a,70,10,-1\n", "deviation of -1"),
        (HEADER + "a,70,10,nan\n", "deviation of nan"),
        (HEADER + "a,70,10,1\na,71,11,1\n", "'a' twice"),
        (HEADER + ",70,10,1\n", "a model without a name"),
        (HEADER + "a,0.7,10,1\nb,0.8,11,1\n", "percent, not shares"),
        (HEADER + "a,70,1e300,1\n", "times above 1e.09 ms"),
        (HEADER + 'a,70,10,"1\n', "line 2: cannot be read as CSV"),
        ("model,accuracy,accuracy,mean_ms,std_ms\na,1,2,3,4\n", "'accuracy' twice"),
        ("model,accuracy,mean_ms,std_ms,p50_ms,p90_ms\na,70,10,1,12,11\n", "quantiles that do not"),
        ("model,accuracy,mean_ms,std_ms,cold_ms\na,70,10,1,-3\n", "cold time of -3"),
    ],
)
def test_a_table_that_is_none_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(written(tmp_path, text))
    assert "\n" not in str(error.value)


SAMPLES = (
    "model,request,load_ms,inference_ms,correct,confidence\n"
    "slow,0,9,20,1,0.9\nslow,1,9,22,1,0.8\nslow,2,9,24,0,0.7\n"
    "fast,2,3,4,0,0.5\nfast,0,3,5,1,0.6\nfast,1,3,6,0,0.7\n"
)


def test_samples_are_aligned_by_request(tmp_path: Path) -> None:
    path = tmp_path / "phone.csv.gz"
    path.write_bytes(gzip.compress(SAMPLES.encode()))
    source = load(str(path))
    samples = source.samples
    assert samples is not None and samples.confidence is not None and samples.load_ms is not None
    assert source.table.name == "phone"
    assert source.table.models == ("slow", "fast")
    assert samples.service_ms.tolist() == [[20, 5], [22, 6], [24, 4]]
    assert samples.correct.tolist() == [[True, True], [True, False], [False, False]]
    assert samples.confidence[0].tolist() == [0.9, 0.6]
    slow = source.table.profiles[0]
    assert (slow.mean_ms, slow.std_ms, slow.n, slow.origin) == (22, 2, 3, "measured")
    assert slow.accuracy == pytest.approx(200 / 3)
    assert slow.cold_ms == 31
    half = samples.part(slice(0, 1))
    assert len(half) == 1 and half.table.accuracy.tolist() == [100, 100]
    assert half.table.models == ("fast", "slow") and half.service_ms.tolist() == [[5, 20]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fast,1,3,6,0,0.7\n", ""), "same requests"),
        (("fast,1,", "fast,0,"), "twice"),
        (("slow,1,9,22,1", "slow,1,9,-22,1"), "negative or not finite"),
        (("slow,1,9,22,1", "slow,1,9,nan,1"), "negative or not finite"),
        (("slow,1,9,22,1", "slow,1,9,22,2"), "neither 0 nor 1"),
    ],
)
def test_samples_that_are_none_say_why(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(written(tmp_path, SAMPLES.replace(*change)))


@given(st.binary(max_size=300))
def test_rubbish_ends_in_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    folder = tmp_path_factory.mktemp("rubbish")
    for name, content in (("a.csv", raw), ("b.csv.gz", raw), ("c.csv", HEADER.encode() + raw)):
        (folder / name).write_bytes(content)
        try:
            load(str(folder / name))
        except EdgewiseError:
            continue


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"no profiles at 'nowhere'.*p2"):
        load("nowhere")


def test_an_empty_set_and_a_missing_accuracy_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        table("none", [])
    with pytest.raises(InputError, match="no accuracy"):
        table("t", [Profile(model="a", accuracy=None, mean_ms=1, std_ms=0)])


def accuracy(model: str, sha256: str, percent: float) -> AccuracyRow:
    return AccuracyRow(
        model=model, path=f"/x/{model}.tflite", data="held-out", n=200, correct=round(2 * percent),
        accuracy=percent, ci95_low=None, ci95_high=None, sha256=sha256,
    )  # fmt: skip


def measurement(path: str, sha256: str, mean: float, threads: int = 1) -> Measurement:
    return Measurement(
        model=path,
        sha256=sha256,
        target=Target(threads=threads),
        latency_ms=Distribution(n=100, mean=mean, std=0.5),
        load_ms=Distribution(n=10, mean=3.0),
        first_ms=Distribution(n=10, mean=4.0),
        samples=tuple(Sample(process=0, phase="timed", index=i, ms=mean + i) for i in range(100)),
    )


def test_a_store_feeds_the_simulator(tmp_path: Path) -> None:
    from edgewise.store import Store

    store = Store.open(str(tmp_path / "s"), create=True)
    with pytest.raises(InputError, match="no measurement"):
        load(str(tmp_path / "s"))
    store.append([measurement("m.tflite", "1", 5.0)])
    with pytest.raises(InputError, match="no measured model has an accuracy"):
        load(str(tmp_path / "s"))
    store.append([accuracy("m", "1", 70.0)])
    assert load(str(tmp_path / "s")).table.models == ("m",)


def test_quantiles_alone_are_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "quantiles.csv"
    path.write_text("model,accuracy,p50_ms,p95_ms\na,70,10,20\nb,50,4,4\n")
    one, other = load(path).table.profiles
    deviation = math.log(2) / NormalDist().inv_cdf(0.95)  # of the log: a lognormal
    assert one.mean_ms == pytest.approx(10 * math.exp(deviation**2 / 2), rel=0.01)
    assert (other.mean_ms, other.std_ms) == (pytest.approx(4), pytest.approx(0, abs=1e-9))
    for row in ("a,70,20,10", "a,70,10,", "a,70,0,10", "a,70,10,nan", "a,70,nan,10"):
        path.write_text(f"model,accuracy,p50_ms,p95_ms\n{row}\n")
        with pytest.raises(InputError, match="line 2: quantiles that are too few"):
            load(path)
    path.write_text("model,accuracy,mean_ms,p50_ms,p95_ms\na,70,10,9,20\n")
    with pytest.raises(InputError, match="lacks the column std_ms"):
        load(path)


def test_a_mean_that_contradicts_its_quantiles_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    head = "model,accuracy,mean_ms,std_ms,p50_ms,p99_ms\n"
    file.write_text(head + "m,70,20,5,19,35\n")
    assert load(str(file)).table.mean_ms[0] == 20
    for row in ("m,70,200,5,19,35", "m,70,2,5,19,35", "m,70,20,0,19,35", "m,70,20,0.5,19,35"):
        file.write_text(head + row + "\n")
        with pytest.raises(InputError, match=r"line 2: .*contradict the quantile"):
            load(str(file))
