"""A runtime's message comes down to what it says."""

from __future__ import annotations

import pytest

from edgewise.errors import InputError, MissingExtra, RuntimeRefused
from edgewise.runtimes.refusal import informative, not_importable, refusals

ORT = (
    "[ONNXRuntimeError] : 1 : FAIL : Load model from /some/where/m.onnx failed:"
    "/onnxruntime_src/onnxruntime/core/graph/model.cc:245 onnxruntime::Model::Model("
    "onnx::ModelProto&&, const onnxruntime::PathString&, const onnxruntime::ModelOptions&) "
    "Missing opset in the model. All ModelProtos MUST have at least one entry.\n"
)


def test_onnxruntime_loses_its_source_location() -> None:
    expected = "Missing opset in the model. All ModelProtos MUST have at least one entry."
    assert informative(ORT) == expected


def test_litert_loses_its_address_and_gains_its_spaces() -> None:
    message = (
        "Encountered unresolved custom op: SignalWindow.\nSee instructions: https://there "
        "Node number 0 (SignalWindow) failed to prepare."
    )
    assert informative(message) == (
        "Encountered unresolved custom op: SignalWindow. "
        "Node number 0 (SignalWindow) failed to prepare."
    )


def test_repetition_ends_with_a_sentence() -> None:
    text = informative("Tensor 33 has invalid quantization parameters." * 20)
    assert len(text) < 250
    assert text.endswith("parameters.")


def test_endless_word_is_cut() -> None:
    assert informative("x" * 1000) == "x" * 240 + "…"


def test_foreign_exceptions_become_refusals() -> None:
    with pytest.raises(RuntimeRefused, match="no such operator"), refusals():
        raise ValueError("no such operator")


@pytest.mark.parametrize("error", [InputError("ours"), MemoryError()])
def test_ours_and_out_of_memory_pass(error: Exception) -> None:
    with pytest.raises(type(error)), refusals():
        raise error


def test_a_missing_package_names_its_extra_and_a_broken_one_its_reason() -> None:
    missing = not_importable(ModuleNotFoundError("No module named 'x'"), "onnx", "running it")
    assert isinstance(missing, MissingExtra)
    broken = not_importable(ImportError("libx.so: cannot open shared object"), "onnx", "running it")
    assert isinstance(broken, RuntimeRefused)
    assert "libx.so" in str(broken)
    assert "pip install" not in str(broken)
