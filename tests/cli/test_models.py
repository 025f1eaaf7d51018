"""`inspect` and `formats`, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.archive import DiskFile
from edgewise.cli.main import run
from edgewise.demo.walk import APP, FAMILY
from edgewise.errors import InputError


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_model_has_the_fields_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--json", str(FAMILY / "digits-m.tflite")]) == 0
    (model,) = objects(capsys)
    contract = (
        "path, format, level, sha256, size_bytes, status, reason, name, producer, architecture, "
        "inputs, outputs, layers, ops, parameters, macs, macs_known, flops, weight_bytes, "
        "peak_activation_bytes, weight_dtypes, quantization, modality, task, task_confidence, "
        "metadata, notes"
    )
    assert set(contract.split(", ")) <= set(model)
    assert model["inputs"][0]["shape"] == [1, 32, 32, 1]
    assert model["macs"] == 653_952
    assert "layer_table" not in model


def test_every_null_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--json", str(FAMILY / "digits-m.tflite")]) == 0
    assert run(["scan", "--json", str(APP)]) == 0
    model, app = objects(capsys)
    asked_for = {"fingerprint", "zero_fraction", "near_zero_fraction", "clustered_tensors"}
    for found in (model, *app["models"]):
        silent = asked_for | {"reason", "macs_formula"}
        nulls = {name for name, value in found.items() if value is None} - silent
        said = f"{found['reason']} {found['notes']}"
        assert found["status"] == "rejected" or all(name in said for name in nulls)


def test_layers_and_weights_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FAMILY / "digits-s.onnx")
    assert run(["inspect", "--json", "--layers", "--weights", path]) == 0
    (model,) = objects(capsys)
    assert len(model["layer_table"]) == model["layers"]
    assert model["fingerprint"] and 0 <= model["zero_fraction"] < 0.01
    assert model["clustered_tensors"] == 0


def test_a_shape_may_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FAMILY / "digits-s.onnx")
    run(["inspect", "--json", path])
    (one,) = objects(capsys)
    name = one["inputs"][0]["name"]
    assert run(["inspect", "--json", "--shape", f"{name}=4x1x16x16", path]) == 0
    (four,) = objects(capsys)
    assert four["macs"] == 4 * one["macs"]


@pytest.mark.parametrize("text", ["image", "image=", "image=4xa", "image=0x3", "=4x4"])
def test_a_shape_that_is_none_is_wrong_usage(text: str) -> None:
    assert run(["inspect", "--shape", text, str(FAMILY / "digits-s.onnx")]) == 2


def test_a_model_inside_a_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--json", f"{APP}!/assets/digits-s.tflite"]) == 0
    (model,) = objects(capsys)
    assert model["path"].endswith("demo.apk!/assets/digits-s.tflite")
    assert model["labels"] == [str(digit) for digit in range(10)]


def test_what_was_named_and_is_no_model_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.tflite"
    text.write_text("nothing here")
    missing = tmp_path / "missing.onnx"
    good = FAMILY / "digits-xs.tflite"
    assert run(["inspect", "--json", str(text), str(missing), str(good)]) == 1
    captured = capsys.readouterr()
    rejected, absent, parsed = map(json.loads, captured.out.splitlines())
    lines = captured.err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["edgewise", str(text)],
        ["edgewise", str(missing)],
    ]
    assert rejected["status"] == "rejected" and rejected["error"]
    assert absent["status"] == "rejected" and "missing.onnx" in absent["error"]
    assert parsed["status"] == "parsed", "the others still were"


def test_a_rejected_model_in_a_folder_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.tflite").write_text("nothing here")
    (tmp_path / "readme.txt").write_text("nothing here")
    (tmp_path / "m.bin").write_bytes((FAMILY / "digits-xs.tflite").read_bytes())
    assert run(["inspect", "--json", str(tmp_path)]) == 0
    assert {Path(m["path"]).name: m["status"] for m in objects(capsys)} == {
        "notes.tflite": "rejected",
        "m.bin": "parsed",
    }


def test_people_read_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--layers", str(FAMILY / "digits-l.tflite")]) == 0
    text = capsys.readouterr().out
    for word in ("4.2 M", "CONV_2D", "peak activations", "labels"):
        assert word in text


def test_names_in_a_model_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    helper = pytest.importorskip("onnx").helper
    odd = "x\x1b[31m[bold]"
    ports = [[helper.make_tensor_value_info(n, 1, [1])] for n in (odd, "y")]
    graph = helper.make_graph([helper.make_node("Relu", [odd], ["y"])], "g", *ports)
    (tmp_path / "m\x1b[2J.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert run(["inspect", "--layers", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "[bold]" in text


def test_formats_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["formats", "--json"]) == 0
    found = {row["format"]: row for row in objects(capsys)}
    assert "litert" in found["tflite"]["runtimes"]
    assert found["ort"]["level"] == "graph" and found["ncnn"]["companions"]
    assert ".onnx" in found["onnx"]["extensions"]


def test_a_format_without_a_reader_is_told_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.mlmodelc").mkdir()
    (tmp_path / "net.mlmodelc" / "coremldata.bin").write_bytes(b"\x18\x00\x00\x00 whatever")
    assert run(["inspect", "--json", str(tmp_path)]) == 0
    (model,) = objects(capsys)
    assert (model["format"], model["status"]) == ("coreml", "not_examined")
    assert "no reader" in model["reason"]
    assert run(["inspect", "--json", str(tmp_path / "net.mlmodelc" / "coremldata.bin")]) == 1


def test_a_file_that_cannot_be_read_does_not_end_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / name).write_bytes((FAMILY / "digits-xs.tflite").read_bytes())
    read = DiskFile.head

    def failing(file: DiskFile, count: int) -> bytes:
        if file.name == "a.tflite":
            raise InputError(f"{file.path}: Input/output error")
        return read(file, count)

    monkeypatch.setattr(DiskFile, "head", failing)
    assert run(["inspect", "--json", str(tmp_path)]) == 0
    broken, good = objects(capsys)
    assert broken["status"] == "rejected" and "Input/output error" in broken["reason"]
    assert good["status"] == "parsed"


def test_what_was_inspected_is_kept_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgewise.analysis import summary
    from edgewise.store import Store

    whole = summary.summarise

    def second_is_interrupted(file: object, **options: object) -> object:
        if capsys.readouterr().out:
            raise KeyboardInterrupt
        return whole(file, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(summary, "summarise", second_is_interrupted)
    assert run(["inspect", str(FAMILY), "--store", str(tmp_path / "store")]) == 130
    assert len(Store.open(str(tmp_path / "store")).models()) == 1
