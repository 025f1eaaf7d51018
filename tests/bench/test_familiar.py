"""`family init`: a family's file from models and labelled data."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.errors import InputError
from edgewise.family import load_family, of_one

pytest.importorskip("ai_edge_litert")
pytest.importorskip("PIL")


def test_models_and_data_make_a_family_that_loads(
    tmp_path: Path, digits: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "family.toml"
    models = [str(digits / name) for name in ("digits-xs.tflite", "digits-s.onnx", "family.toml")]
    given = ["--data", str(digits / "heldout.npz"), "--scale", "255", "-o", str(out)]
    assert run(["family", "init", *models, *given]) == 0
    assert "family.toml left out: no model file" in capfd.readouterr().err
    family = load_family(out)
    assert [variant.name for variant in family.variant] == ["digits-xs", "digits-s"]
    assert family.variant[0].accuracy == pytest.approx(93.06, abs=0.01)
    assert family.variant[0].accuracy_source == "heldout.npz, 360 inputs"
    assert family.variant[0].preprocess.scale == (255.0,)
    assert run(["family", "init", *models, *given]) == 2, "a file that is there stays"
    assert run(["eval", str(out), "--data", str(digits / "heldout.npz")]) == 0


def test_models_of_one_name_are_two_variants(tmp_path: Path, digits: Path) -> None:
    out = tmp_path / "family.toml"
    models = [str(digits / f"digits-s.{kind}") for kind in ("tflite", "onnx")]
    assert run(["family", "init", *models, "-o", str(out)]) == 0
    names = [variant.name for variant in load_family(out).variant]
    assert names == ["digits-s-tflite", "digits-s-onnx"]


def test_no_model_is_an_error(tmp_path: Path) -> None:
    assert run(["family", "init", str(tmp_path / "no.tflite"), "-o", str(tmp_path / "f.toml")]) == 1
    assert not (tmp_path / "f.toml").exists()


def test_a_model_file_is_a_family_of_its_own(digits: Path) -> None:
    family = of_one(digits / "digits-s.tflite")
    assert family.name == "digits-s" and family.variant[0].accuracy is None
    assert load_family(digits / "digits-s.tflite") == family
    with pytest.raises(InputError, match="no such file"):
        of_one(digits / "missing.tflite")
