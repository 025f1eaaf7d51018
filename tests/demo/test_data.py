"""The demo's files are what their descriptions say: run, measure, open."""

from __future__ import annotations

import hashlib
import struct
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgewise

DATA = Path(edgewise.__file__).parent / "demo" / "data"
DIGITS = DATA / "digits"
LARGEST_BYTES = 3_000_000
IMAGES = 360

VARIANT_KEYS = {"name", "file", "accuracy", "accuracy_source", "role", "output", "preprocess"}
PREPROCESS_KEYS = {"size", "colour", "layout", "mean", "scale", "dtype"}
MODELS_1_0 = {
    "assets/digits-s.tflite": "digits-s.tflite",
    "assets/models/digits-m.onnx": "digits-m.onnx",
    "assets/config/start.dat": "digits-xxs.tflite",
    "res/raw/intro.mp3": "digits-l-int8.tflite",
}
MODELS_1_1 = {
    **MODELS_1_0,
    "res/raw/intro.mp3": "digits-xl-fp16.tflite",
    "assets/models/digits-m.tflite": "digits-m.tflite",
}

Array = np.ndarray[Any, np.dtype[Any]]
Variant = dict[str, Any]

FAMILY = tomllib.loads((DIGITS / "family.toml").read_text(encoding="utf-8"))
VARIANTS: dict[str, Variant] = {variant["name"]: variant for variant in FAMILY["variant"]}
TWINS = [(name.removesuffix("-onnx"), name) for name in VARIANTS if name.endswith("-onnx")]


@cache
def held_out() -> tuple[Array, Array]:
    with np.load(DIGITS / "heldout.npz") as arrays:
        return arrays["images"], arrays["labels"]


def prepared(how: dict[str, Any]) -> Array:
    """Repeat the family's preprocessing from its description alone."""
    image = pytest.importorskip("PIL.Image")
    height, width = how["size"]
    resized = [
        np.asarray(image.fromarray(x).resize((width, height), image.Resampling.BILINEAR))
        for x in held_out()[0]
    ]
    scaled = (np.stack(resized).astype(np.float32) - how["mean"][0]) / how["scale"][0]
    return np.expand_dims(scaled, 1 if how["layout"] == "nchw" else -1).astype(how["dtype"])


def run_tflite(path: Path, inputs: Array) -> Array:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = target["quantization"]
    outputs = []
    for image in inputs:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"]))
    output = np.concatenate(outputs)
    return (output.astype(np.float32) - zero_point) * scale if scale else output


def run_onnx(path: Path, inputs: Array) -> Array:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: inputs})
    return outputs[0]


@cache
def probabilities(name: str) -> Array:
    variant = VARIANTS[name]
    run: Callable[[Path, Array], Array] = (
        run_onnx if variant["file"].endswith(".onnx") else run_tflite
    )
    return run(DIGITS / variant["file"], prepared(variant["preprocess"]))


def read_apk(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(DATA / name) as apk:
        assert apk.testzip() is None
        return {entry: apk.read(entry) for entry in apk.namelist()}


def test_all_files_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < LARGEST_BYTES


def test_held_out_images_are_grey_bytes_with_all_ten_labels() -> None:
    images, labels = held_out()
    assert images.shape == (IMAGES, 8, 8)
    assert images.dtype == np.uint8
    assert labels.shape == (IMAGES,)
    assert labels.dtype == np.int64
    assert images.max() == 255
    assert set(labels) == set(range(10))


def test_family_uses_only_the_keys_of_its_specification() -> None:
    assert set(FAMILY) == {"name", "task", "labels", "input", "variant"}
    for variant in VARIANTS.values():
        assert set(variant) <= VARIANT_KEYS
        assert set(variant["preprocess"]) == PREPROCESS_KEYS


def test_family_names_ten_labels_and_existing_files() -> None:
    assert (DIGITS / FAMILY["labels"]).read_text().split() == [str(digit) for digit in range(10)]
    assert len(VARIANTS) == len(FAMILY["variant"]) >= 6
    assert all((DIGITS / variant["file"]).is_file() for variant in VARIANTS.values())


def test_no_model_file_is_left_out_of_the_family() -> None:
    models = {path.name for path in DIGITS.iterdir() if path.suffix in {".tflite", ".onnx"}}
    assert models == {variant["file"] for variant in VARIANTS.values()}


def test_one_variant_is_for_the_device() -> None:
    assert [v["name"] for v in VARIANTS.values() if v.get("role") == "device"] == ["digits-s"]


def test_larger_float_variants_are_more_accurate() -> None:
    sizes = ["xxs", "xs", "s", "m", "l", "xl"]
    accuracies = [VARIANTS[f"digits-{size}"]["accuracy"] for size in sizes]
    assert accuracies == sorted(set(accuracies))


@pytest.mark.parametrize("name", VARIANTS)
def test_recorded_accuracy_is_reproduced(name: str) -> None:
    right = np.mean(probabilities(name).argmax(axis=1) == held_out()[1])
    # Runtimes and CPUs round differently; one image of tolerance, and no more.
    assert abs(100 * right - VARIANTS[name]["accuracy"]) <= 100 / IMAGES + 0.005
    assert f"{IMAGES} images" in VARIANTS[name]["accuracy_source"]


@pytest.mark.parametrize("name", VARIANTS)
def test_outputs_are_probabilities_over_the_labels(name: str) -> None:
    output = probabilities(name)
    assert output.shape == (IMAGES, 10)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=0.02)  # int8 rounds to 1/256


