"""The two programs called `benchmark_model`: which one a file is, and its flags for a job.

TensorFlow Lite's knows XNNPACK, GPU, NNAPI, Hexagon and external delegates; LiteRT 2's own (of
`CompiledModel`) CPU, GPU and NPU. Both only warn of flags that they do not know, so what one of
them lacks is refused here and not passed on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from edgewise.devices.job import Job
from edgewise.errors import RuntimeRefused

Program = Literal["tflite", "litert2"]
#: What only LiteRT 2's program holds: names of its flags and of its source.
LITERT2_SIGNS = (b"benchmark_litert_model", b"dispatch_library_path", b"BENCHMARK RESULTS")
DELEGATES: Mapping[Program, Mapping[str, tuple[str, ...]]] = {
    "tflite": {
        "xnnpack": ("--use_xnnpack=true",),
        "none": ("--use_xnnpack=false",),
        "gpu": ("--use_gpu=true",),
        "nnapi": ("--use_nnapi=true",),
        "hexagon": ("--use_hexagon=true",),
    },
    "litert2": {
        "xnnpack": ("--use_cpu=true",),
        "gpu": ("--use_gpu=true",),
        "npu": ("--use_npu=true",),
    },
}
EXTERNAL = "external="
ALL_DELEGATES = ("xnnpack", "none", "gpu", "nnapi", "hexagon", "npu", f"{EXTERNAL}PATH")
NAMES: Mapping[Program, str] = {"tflite": "TensorFlow Lite's", "litert2": "LiteRT 2's"}


def which(content: bytes) -> Program:
    """Which of the two an executable is."""
    return "litert2" if any(sign in content for sign in LITERT2_SIGNS) else "tflite"


def flags(program: Program, job: Job, model: str) -> list[str]:
    """The command line after the program's name.

    Raises:
        RuntimeRefused: the program cannot do what is asked.
    """
    target = job.target
    if job.input_path is not None:
        raise RuntimeRefused("benchmark_model makes its own inputs: leave out --input")
    if target.batch != 1 and not job.shapes:
        raise RuntimeRefused(
            "benchmark_model knows no batch", hint="give the whole shape of every input by --shape"
        )
    least_s, most_s = (0.0 if job.purpose == "load" else job.min_time_s), job.max_time_s
    if job.purpose == "energy":
        least_s, most_s = job.phase_s, 2 * job.phase_s
    said = [
        f"--graph={model}",
        f"--num_threads={target.threads or 1}",
        f"--num_runs={1 if job.purpose == 'load' else job.runs}",
        f"--min_secs={_seconds(least_s)}",
        f"--max_secs={_seconds(max(most_s, 0.1))}",
        *_delegate(program, target.delegate),
    ]
    if job.warmup_runs is not None:
        said += [f"--warmup_runs={job.warmup_runs}", "--warmup_min_secs=0"]
    if job.rate_hz is not None:
        said.append(f"--run_frequency={_seconds(job.rate_hz)}")
    if job.shapes:
        names = ",".join(job.shapes)
        shapes = ":".join(",".join(map(str, each)) for each in job.shapes.values())
        said += [f"--input_layer={names}", f"--input_layer_shape={shapes}"]
    if job.purpose == "profile":
        said.append("--use_profiler=true" if program == "litert2" else "--enable_op_profiling=true")
    return said


def _seconds(value: float) -> str:
    """Without an exponent, which the tool's parser does not take."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else "150"


def _delegate(program: Program, name: str) -> tuple[str, ...]:
    if name.startswith(EXTERNAL) and program == "tflite":
        return (f"--external_delegate_path={name.removeprefix(EXTERNAL)}",)
    if name not in DELEGATES[program]:
        known = ", ".join(DELEGATES[program])
        raise RuntimeRefused(f"{NAMES[program]} benchmark_model has no delegate {name!r}: {known}")
    return DELEGATES[program][name]
