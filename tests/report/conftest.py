"""A store with apps, models and measurements as a real survey gives them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.records import (
    App,
    Context,
    Coverage,
    Distribution,
    Evidence,
    LayerRow,
    Measurement,
    Model,
    Sample,
    Target,
)
from edgewise.store import Store

#: name, format, multiply-accumulates, parameters, bytes per weight, quantization, dtype
_NETWORKS = (
    ("mobilenet_v1_224_quant.tflite", "tflite", 568_740_352, 4_231_976, 1, "full", "uint8"),
    ("mobilenet_v2_224.tflite", "tflite", 300_774_272, 3_487_816, 4, "none", "float32"),
    ("face_detection_short.tflite", "tflite", 31_114_880, 116_904, 2, "float16", "float16"),
    ("RFB-320.onnx", "onnx", 100_418_560, 300_936, 4, "none", "float32"),
    ("squeezenet1.1.onnx", "onnx", 349_152_000, 1_235_496, 4, "none", "float32"),
    ("digits_small.tflite", "tflite", 81_920, 3_178, 4, "none", "float32"),
    ("text_encoder.onnx", "onnx", None, 22_713_216, 4, "weights", "int8"),
)
_KINDS = (("CONV_2D", "conv"), ("RELU", "unary"), ("ADD", "binary"), ("MAX_POOL_2D", "pool"))


def layer(index: int, macs: int | None) -> LayerRow:
    """One layer; every fourth multiply-accumulates."""
    op, kind = _KINDS[index % 4]
    shape = ((1, 56, 56, 32),)
    return LayerRow(
        index=index, name=f"{op}_{index}", op=op, kind=kind, input_shapes=shape,
        output_shapes=shape, dtype="float32", macs=macs if kind == "conv" else 0,
        macs_formula=None, flops=None, parameters=100, weight_bytes=400, output_bytes=1000,
    )  # fmt: skip


def network(number: int, path: str | None = None) -> Model:
    """One of the networks, parsed; at a path inside an app if given."""
    name, format_, macs, parameters, width, quantization, dtype = _NETWORKS[number]
    table = [layer(i, macs // 10 if macs else None) for i in range(38)]
    table.append(
        LayerRow(
            index=38, name="head", op="FULLY_CONNECTED", kind="dense", input_shapes=(None,),
            output_shapes=((1, 1000),), dtype="float32", macs=1_024_000 if macs else None,
            macs_formula=None, flops=None, parameters=1_025_000, weight_bytes=4_100_000,
            output_bytes=4000,
        )
    )  # fmt: skip
    return Model(
        path=path or name, format=format_, level="graph", sha256=f"{number + 1:064x}",
        size_bytes=parameters * width + 21_000, name=name.partition(".")[0], layers=len(table),
        parameters=parameters, macs=macs, macs_known=macs or 1000,
        weight_bytes=parameters * width,
        weight_dtypes={dtype: parameters * width - 400, "int32": 400},
        quantization=quantization, peak_activation_bytes=4_816_896, layer_table=tuple(table),
        ops={"CONV_2D": 10, "RELU": 10}, task="image classification" if number < 6 else None,
    )  # fmt: skip


def application(number: int, networks: tuple[int, ...], label: str | None = None) -> App:
    """An app with some of the networks and two files that are no models."""
    path = f"app-{number}.apk"
    models = [network(n, f"{path}!/assets/{_NETWORKS[n][0]}") for n in networks]
    models.append(
        Model(
            path=f"{path}!/assets/notes.tflite", format="tflite", status="rejected",
            sha256=f"{number + 900:064x}", size_bytes=812, reason="no TFL3 at offset 4",
        )
    )  # fmt: skip
    models.append(
        Model(
            path=f"{path}!/assets/engine.bin", format="tflite", status="opaque",
            sha256=f"{number + 950:064x}", size_bytes=90_000, reason="encrypted",
        )
    )  # fmt: skip
    return App(
        path=path, sha256=f"{number + 500:064x}", size_bytes=21_000_000 + number * 3_500_000,
        kind="apk", package=f"org.example.app{number}", version_name=f"1.{number}",
        label=label or f"Sample {number}", models=tuple(models),
        evidence=(
            Evidence(kind="framework", name="TensorFlow Lite", grade="native_lib"),
            Evidence(kind="accelerator", name="NNAPI", grade="string"),
            *((Evidence(kind="cloud_api", name="Cloud Vision", grade="url"),) * (number % 2)),
        ),
        coverage=Coverage(
            entries=812, examined=812, candidates=len(models), parsed=len(networks), opaque=1,
            rejected=1,
        ),
    )  # fmt: skip


def measurement(number: int, runtime: str, threads: int, batch: int = 1) -> Measurement:
    """A network on a target; time follows work, less than in proportion to the threads."""
    name, _, macs, *_ = _NETWORKS[number]
    noise = random.Random(f"{number}{runtime}{threads}{batch}")
    pace = (3e6 if runtime == "litert" else 2.4e6) * threads**0.8
    ms = 0.03 + (macs or 2e9) * batch / pace / 1000 * noise.uniform(0.9, 1.2)
    samples = tuple(
        Sample(process=i % 5, phase="timed", index=i, ms=ms * noise.uniform(0.97, 1.1))
        for i in range(40)
    )
    return Measurement(
        model=name, sha256=f"{number + 1:064x}",
        target=Target(runtime=runtime, threads=threads, batch=batch),
        load_ms=Distribution(n=10, mean=ms * 4, p50=ms * 3.8 + 1),
        first_ms=Distribution(n=10, mean=ms * 2, p50=ms * 1.9 + 0.2),
        latency_ms=Distribution(
            n=700, mean=ms * 1.02, std=ms * 0.03, min=ms * 0.97, p50=ms, p90=ms * 1.07,
            p95=ms * 1.09, p99=ms * 1.1, max=ms * 1.2, ci95_low=ms * 0.94, ci95_high=ms * 1.08,
        ),
        throughput_items_per_s=1000 * batch / ms, peak_memory_bytes=31_000_000,
        stability="noisy" if number == 4 else "stable", processes=5,
        context=Context(cpu_model="Example CPU 3 GHz", cores=8, container="docker"),
        samples=samples,
    )  # fmt: skip


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Four apps, one of them broken, and measurements on two runtimes."""
    folder: Path = tmp_path_factory.mktemp("survey") / "spring-survey"
    store = Store.open(str(folder), create=True)
    store.append([
        application(1, (0, 2)), application(2, (1, 3, 4)), application(3, (2, 5, 6), "Camera +"),
        App(path="broken.apk", error="no end-of-central-directory record", kind="apk"),
    ])  # fmt: skip
    store.append([network(n) for n in range(7)])
    store.append([
        measurement(n, runtime, threads, batch)
        for n, runtime in ((0, "litert"), (1, "litert"), (2, "litert"), (5, "litert"),
                           (3, "onnxruntime"), (4, "onnxruntime"), (6, "onnxruntime"))
        for threads in (1, 2) for batch in (1, 4)
    ])  # fmt: skip
    store.append(
        Measurement(
            model="custom.tflite", sha256="f" * 64, target=Target(), status="failed",
            reason="custom operator FlexErf is not available",
        )
    )  # fmt: skip
    yield store
