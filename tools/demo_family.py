"""The variants that ship, how each is exported, and the family.toml that describes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import keras

import demo_onnx
import demo_tflite
from demo_data import CLASSES, HELD_OUT_IMAGES, Digits, Preprocess
from demo_networks import NETWORKS, Network

Export = Literal["float32", "metadata", "float16", "int8", "onnx"]

LABELS = [str(digit) for digit in range(CLASSES)]
ACCURACY_SOURCE = f"held-out 20 % of scikit-learn digits, {HELD_OUT_IMAGES} images (heldout.npz)"
DEVICE_VARIANT = "digits-s"
INT8_NOTE = (
    "# int8 in and out: the output tensor's own scale and zero point give the probabilities."
)
HEADER = """\
# Handwritten digits, from logistic regression on 3×3 pixels to a residual network on 48×48.
# Written by tools/build_demo.py; every accuracy was measured on the file it stands beside.

name = "digits"
task = "image-classification"
labels = "labels.txt"

[input]
kind = "image"
"""


@dataclass(frozen=True)
class Variant:
    """One file of the family: a trained network in one format and number type."""

    name: str
    network: Network
    export: Export

    @property
    def file(self) -> str:
        """File name beside family.toml."""
        return self.name.removesuffix("-onnx") + (".onnx" if self.export == "onnx" else ".tflite")

    @property
    def preprocess(self) -> Preprocess:
        """How this file wants its images."""
        plain = Preprocess((self.network.side, self.network.side))
        if self.export == "onnx":
            return replace(plain, layout="nchw")
        if self.export == "int8":
            # The pixel minus 128 is the quantised x / 255: scale 1/255, zero point −128.
            return replace(plain, mean=128.0, scale=1.0, dtype="int8")
        return plain


def _variants() -> tuple[Variant, ...]:
    networks = {network.name.removeprefix("digits-"): network for network in NETWORKS}
    exports: list[tuple[str, Export, str]] = [
        ("xxs", "float32", ""),
        ("xs", "float32", ""),
        ("s", "metadata", ""),
        ("s", "onnx", "-onnx"),
        ("m", "float32", ""),
        ("m", "onnx", "-onnx"),
        ("l", "metadata", ""),
        ("l", "int8", "-int8"),
        ("xl", "float32", ""),
        ("xl", "float16", "-fp16"),
        ("xl", "onnx", "-onnx"),
    ]
    return tuple(Variant(f"digits-{key}{suffix}", networks[key], export)
                 for key, export, suffix in exports)  # fmt: skip


VARIANTS = _variants()
TWINS = [(v.name.removesuffix("-onnx"), v.name) for v in VARIANTS if v.export == "onnx"]


def export(variant: Variant, model: keras.Model, digits: Digits) -> bytes:
    """Return the variant's file; int8 takes its ranges from the training images."""
    match variant.export:
        case "onnx":
            return demo_onnx.export(model)
        case "float16":
            return demo_tflite.float16_weights(model)
        case "int8":
            side = variant.network.side
            return demo_tflite.full_int8(model, Preprocess((side, side)).apply(digits.train_images))
        case "metadata":
            plain = demo_tflite.float32(model)
            description = "Classifies a handwritten digit; made for Edgewise's demo."
            return demo_tflite.with_metadata(plain, variant.name, description, LABELS)
        case "float32":
            return demo_tflite.float32(model)


def family_toml(accuracies: dict[str, float]) -> str:
    """Return the text of family.toml; `accuracies` in percent by variant name."""
    return HEADER + "".join(_table(variant, accuracies[variant.name]) for variant in VARIANTS)


def _table(variant: Variant, accuracy: float) -> str:
    how = variant.preprocess
    lines = [
        "",
        *([INT8_NOTE] if variant.export == "int8" else []),
        "[[variant]]",
        f'name = "{variant.name}"',
        f'file = "{variant.file}"',
        f"accuracy = {accuracy:.2f}",
        f'accuracy_source = "{ACCURACY_SOURCE}"',
        *(['role = "device"'] if variant.name == DEVICE_VARIANT else []),
        'output = "probabilities"',
        "[variant.preprocess]",
        f"size = [{how.size[0]}, {how.size[1]}]",
        'colour = "grey"',
        f'layout = "{how.layout}"',
        f"mean = [{how.mean}]",
        f"scale = [{how.scale}]",
        f'dtype = "{how.dtype}"',
    ]
    return "\n".join(lines) + "\n"
