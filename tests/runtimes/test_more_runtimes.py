"""The runtimes beside LiteRT's interpreter and ONNX Runtime keep the same contract."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.errors import RuntimeRefused
from edgewise.records import Measurement
from edgewise.runtimes import registry, runner

SHORT = Settings(
    processes=1, load_processes=0, evicted_processes=0, runs=3, min_time_s=0, warmup_runs=1
)


def answer(runtime: str, path: Path, **settings: object) -> np.ndarray:
    """The first output for an input of rising numbers."""
    model = runner.load(runtime, path, **settings)  # type: ignore[arg-type]
    (port,) = model.session.inputs
    shape = port.shape or tuple(s if isinstance(s, int) else 1 for s in port.signature or ())
    shape = (1, *shape[1:])
    model.run({port.name: np.linspace(0, 1, int(np.prod(shape)), dtype="float32").reshape(shape)})
    return next(iter(model.session.results().values()))


def bench(path: Path, runtime: str = "auto", profile: bool = False) -> Measurement:
    import dataclasses

    settings = dataclasses.replace(SHORT, profile=profile)
    (found,) = measure(Plan(paths=(str(path),), runtimes=(runtime,), settings=settings))
    return found


# -- LiteRT's CompiledModel ---------------------------------------------------------------------


@pytest.mark.parametrize("delegate", ["xnnpack", "none", "reference"])
def test_compiled_models_agree_with_the_interpreter(digits: Path, delegate: str) -> None:
    pytest.importorskip("ai_edge_litert.compiled_model")
    path = digits / "digits-s.tflite"
    expected = answer("litert", path)
    found = answer("litert-compiled", path, delegate=delegate)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_cache_of_packed_weights_is_written(digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.compiled_model")
    cache = tmp_path / "weights.bin"
    path = digits / "digits-m.tflite"
    for _ in range(2):  # empty, then present
        found = answer("litert-compiled", path, options={"weight-cache": str(cache)})
        np.testing.assert_allclose(found, answer("litert", path), atol=1e-4)
        assert cache.stat().st_size > 0


def test_packed_weights_cold_and_warm(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ai_edge_litert.compiled_model")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path, expected = digits / "digits-s.tflite", answer("litert", digits / "digits-s.tflite")
    cold = answer("litert-compiled", path, options={"weight-cache": "cold"})
    np.testing.assert_allclose(cold, expected, atol=1e-4)
    assert not list(tmp_path.iterdir())
    warm = {"weight-cache": "warm"}
    registry.prepare("litert-compiled", path, threads=1, delegate="xnnpack", options=warm)
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    np.testing.assert_allclose(answer("litert-compiled", path, options=warm), expected, atol=1e-4)
    assert kept.stat().st_mtime_ns == before


# -- OpenVINO -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits-s.tflite", "digits-s.onnx"])
def test_openvino_reads_what_others_read(digits: Path, name: str) -> None:
    pytest.importorskip("openvino")
    path = digits / name
    other = "litert" if name.endswith(".tflite") else "onnxruntime"
    options = {"precision": "f32"}
    found = answer("openvino", path, options=options)
    np.testing.assert_allclose(found, answer(other, path), atol=1e-4)


def test_openvino_times_layers_and_reads_its_threads_back(digits: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    openvino.save_model(openvino.Core().read_model(digits / "digits-s.onnx"), tmp_path / "d.xml")
    found = bench(tmp_path / "d.xml", "openvino", profile=True)
    assert found.status == "ok", found.reason
    assert found.layer_times and sum(each.share for each in found.layer_times) == pytest.approx(1)
    model = runner.load("openvino", tmp_path / "d.xml", threads=1)
    (port,) = model.session.inputs
    model.resize({port.name: (1, *(s for s in (port.signature or ())[1:] if isinstance(s, int)))})
    assert model.session.used()["threads"] == "1"


# -- ncnn ---------------------------------------------------------------------------------------

PARAM = """7767517
3 3
Input            data   0 1 data 0=4 1=3 2=2
Convolution      conv   1 1 data mixed 0=1 1=1 5=1 6=2
ReLU             relu   1 1 mixed out
"""


def ncnn_model(folder: Path, param: str = PARAM, weights: bool = True) -> Path:
    """A 1×1 convolution: twice the first channel less the second, less 10, and no negatives."""
    pytest.importorskip("ncnn")
    path = folder / "small.param"
    path.write_text(param)
    if weights:
        (folder / "small.bin").write_bytes(struct.pack("<Ifff", 0, 2.0, -1.0, -0.5))
    return path


def test_ncnn_computes_with_a_batch_of_one_in_front(tmp_path: Path) -> None:
    path = ncnn_model(tmp_path)
    model = runner.load("ncnn", path, options={"precision": "fp32"})
    (port,) = model.session.inputs
    assert (port.name, port.shape) == ("data", (1, 2, 3, 4))
    value = np.arange(24, dtype="float32").reshape(1, 2, 3, 4)
    model.run({"data": value})
    (found,) = model.session.results().values()
    expected = np.maximum(0, 2 * value[:, :1] - value[:, 1:] - 0.5)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(RuntimeRefused, match="no batches"):
        model.resize({"data": (2, 2, 3, 4)})


def test_ncnn_without_weights_is_a_reason_and_without_sizes_a_question(tmp_path: Path) -> None:
    path = ncnn_model(tmp_path, weights=False)
    assert "its weights are missing: small.bin" in (bench(path).reason or "")
    path = ncnn_model(tmp_path, PARAM.replace(" 0=4 1=3 2=2", ""))
    assert "give its size with --shape data=" in (bench(path).reason or "")


def test_sizes_in_the_other_order_are_told_by_the_convolution(tmp_path: Path) -> None:
    turned = PARAM.replace("0=4 1=3 2=2", "0=2 1=3 2=4")
    model = runner.load("ncnn", ncnn_model(tmp_path, turned))
    assert model.session.inputs[0].shape == (1, 2, 3, 4)


def test_a_runtime_that_crashes_is_a_row_and_the_run_goes_on(
    tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its weights are cut off: ncnn reads beyond them, and may die of it.
    path = ncnn_model(tmp_path)
    (tmp_path / "small.bin").write_bytes(b"\0\0")
    found = measure(Plan(paths=(str(path), str(digits / "digits-s.onnx")), settings=SHORT))
    assert [each.status for each in found][1] == "ok"
    assert found[0].status == "ok" or found[0].reason


@pytest.mark.corpus
def test_ncnn_runs_a_real_network(corpus: Path) -> None:
    pytest.importorskip("ncnn")
    found = bench(corpus / "models/ncnn/Tencent__mtcnn__det1.param")
    assert found.status == "ok", found.reason
    assert found.coverage is not None and found.coverage.operators == 12


# -- MNN ----------------------------------------------------------------------------------------


@pytest.fixture
def digits_mnn() -> Path:
    """The demo's smallest model, converted by MNN's own converter (which takes 20 s)."""
    pytest.importorskip("MNN")
    return Path(__file__).parent / "data/digits-s.mnn"


def test_mnn_agrees_with_what_it_was_made_from(digits: Path, digits_mnn: Path) -> None:
    found = answer("mnn", digits_mnn, options={"precision": "high"})
    expected = answer("onnxruntime", digits / "digits-s.onnx")
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_mnn_times_its_operators(digits_mnn: Path) -> None:
    found = bench(digits_mnn, profile=True)
    assert found.status == "ok", found.reason
    assert found.target.runtime == "mnn"
    assert found.layer_times and sum(each.share for each in found.layer_times) == pytest.approx(1)


def test_mnn_refuses_a_cut_file(digits_mnn: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mnn"
    cut.write_bytes(digits_mnn.read_bytes()[:2000])
    found = bench(cut, "mnn")
    assert found.status == "failed" and found.reason


# -- where torch and llama.cpp are installed ----------------------------------------------------


def test_executorch_runs_what_was_lowered(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    torch = pytest.importorskip("torch")
    from executorch.exir import to_edge_transform_and_lower

    class Doubled(torch.nn.Module):
        def forward(self, x: object) -> object:
            return torch.cumsum(x + x, 1)

    program = to_edge_transform_and_lower(
        torch.export.export(Doubled(), (torch.zeros(1, 4),))
    ).to_executorch()
    (tmp_path / "m.pte").write_bytes(program.buffer)
    value = np.arange(4, dtype="float32").reshape(1, 4)
    folder = tmp_path / "profile"
    folder.mkdir()
    model = runner.load("executorch", tmp_path / "m.pte", profile=folder)
    model.run({"input_0": value})
    np.testing.assert_allclose(model.session.results()["output_0"], np.cumsum(2 * value, 1))
    times = model.session.layer_times(1)
    assert times and {each.op for each in times} == {"add.out", "cumsum.out"}
    coverage = model.session.coverage()
    assert coverage is not None and coverage.partitions == 0
    with pytest.raises(RuntimeRefused, match="plans input"):
        model.resize({"input_0": (2, 4)})


@pytest.mark.corpus
def test_llamacpp_times_prompt_and_generation(known: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    path = tmp_path / "tiny.gguf"
    maker = known.parent / "devices/examples/tiny_llm.py"
    subprocess.run([sys.executable, str(maker), str(path)], check=True, capture_output=True)
    model = runner.load("llamacpp", path, options={"prompt": "8", "generate": "4"})
    model.run({"tokens": np.arange(8, dtype="int32")[np.newaxis]})
    assert model.session.results()["generated"].shape == (1, 4)
    times = model.session.layer_times(2)
    assert times and [each.name for each in times] == ["prefill", "decode"]
    assert all(each.mean_ms > 0 for each in times)
    with pytest.raises(RuntimeRefused, match="n at most 8"):
        model.resize({"tokens": (1, 9)})


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("runtime", "module", "file", "options"),
    [
        ("ncnn", "ncnn", "ncnn/mixcnn__base.ncnn.param", {"precision": "fp32"}),
        ("mnn", "MNN", "mnn/mixcnn__base.mnn", {"precision": "high"}),
        ("openvino", "openvino", "openvino/mixcnn__base.dyn.xml", {"precision": "f32"}),
        ("openvino", "openvino", "paddle/mixcnn__base.pdmodel", {"precision": "f32"}),
        ("executorch", "executorch", "executorch/mixcnn__base.xnnpack.pte", {}),
    ],
)
def test_one_network_in_all_formats_gives_one_answer(
    known: Path, runtime: str, module: str, file: str, options: dict[str, str]
) -> None:
    pytest.importorskip(module)
    folder = known / "rosetta/mixcnn"
    value = np.random.default_rng(0).random((1, 3, 48, 64), dtype="float32")

    def of(name: str, path: Path, settings: dict[str, str]) -> np.ndarray:
        model = runner.load(name, path, options=settings)
        model.run({model.session.inputs[0].name: value})
        return next(iter(model.session.results().values())).reshape(-1)

    expected = of("onnxruntime", folder / "onnx/mixcnn__base.op17.onnx", {})
    np.testing.assert_allclose(of(runtime, folder / file, options), expected, atol=1e-5)


# -- all ----------------------------------------------------------------------------------------


def test_a_runtime_for_every_format_that_is_named() -> None:
    preferred = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn",
                 "mnn": "mnn", "executorch": "executorch", "gguf": "llamacpp"}  # fmt: skip
    for format_name, runtime in preferred.items():
        found = registry.for_format(format_name)
        assert found is not None and runtime == found.NAME
    assert registry.names_for("tflite") == ["litert", "litert-compiled", "openvino"]
    assert registry.import_s("executorch") > registry.import_s("litert") == 0


def test_what_is_not_installed_says_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"openvino": "openvino", "ncnn": "ncnn", "mnn": "MNN", "llamacpp": "llama_cpp",
               "executorch": "torch", "litert-compiled": "ai_edge_litert"}  # fmt: skip
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, module, None)
        found = registry.info(registry.by_name(name))
        assert not found.available
        assert f"'{registry.by_name(name).EXTRA}'" in (found.reason or "")
