"""Photos as a phone takes them, made up: seeded noise of all scales, as JPEG.

Natural images hold about the same contrast at every scale (amplitude falls with 1 / frequency:
Field, JOSA A 1987); noise of that kind compresses to about the bytes per pixel of a photo, which is
what decoding, resizing and sending depend on. Nothing is to be seen in them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.runtimes.variant import pillow

QUALITY = 85
#: Standard deviations of all scales together, and of the sensor's noise, in steps of 8 bits.
_CONTRAST, _GRAIN = 48.0, 2.0


@dataclass(frozen=True)
class Size:
    """Pixels of a photo."""

    width: int
    height: int


#: 4:3, from 1.2 to 3.1 million pixels: 0.35 to 0.9 MB.
SIZES = (Size(1280, 960), Size(1600, 1200), Size(2048, 1536))


def photo(size: Size, seed: int) -> bytes:
    """One photo as a JPEG file. The same seed gives the same pixels.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    image_module = pillow()
    rng = np.random.default_rng(seed)
    light = _scales(size, rng, image_module)
    tint = np.stack([_scales(size, rng, image_module, finest=32) for _ in range(3)], axis=-1)
    pixels = 118 + _CONTRAST * (0.9 * light[..., np.newaxis] + 0.3 * tint)
    pixels += _GRAIN * rng.standard_normal(pixels.shape, dtype=np.float32)
    file = io.BytesIO()
    image_module.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(
        file, "JPEG", quality=QUALITY
    )
    return file.getvalue()


def write_photos(folder: Path, sizes: tuple[Size, ...] = SIZES, *, seed: int = 0) -> list[Path]:
    """A photo of each size in a folder; those that are there already are kept.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, size in enumerate(sizes):
        file = folder / f"photo-{seed}-{index}-{size.width}x{size.height}.jpg"
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.write_bytes(photo(size, seed + index))
            partial.replace(file)
        files.append(file)
    return files


def _scales(
    size: Size, rng: np.random.Generator, image_module: Any, finest: int = 2
) -> NDArray[np.float32]:
    """Noise on grids from half the image down to `finest` pixels, of equal strength; deviation 1.

    Shape (height, width).
    """
    cells = []
    cell = max(size.width, size.height) // 2
    while cell >= finest:
        cells.append(cell)
        cell //= 2
    total = np.zeros((size.height, size.width), dtype=np.float32)
    for cell in cells:
        grid = (-(-size.height // cell) + 1, -(-size.width // cell) + 1)
        coarse = image_module.fromarray(rng.standard_normal(grid, dtype=np.float32))
        total += np.asarray(
            coarse.resize((size.width, size.height), image_module.Resampling.BICUBIC)
        )
    normal: NDArray[np.float32] = total / total.std()
    return normal
