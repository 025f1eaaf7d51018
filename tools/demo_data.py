"""The demo's images, their split, and the preparation that every variant shares with a server.

The base images are scikit-learn's digits (1797 grey images of 8×8 pixels, values 0..16), scaled
to 0..255 and kept as uint8, because that is what a caller can send as a PNG.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20
CLASSES = 10
HELD_OUT_IMAGES = 360  # 20 % of 1797, rounded up


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a model's input; the keys of family.toml's `preprocess` table."""

    size: tuple[int, int]  # height, width in pixels
    layout: str = "nhwc"
    mean: float = 0.0
    scale: float = 255.0
    dtype: str = "float32"

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Prepare grey images (n, h, w) of any size: (n, H, W, 1), or (n, 1, H, W) for nchw.

        The resize works on the 8-bit image, so its result is rounded to 8 bits; a server that
        repeats these steps in this order gets the same numbers to the last bit.
        """
        height, width = self.size
        resized = [
            np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            for image in images
        ]
        scaled = (np.stack(resized).astype(np.float32) - self.mean) / self.scale
        channel_axis = 1 if self.layout == "nchw" else -1
        return np.expand_dims(scaled.astype(self.dtype), channel_axis)


@dataclass(frozen=True)
class Digits:
    """Images uint8 (n, 8, 8) and labels int64 (n,), apart by use.

    Early stopping looks at `validation`, which is taken from the training part; `held_out`
    is looked at once, for the accuracy that goes into family.toml.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[np.int64]
    held_out_images: NDArray[np.uint8]
    held_out_labels: NDArray[np.int64]


def load() -> Digits:
    """Load the digits and split them, stratified and seeded: 1221 + 216 + 360 images."""
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    training, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT_IMAGES, stratify=labels, random_state=SEED
    )
    train, validation = train_test_split(
        training, test_size=0.15, stratify=labels[training], random_state=SEED
    )
    return Digits(
        images[train], labels[train],
        images[validation], labels[validation],
        images[held_out], labels[held_out],
    )  # fmt: skip
