"""Run the written files: accuracy on the held-out images, agreement of twins, mean latency."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from demo_data import Digits
from demo_family import TWINS, VARIANTS, Variant

TWINS_AGREE_WITHIN = 1e-4  # probability
LATENCY_WARM_UPS = 20
LATENCY_SECONDS = 0.5

RunOne = Callable[[NDArray[np.generic]], NDArray[np.float32]]


def loaded(path: Path) -> RunOne:
    """Load a file on one thread; the function returned maps one input (1, …) to (1, 10)."""
    return _onnx(path) if path.suffix == ".onnx" else _litert(path)


def _litert(path: Path) -> RunOne:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    scale, zero_point = target["quantization"]

    def run(inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        interpreter.set_tensor(source["index"], inputs)
        interpreter.invoke()
        output = interpreter.get_tensor(target["index"])
        # A scale of 0 says "not quantised".
        return (output.astype(np.float32) - zero_point) * scale if scale else output

    return run


def _onnx(path: Path) -> RunOne:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})[0]


def probabilities(variant: Variant, folder: Path, digits: Digits) -> NDArray[np.float32]:
    """Run the file on every held-out image: (360, 10)."""
    run = loaded(folder / variant.file)
    inputs = variant.preprocess.apply(digits.held_out_images)
    return np.concatenate([run(image[np.newaxis]) for image in inputs])


def mean_latency_us(variant: Variant, folder: Path, digits: Digits) -> float:
    """Mean wall time of one call on one thread, in microseconds; a rough figure for the table."""
    run = loaded(folder / variant.file)
    image = variant.preprocess.apply(digits.held_out_images[:1])
    for _ in range(LATENCY_WARM_UPS):
        run(image)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < LATENCY_SECONDS:
        run(image)
        calls += 1
    return (time.perf_counter() - start) / calls * 1e6


def accuracies(folder: Path, digits: Digits) -> dict[str, float]:
    """Measure every variant: percent by name. Raises if a pair of twins does not agree."""
    outputs = {v.name: probabilities(v, folder, digits) for v in VARIANTS}
    for tflite, onnx in TWINS:
        apart = float(np.abs(outputs[tflite] - outputs[onnx]).max())
        if apart > TWINS_AGREE_WITHIN:
            raise ValueError(f"{tflite} and {onnx} differ by {apart:.2g}")
        print(f"  {tflite} and {onnx} agree within {apart:.2g}")
    return {name: _percent(output, digits) for name, output in outputs.items()}


def _percent(output: NDArray[np.float32], digits: Digits) -> float:
    return 100.0 * float(np.mean(output.argmax(axis=1) == digits.held_out_labels))
