"""What a runtime says of a model, against what we say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile, open_file
from edgewise.bench.verify import verified
from edgewise.demo.walk import APP, FAMILY

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", ["digits-m.onnx", "digits-s.tflite", "digits-l-int8.tflite"])
def test_runtimes_agree_on_the_family(name: str) -> None:
    file = DiskFile(FAMILY / name)
    assert verified(summarise(file), file).verified is True


def test_a_model_inside_a_package_is_spooled() -> None:
    file = open_file(f"{APP}!/res/raw/intro.mp3")
    assert verified(summarise(file), file).verified is True


def test_a_difference_is_told() -> None:
    file = DiskFile(FAMILY / "digits-m.onnx")
    model = summarise(file)
    (port,) = model.outputs or ()
    wrong = msgspec.structs.replace(model, outputs=(msgspec.structs.replace(port, shape=(1, 11)),))
    found = verified(wrong, file)
    assert found.verified is False
    assert "1×10, not 1×11" in (found.verify_reason or "")


@pytest.mark.corpus
def test_a_refusal_is_told_in_the_runtimes_words(corpus: Path) -> None:
    (path,) = (corpus / "models" / "tflite").glob("*person_detect.tflite")
    file = DiskFile(path)
    found = verified(summarise(file), file)
    assert found.verified is False
    assert "quantized_dimension" in (found.verify_reason or "")
