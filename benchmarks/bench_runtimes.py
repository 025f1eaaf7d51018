"""Is what `edgewise bench` times the runtime's own call? Against a bare loop of each runtime.

The bare loop is written with the runtime's own interface, as its documentation shows; ours is a
session's `invoke` under the harness's clock (`timing.timed_runs`). Both run on the same model in
one process, in short blocks in turn, so that a change of the machine hits both. The ratio is of
the medians over all blocks.

The goal: within 2 %, or below 1 µs.
"""

from __future__ import annotations

import statistics
import struct
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from edgewise.bench import inputs, timing
from edgewise.runtimes import registry, runner
from edgewise.runtimes.values import random_values
from smoke import SMOKE, fewer

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits"
MNN_MODEL = Path(__file__).parents[1] / "tests" / "runtimes" / "data" / "digits-s.mnn"
BLOCKS, BLOCK_NS = fewer(200, 10), 10_000_000
ALLOWED, ALLOWED_NS = 0.02, 1_000

Call = Callable[[], object]


def litert(path: Path) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    interpreter.set_tensor(given["index"], np.random.default_rng(0).random(given["shape"], "f"))
    return lambda: interpreter.invoke()


def onnxruntime(path: Path) -> Call:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    binding = session.io_binding()
    value = np.random.default_rng(0).random(shape, "f")
    binding.bind_cpu_input(given.name, value)
    binding.bind_output(session.get_outputs()[0].name)
    return lambda: (session.run_with_iobinding(binding), value)


def openvino(path: Path) -> Call:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(str(path))
    model.reshape([1, *(size.get_length() for size in list(model.inputs[0].partial_shape)[1:])])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
    request = compiled.create_infer_request()
    value = np.random.default_rng(0).random(list(model.inputs[0].shape), "f")
    request.set_input_tensor(ov.Tensor(value))

    def call() -> None:
        request.start_async()
        request.wait()

    return call


def ncnn(path: Path) -> Call:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))
    value = np.random.default_rng(0).random((32, 48, 48), "f")
    mat = ncnn.Mat(value)

    def call() -> object:
        extractor = net.create_extractor()
        extractor.input("data", mat)
        return extractor.extract("out"), value

    return call


def mnn(path: Path) -> Call:
    import MNN

    net = MNN.Interpreter(str(path))
    session = net.createSession({"numThread": 1, "backend": "CPU"})
    given = net.getSessionInput(session)
    value = np.random.default_rng(0).random(given.getShape(), "f")
    kind, layout = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    given.copyFrom(MNN.Tensor(given.getShape(), kind, value, layout))
    return lambda: net.runSession(session)


def ncnn_model(folder: Path) -> Path:
    """Three convolutions of 32 channels: milliseconds."""
    lines = ["7767517", "4 4", "Input data 0 1 data 0=48 1=48 2=32"]
    blobs, weights = ["data", "a", "b", "out"], bytearray()
    for number in range(3):
        before, after = blobs[number : number + 2]
        shape = f"0=32 1=3 4=1 6={32 * 32 * 9}"
        lines.append(f"Convolution c{number} 1 1 {before} {after} {shape}")
        values = np.random.default_rng(number).standard_normal(32 * 32 * 9).astype("f") / 17
        weights += struct.pack("<I", 0) + values.tobytes()
    path = folder / "net.param"
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".bin").write_bytes(bytes(weights))
    return path


def ours(runtime: str, path: Path) -> Call:
    """The call that the harness times, ready to be made."""
    model = runner.load(runtime, path)
    shapes = inputs.wanted_shapes(model.session.inputs, 1, {})
    model.resize(shapes)
    ports = model.session.inputs, model.session.outputs
    model.session.feed(random_values(*ports, shapes, seed=0))
    return model.session.invoke


def medians(bare: Call, session: Call) -> tuple[float, float]:
    """Median times in ns of the bare loop and of the harness, block by block in turn."""
    typical = statistics.median(timing.once(bare) for _ in range(20))
    calls = max(3, int(BLOCK_NS / max(typical, 1)))
    bare_ns: list[float] = []
    ours_ns: list[float] = []
    for number in range(BLOCKS):
        for which in (0, 1) if number % 2 else (1, 0):
            if which:
                times, _ = timing.timed_runs(
                    session, runs=calls, min_ns=0, max_ns=10**12, typical_ns=1e12
                )
                ours_ns.append(statistics.median(times))
            else:
                samples = []
                for _ in range(calls):
                    start = perf_counter_ns()
                    bare()
                    samples.append(perf_counter_ns() - start)
                bare_ns.append(statistics.median(samples))
    return statistics.median(bare_ns), statistics.median(ours_ns)


def main() -> int:
    """Print a row for each runtime that is installed; 1 where one misses the goal."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        models: dict[str, tuple[Callable[[Path], Call], Path]] = {
            "litert": (litert, DIGITS / "digits-xl.tflite"),
            "onnxruntime": (onnxruntime, DIGITS / "digits-xl.onnx"),
            "openvino": (openvino, DIGITS / "digits-xl.onnx"),
            "ncnn": (ncnn, Path(folder)),
            "mnn": (mnn, MNN_MODEL),
        }
        print(f"{'runtime':12} {'bare loop':>12} {'ours':>12} {'ratio':>8}")
        for name, (make, path) in models.items():
            if not registry.by_name(name).info().available:
                print(f"{name:12} not installed")
                continue
            model = ncnn_model(path) if name == "ncnn" else path
            bare_ns, ours_ns = medians(make(model), ours(name, model))
            ratio = ours_ns / bare_ns
            good = abs(ratio - 1) <= ALLOWED or abs(ours_ns - bare_ns) <= ALLOWED_NS
            failed += not good
            times = f"{bare_ns / 1e3:9.2f} µs {ours_ns / 1e3:9.2f} µs"
            print(f"{name:12} {times} {ratio:8.3f}{'' if good else '  missed'}")
    return int(failed > 0 and not SMOKE)


if __name__ == "__main__":
    sys.exit(main())
