"""`edgewise bench` and `edgewise devices`, as users and scripts see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

SHORT = [
    "--quick", "--processes", "1", "--load-processes", "0", "--runs", "5", "--min-time", "0",
    "--warmup", "2",
]  # fmt: skip


def test_json_has_the_fields_of_the_contract(
    digits: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(digits / "digits-s.tflite")
    assert run(["bench", path, *SHORT, "--json", "--samples"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["model"] == path
    assert found["target"].keys() == {
        "device", "runtime", "delegate", "threads", "batch", "affinity",
    }  # fmt: skip
    assert found["latency_ms"].keys() == {
        "n", "mean", "std", "min", "p50", "p90", "p95", "p99", "max", "ci95_low", "ci95_high",
    }  # fmt: skip
    assert len(found["samples_ms"]) == found["latency_ms"]["n"] == 5
    for field in ("sha256", "load_ms", "first_ms", "throughput_items_per_s", "context"):
        assert found[field]
    assert found["energy"] is None
    assert "samples" not in found and "layer_times" not in found


def test_profile_gives_times_per_layer(digits: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [str(digits / name) for name in ("digits-s.onnx", "digits-s.tflite")]
    assert run(["bench", *paths, *SHORT, "--json", "--profile"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    by_format = {Path(each["model"]).suffix: each for each in found}
    assert by_format[".onnx"]["layer_times"]
    assert "litert offers no times per layer" in by_format[".tflite"]["notes"]


def test_table_and_reasons(tmp_path: Path, digits: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rubbish.onnx").write_bytes(b"\x08\x07nothing")
    assert (
        run(["bench", str(digits / "digits-s.onnx"), str(tmp_path / "rubbish.onnx"), *SHORT]) == 1
    )
    shown = capfd.readouterr()
    assert "digits-s.onnx" in shown.out and "failed" not in shown.out
    assert "rubbish.onnx on onnxruntime cpu: " in shown.err


def test_a_failure_inside_a_folder_is_a_finding(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07\x12\x03abc")
    assert run(["bench", str(tmp_path), *SHORT, "--json"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["status"] == "failed"


def test_an_empty_folder_is_not_processed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(tmp_path), *SHORT, "--json"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [["--threads", "x"], ["--batch", "0"], ["--runtime", "abacus"], ["--shape", "x"],
     ["--runs", "0"], ["--input", "x.txt"], ["--affinity", "99999"]],
)  # fmt: skip
def test_wrong_usage(wrong: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "m.tflite", *wrong]) == 2
    assert capfd.readouterr().err.startswith("edgewise: ")


def test_store_keeps_measurement_and_samples(
    tmp_path: Path, digits: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert run(["bench", str(digits / "digits-s.tflite"), *SHORT, "--json", "--store", store]) == 0
    capfd.readouterr()
    query = "select phase, count(*) as n from samples group by phase order by phase"
    assert run(["query", store, query, "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {row["phase"]: row["n"] for row in rows} == {
        "first": 1, "load": 1, "timed": 5, "warmup": 2,
    }  # fmt: skip


def test_devices(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "--json"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (device,) = (each for each in found if each["name"] == "host")
    available = {each["name"]: each["available"] for each in device["runtimes"]}
    assert available["litert"] and available["onnxruntime"]
    assert {"litert-compiled", "openvino", "ncnn", "mnn", "executorch"} <= available.keys()
    assert run(["devices"]) == 0
    assert "xnnpack" in capfd.readouterr().out
