"""A store as a survey of a whole app market leaves it, made of records without any scanning.

What `scan` and `bench` would have written: apps with evidence, models that many apps share, layer
tables, candidates that are no models, measurements of some. The same numbers give the same store.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from edgewise.records import (
    AccuracyRow,
    App,
    Context,
    Coverage,
    Distribution,
    Evidence,
    LayerRow,
    Measurement,
    Model,
    Port,
    Sample,
    Target,
)
from edgewise.store import Store

#: Of the apps, those that ship models; of the models, those that many apps ship; of their copies,
#: how many there are for each model.
_SHIPPING, _POPULAR, _COPIES = 0.55, 0.03, 0.7
_FORMATS = (("tflite", 70), ("onnx", 12), ("ncnn", 8), ("pytorch", 4), ("mnn", 4), ("coreml", 2))
_TASKS = (
    ("image classification", "image", "mobilenet_v2"), ("object detection", "image", "ssd"),
    ("face detection", "image", "blazeface"), ("pose estimation", "image", "movenet"),
    ("image segmentation", "image", "deeplab_v3"), ("text classification", "text", "mobilebert"),
    ("speech recognition", "audio", None), ("super resolution", "image", "esrgan"),
    (None, "image", None), (None, None, None),
)  # fmt: skip
_QUANTIZED = (("none", "float32", 4), ("float16", "float16", 2), ("full", "int8", 1),
              ("weights", "int8", 1))  # fmt: skip
_OPS = (("CONV_2D", "conv"), ("DEPTHWISE_CONV_2D", "conv"), ("RELU6", "unary"), ("ADD", "binary"),
        ("AVERAGE_POOL_2D", "pool"), ("RESHAPE", "reshape"))  # fmt: skip
_FOUND = (
    ("framework", "TensorFlow Lite", "native_lib", "lib/arm64-v8a/libtensorflowlite_jni.so"),
    ("framework", "TensorFlow Lite", "class", "Lorg/tensorflow/lite/Interpreter;"),
    ("framework", "ML Kit", "class", "Lcom/google/mlkit/vision/face/FaceDetector;"),
    ("framework", "ONNX Runtime", "native_lib", "lib/arm64-v8a/libonnxruntime.so"),
    ("framework", "ncnn", "string", "lib/arm64-v8a/libnative-lib.so"),
    ("framework", "MediaPipe", "native_lib", "lib/arm64-v8a/libmediapipe_jni.so"),
    ("framework", "PyTorch Mobile", "class", "Lorg/pytorch/Module;"),
    ("accelerator", "NNAPI", "string", "lib/arm64-v8a/libtensorflowlite_jni.so"),
    ("accelerator", "GPU delegate", "class", "Lorg/tensorflow/lite/gpu/GpuDelegate;"),
    ("cloud_api", "Google Cloud Vision", "url", "classes2.dex"),
    ("cloud_api", "Amazon Rekognition", "class", "Lcom/amazonaws/services/rekognition/Client;"),
    ("llm", "OpenAI API", "url", "classes.dex"),
    ("packer", "Bangcle", "native_lib", "lib/armeabi-v7a/libsecexe.so"),
)  # fmt: skip
_WORDS = ("Photo", "Camera", "Fit", "Beauty", "Scan", "Chat", "Voice", "Map", "Kids", "Smart",
          "Pay", "Star", "Home", "Lens", "Note", "Music", "Farm", "Shop", "Garden")  # fmt: skip
_CPUS = ("Example A78 2.4 GHz", "Example X1 2.9 GHz", "Example A55 1.8 GHz")


def build(url: str, apps: int, models: int, measured: int, seed: int = 7) -> Store:
    """Make the store and compact it, as its owner would before they keep it.

    Args:
        measured: models of which there are measurements, each on two targets and three devices.
    """
    draw = random.Random(seed)
    store = Store.open(url, create=True)
    networks = [network(number, random.Random(f"{seed} {number}")) for number in range(models)]
    store.append(_apps(networks, apps, draw), per_part=2000)
    often = networks[:measured]
    store.append((each for model in often for each in _measured(model, draw)), per_part=5000)
    store.append(_evaluated(model, draw) for model in often[: measured // 20])
    store.compact()
    return store


def _apps(networks: list[Model], apps: int, draw: random.Random) -> Iterator[App]:
    """Every model in one app at least; the popular ones in many."""
    shipping = max(1, int(apps * _SHIPPING))
    held: list[list[Model]] = [[] for _ in range(apps)]
    for model in networks:
        held[draw.randrange(shipping)].append(model)
    popular = networks[: max(1, int(len(networks) * _POPULAR))]
    for _ in range(int(len(networks) * _COPIES)):
        rank = int(len(popular) * draw.random() ** 3)
        held[draw.randrange(shipping)].append(popular[rank])
    for number, mine in enumerate(held):
        yield _app(number, mine, draw)


def _app(number: int, models: list[Model], draw: random.Random) -> App:
    package = f"com.example{number % 911}.{draw.choice(_WORDS).lower()}{number}"
    path = f"market/{package}.apk"
    found = [
        Model(**{**_fields(model), "path": f"{path}!/assets/{place}/{model.path}",
                 "reach": draw.choice(("loaded", "referenced", None))})
        for place, model in enumerate(models)
    ]  # fmt: skip
    if draw.random() < 0.2:
        found.append(_no_model(path, number, draw))
    ended = [model.status for model in found]
    kinds = draw.sample(_FOUND, draw.randrange(3, 10) if models else draw.randrange(4))
    return App(
        path=path, sha256=_hash("app", number), size_bytes=draw.randrange(4, 180) * 1_000_003,
        kind="apk", package=package, version_name=f"{number % 9}.{number % 31}.{number % 7}",
        version_code=number, min_sdk=21 + number % 8, target_sdk=34,
        label=f"{draw.choice(_WORDS)} {draw.choice(_WORDS)} {number}", models=tuple(found),
        evidence=tuple(_evidence(kind, draw) for kind in kinds),
        coverage=Coverage(
            entries=900 + number % 700, examined=900 + number % 700, candidates=len(found),
            parsed=ended.count("parsed"), opaque=ended.count("opaque"),
            rejected=ended.count("rejected"),
        ),
        listing={"category": draw.choice(_WORDS)},
    )  # fmt: skip


def _fields(model: Model) -> dict[str, object]:
    return {name: getattr(model, name) for name in model.__struct_fields__}


def _evidence(what: tuple[str, str, str, str], draw: random.Random) -> Evidence:
    kind, name, grade, where = what
    return Evidence(
        kind=kind, name=name, grade=grade, where=where,  # type: ignore[arg-type]
        reach=draw.choice(("loaded", "referenced", "unreferenced", None)),
        owner=draw.choice(("app", "sdk", None)), detail=f"version 2.{draw.randrange(17)}.0",
    )  # fmt: skip


def _no_model(path: str, number: int, draw: random.Random) -> Model:
    opaque = draw.random() < 0.5
    return Model(
        path=f"{path}!/assets/data/engine{number}.bin", format="tflite" if opaque else "ncnn",
        status="opaque" if opaque else "rejected", sha256=_hash("no model", number),
        size_bytes=draw.randrange(500, 900_000),
        reason="encrypted" if opaque else f"no magic number at offset {number % 5}",
    )  # fmt: skip


def network(number: int, draw: random.Random) -> Model:
    """One different model with its layers; its size and work are spread as those of apps are."""
    (format_,) = draw.choices([name for name, _ in _FORMATS], [share for _, share in _FORMATS])
    task, modality, architecture = draw.choice(_TASKS)
    quantization, dtype, width = draw.choice(_QUANTIZED)
    macs = int(10 ** draw.gauss(7.6, 0.9))
    known = draw.random() > 0.04
    count = draw.randrange(12, 70)
    layers = tuple(_layer(place, count, macs, width, known, draw) for place in range(count))
    parameters = sum(layer.parameters for layer in layers)
    stem = f"{(architecture or draw.choice(_WORDS)).lower()}_{draw.choice((128, 192, 224, 320))}"
    name = "model" if draw.random() < 0.2 else f"{stem}_v{number % 997}"
    return Model(
        path=f"{name}.{format_}", format=format_, level="graph", sha256=_hash("model", number),
        size_bytes=parameters * width + 21_000, name=name, producer="TOCO Converted.",
        architecture=architecture, layers=count, ops={op: count // len(_OPS) for op, _ in _OPS},
        inputs=(Port(name="input", shape=(1, 224, 224, 3), dtype="float32"),),
        outputs=(Port(name="output", shape=(1, 1001), dtype="float32"),),
        parameters=parameters, macs=sum(layer.macs or 0 for layer in layers) if known else None,
        macs_known=macs, flops=2 * macs if known else None, weight_bytes=parameters * width,
        weight_dtypes={dtype: parameters * width}, quantization=quantization,  # type: ignore[arg-type]
        peak_activation_bytes=draw.randrange(50_000, 9_000_000), modality=modality, task=task,
        task_confidence=0.8 if task else None, layer_table=layers,
    )  # fmt: skip


def _layer(
    place: int, count: int, macs: int, width: int, known: bool, draw: random.Random
) -> LayerRow:
    op, kind = _OPS[place % len(_OPS)]
    weighs = kind == "conv"
    side = max(1, 224 >> (5 * place // count + 1))
    parameters = draw.randrange(200, 60_000) if weighs else 0
    shape = (1, side, side, 16 << (5 * place // count))
    return LayerRow(
        index=place, name=f"model/block_{place // 6}/{op.lower()}_{place}", op=op, kind=kind,
        input_shapes=(shape,), output_shapes=(shape,), dtype="float32",
        macs=None if not known else int(6 * macs / count * draw.random()) if weighs else 0,
        macs_formula=None, flops=None, parameters=parameters, weight_bytes=parameters * width,
        output_bytes=4 * side * side * shape[3],
    )  # fmt: skip


def _measured(model: Model, draw: random.Random) -> Iterator[Measurement]:
    for cpu in _CPUS:
        for threads in (1, 4):
            ms = 0.05 + (model.macs or 4e7) / 2.5e6 / threads**0.7 / 100 * draw.uniform(0.8, 1.3)
            yield Measurement(
                model=model.path, sha256=model.sha256,
                target=Target(runtime="litert" if model.format == "tflite" else "onnxruntime",
                              threads=threads),
                load_ms=Distribution(n=10, mean=ms * 4, p50=ms * 4),
                first_ms=Distribution(n=10, mean=ms * 2, p50=ms * 2),
                latency_ms=Distribution(
                    n=500, mean=ms, std=ms * 0.03, min=ms * 0.9, p50=ms, p90=ms * 1.08,
                    p95=ms * 1.1, p99=ms * 1.2, max=ms * 1.4, ci95_low=ms * 0.97,
                    ci95_high=ms * 1.03,
                ),
                throughput_items_per_s=1000 / ms, peak_memory_bytes=draw.randrange(9, 90) * 10**6,
                stability="stable", processes=5,
                context=Context(cpu_model=cpu, cores=8, started_at="2025-04-01T10:00:00+00:00"),
                samples=tuple(
                    Sample(process=n % 5, phase="timed", index=n, ms=ms * draw.uniform(0.9, 1.2))
                    for n in range(10)
                ),
            )  # fmt: skip


def _evaluated(model: Model, draw: random.Random) -> AccuracyRow:
    correct = draw.randrange(600, 990)
    return AccuracyRow(
        model=model.path, path=model.path, data="labelled", n=1000, correct=correct,
        accuracy=correct / 10, ci95_low=correct / 10 - 2, ci95_high=correct / 10 + 2,
        sha256=model.sha256, runtime="litert",
    )  # fmt: skip


def _hash(*parts: object) -> str:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