@pytest.mark.parametrize(("tflite", "onnx"), TWINS)
def test_twins_in_two_formats_agree(tflite: str, onnx: str) -> None:
    np.testing.assert_allclose(probabilities(tflite), probabilities(onnx), atol=1e-4)


def test_int8_variant_takes_and_gives_int8() -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(model_path=str(DIGITS / "digits-l-int8.tflite"))
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert [detail["dtype"] for detail in details] == [np.int8, np.int8]


@pytest.mark.parametrize("file", ["digits-s.tflite", "digits-l.tflite"])
def test_metadata_packs_the_labels_behind_the_model(file: str) -> None:
    assert b"TFLITE_METADATA" in (DIGITS / file).read_bytes()
    with zipfile.ZipFile(DIGITS / file) as packed:
        assert packed.read("labels.txt") == (DIGITS / "labels.txt").read_bytes()


@pytest.mark.parametrize(
    ("apk", "models"), [("demo.apk", MODELS_1_0), ("demo-1.1.apk", MODELS_1_1)]
)
def test_apk_ships_the_family_under_these_names(apk: str, models: dict[str, str]) -> None:
    entries = read_apk(apk)
    for path, model in models.items():
        assert digest(entries[path]) == digest((DIGITS / model).read_bytes()), path
    named = {path for path in entries if path.endswith((".tflite", ".onnx"))}
    assert named <= set(models) | {"assets/readme.tflite"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("apk", ["demo.apk", "demo-1.1.apk"])
def test_apk_is_a_real_package(apk: str) -> None:
    entries = read_apk(apk)
    assert entries["AndroidManifest.xml"][:4] == b"\x03\x00\x08\x00"  # binary XML
    assert entries["resources.arsc"][:2] == b"\x02\x00"
    assert b"Digit Demo" in entries["resources.arsc"]
    assert entries["res/drawable/icon.png"].startswith(b"\x89PNG")
    assert b"APK Sig Block 42" in (DATA / apk).read_bytes()


def test_apk_has_a_file_that_only_looks_like_a_model() -> None:
    assert read_apk("demo.apk")["assets/readme.tflite"].startswith(b"This is not a model.")


def test_apk_stores_a_model_uncompressed_and_aligned() -> None:
    with zipfile.ZipFile(DATA / "demo.apk") as apk, (DATA / "demo.apk").open("rb") as raw:
        entry = apk.getinfo("assets/digits-s.tflite")
        assert entry.compress_type == zipfile.ZIP_STORED
        raw.seek(entry.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", raw.read(4))
    assert (entry.header_offset + 30 + name_length + extra_length) % 4 == 0


def test_dex_references_runtimes_and_model_names() -> None:
    dex = read_apk("demo.apk")["classes.dex"]
    assert dex.startswith(b"dex\n03")
    for text in (
        b"Lorg/tensorflow/lite/Interpreter;",
        b"Lai/onnxruntime/OrtEnvironment;",
        b"digits-s.tflite",
        b"models/digits-m.onnx",
    ):
        assert text in dex


def test_release_1_1_brings_the_gpu_delegate() -> None:
    delegate = b"Lorg/tensorflow/lite/gpu/GpuDelegate;"
    assert delegate not in read_apk("demo.apk")["classes.dex"]
    assert delegate in read_apk("demo-1.1.apk")["classes.dex"]
