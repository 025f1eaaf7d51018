"""Both runtimes keep the protocol: load, resize, feed, invoke, results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import RuntimeRefused, UsageError
from edgewise.runtimes import registry, runner
from edgewise.runtimes.registry import Session

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")


def load(path: Path, delegate: str | None = None) -> Session:
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    return runner.load(runtime, path, delegate=delegate).session


def run(session: Session, batch: int) -> np.ndarray:
    (port,) = session.inputs
    sizes = port.signature or port.shape
    assert sizes is not None
    shape = (batch, *(size for size in sizes[1:] if isinstance(size, int)))
    session.resize({port.name: shape})
    session.feed(
        {port.name: np.linspace(0, 1, int(np.prod(shape)), dtype="float32").reshape(shape)}
    )
    session.invoke()
    (result,) = session.results().values()
    return result


@pytest.mark.parametrize("batch", [1, 3])
def test_both_runtimes_agree(digits: Path, batch: int) -> None:
    a = run(load(digits / "digits-m.tflite"), batch)
    b = run(load(digits / "digits-m.onnx"), batch)
    assert a.shape == b.shape == (batch, 10)
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("delegate", ["xnnpack", "none", "reference"])
def test_litert_delegates_give_the_same_answer(digits: Path, delegate: str) -> None:
    expected = run(load(digits / "digits-s.tflite"), 1)
    np.testing.assert_allclose(
        run(load(digits / "digits-s.tflite", delegate), 1), expected, atol=1e-4
    )


def test_free_dimensions_are_named(digits: Path) -> None:
    (port,) = load(digits / "digits-m.onnx").inputs
    assert port.shape is None
    assert isinstance((port.signature or (0,))[0], str)
    (port,) = load(digits / "digits-m.tflite").inputs
    assert (port.shape or (0,))[0] == 1


def test_litert_resizes_what_the_file_fixes_and_says_so(tmp_path: Path, digits: Path) -> None:
    session = load(digits / "digits-m.tflite")
    (port,) = session.inputs
    assert port.shape is not None
    session.resize({port.name: (1, port.shape[1] + 8, *port.shape[2:])})
    assert any("fixes the shape" in note for note in session.notes())


def test_litert_names_the_input_that_it_could_not_resize(digits: Path) -> None:
    session = load(digits / "digits-m.tflite")
    (port,) = session.inputs
    with pytest.raises(RuntimeRefused, match=rf"input '{port.name}' from dim0×.* to 1×7: "):
        session.resize({port.name: (1, 7)})


def test_onnxruntime_refuses_another_size_of_a_fixed_dimension(digits: Path) -> None:
    session = load(digits / "digits-m.onnx")
    (port,) = session.inputs
    with pytest.raises(RuntimeRefused, match="dimension"):
        session.resize({port.name: (1, 7, 7, 7)})
    with pytest.raises(RuntimeRefused, match="has 4 dimensions"):
        session.resize({port.name: (1, 7)})


@pytest.mark.parametrize("name", ["digits-m.tflite", "digits-m.onnx"])
def test_unknown_delegate_lists_the_known(digits: Path, name: str) -> None:
    with pytest.raises(RuntimeRefused, match=r"no delegate 'warp'.* it has"):
        load(digits / name, "warp")


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
def test_rubbish_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no model at all " * 8)
    with pytest.raises(RuntimeRefused):
        load(tmp_path / name)


def test_onnxruntime_profile_covers_the_whole_run(tmp_path: Path, digits: Path) -> None:
    session = runner.load("onnxruntime", digits / "digits-m.onnx", profile=tmp_path).session
    run(session, 1)
    for _ in range(5):
        session.invoke()
    layers = session.layer_times(5)
    assert layers
    assert sum(layer.share for layer in layers) == pytest.approx(1)
    assert {"Conv", "Softmax"} <= {layer.op for layer in layers}
    assert not list(tmp_path.iterdir())


def test_registry_knows_what_runs_what() -> None:
    assert registry.names_for("tflite")[0] == "litert"
    assert registry.names_for("onnx") == ["onnxruntime", "openvino"]
    assert registry.for_format("caffe") is None
    with pytest.raises(UsageError, match="known: litert, onnxruntime"):
        registry.by_name("abacus")


def test_info_names_version_and_default_delegate() -> None:
    for name in ("litert", "onnxruntime"):
        runtime = registry.by_name(name)
        info = registry.info(runtime)
        assert info.available
        assert info.version
        assert info.delegates[0] == runtime.DEFAULT_DELEGATE


@pytest.mark.parametrize("name", ["litert", "onnxruntime"])
def test_missing_package_is_a_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime"}[name]
    monkeypatch.setitem(__import__("sys").modules, module, None)
    info = registry.info(registry.by_name(name))
    assert not info.available
    assert "pip install " in (info.reason or "")
