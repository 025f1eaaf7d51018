"""What making a model's input of a photo takes on one core here: the fits of placement/preprocess.

    python benchmarks/bench_preprocess.py [FOLDER_OF_PHOTOS]

Every photo is brought to several sizes and qualities, decoded, resized, turned into numbers and
encoded: the least of some tries each. Prints the coefficients in the layout of
`placement/data/preprocess.toml`, how far single times are from the fitted lines, and where resizing
on a phone starts to pay. Without a folder the pictures are 1/f noise, which compresses about as
photos do.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from PIL import Image

from edgewise.network.catalogue import links
from edgewise.placement.preprocess import Costs, costs, exchanges, photo
from edgewise.placement.wire import Usage, wire
from smoke import SMOKE, fewer

WIDTHS = fewer((640, 1600, 2560, 4032), (640, 1600))
QUALITIES = fewer((75, 92), (75,))
INPUTS = (128, 224, 299, 331)
TRIES = fewer(4, 1)
BILINEAR = Image.Resampling.BILINEAR
MANY = fewer(20, 2)


class Large(NamedTuple):
    """One photo as a file: millions of pixels and bytes, and ms."""

    mpx: float
    mb: float
    decode_ms: float
    resize_ms: float


class Small(NamedTuple):
    """One model's input."""

    mpx: float
    size_bytes: float
    encode_ms: float
    tensor_ms: float


def least_ms(call: Callable[[], object]) -> float:
    """The least of some tries."""
    times = []
    for _ in range(TRIES):
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return 1000 * min(times)


def pictures(folder: Path | None) -> list[Image.Image]:
    """Photos of a folder, or noise whose spectrum falls as that of photos does."""
    if folder is not None:
        known = (".jpg", ".jpeg", ".png")
        files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in known]
        return [Image.open(file).convert("RGB") for file in files[:MANY]]
    rng = np.random.default_rng(0)
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(960), np.fft.fftfreq(1280), indexing="ij"))
    shape = (960, 1280, 3)
    waves = np.fft.fft2(rng.normal(size=shape), axes=(0, 1)) / np.maximum(distance, 1e-3)[..., None]
    values = np.fft.ifft2(waves, axes=(0, 1)).real
    values = 128 + 50 * (values - values.mean()) / values.std()
    return [Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))]


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def large(image: Image.Image) -> list[Large]:
    """At all sizes and qualities."""
    rows = []
    for width in WIDTHS:
        scaled = image.resize((width, round(width * image.height / image.width)))
        for quality in QUALITIES:
            content = jpeg(scaled, quality)
            decoded = Image.open(io.BytesIO(content))
            decoded.load()
            rows.append(
                Large(
                    scaled.width * scaled.height / 1e6,
                    len(content) / 1e6,
                    least_ms(lambda content=content: Image.open(io.BytesIO(content)).load()),
                    least_ms(lambda it=decoded: it.convert("RGB").resize((224, 224), BILINEAR)),
                )
            )
    return rows


def small(image: Image.Image) -> list[Small]:
    """As inputs of models."""
    rows = []
    for side in INPUTS:
        scaled = image.resize((side, side), BILINEAR)
        rows.append(
            Small(
                side * side / 1e6,
                len(jpeg(scaled, 90)),
                least_ms(lambda it=scaled: jpeg(it, 90)),
                least_ms(lambda it=scaled: (np.asarray(it, dtype=np.float32) - 127.0) / 128.0),
            )
        )
    return rows


def fit(columns: list[list[float]], times: list[float]) -> tuple[list[float], float]:
    """Slopes of non-negative least squares of the relative errors, and their mean size."""
    design, seen = np.array(columns).T, np.array(times)
    left = list(range(design.shape[1]))
    while True:
        slopes = np.zeros(design.shape[1])
        slopes[left] = np.linalg.lstsq(design[:, left] / seen[:, None], np.ones(len(seen)))[0]
        if (slopes >= 0).all():
            return slopes.tolist(), float(np.mean(np.abs(design @ slopes / seen - 1)))
        left.remove(int(np.argmin(slopes)))


def report_fits(big: list[Large], little: list[Small]) -> None:
    (by_pixel, by_byte), error = fit(
        [[row.mpx for row in big], [row.mb for row in big]], [row.decode_ms for row in big]
    )
    print(f"decode_ms_per_mpx = {by_pixel:.2f}, decode_ms_per_mb = {by_byte:.2f} (± {error:.0%})")
    for name, rows, times in (
        ("resize", big, [row.resize_ms for row in big]),
        ("encode", little, [row.encode_ms for row in little]),
        ("tensor", little, [row.tensor_ms for row in little]),
    ):
        (slope,), error = fit([[row.mpx for row in rows]], times)
        print(f"{name}_ms_per_mpx = {slope:.2f} (± {error:.0%})")
    at_224 = [row.size_bytes / (224 * 224) for row in little if row.mpx == 224 * 224 / 1e6]
    print(f"resized_bytes_per_pixel = {np.mean(at_224):.2f} (quality 90, 224 × 224)")
    known = costs()
    seen = [row.decode_ms + row.resize_ms for row in big]
    told = [_told_ms(known, row) for row in big]
    print(f"the package's coefficients are off by {np.median(np.divide(told, seen)) - 1:+.0%} here")


def _told_ms(known: Costs, row: Large) -> float:
    of = photo(1000, max(round(row.mpx * 1000), 1), row.mb * 1e6)
    return known.decode_ms(of) + known.resize_ms(of)


def report_choice() -> None:
    """By how much resizing on the device is sooner (negative: sending the original is), in ms."""
    sizes = ((640, 480), (1600, 1200), (2592, 1944), (4032, 3024))
    print("\nresizing on the device is sooner by, in ms (a photo's bytes: 0.25 a pixel)")
    print(f"{'core':10}{'photo':>12}{'size':>9}" + "".join(f"{name:>10}" for name in links()))
    for core in ("pixel-3", "nexus-5"):
        for size in sizes:
            of = photo(*size)
            resized, original = exchanges(of, (224, 224), costs(core), costs())
            gains = []
            for link in links().values():
                total = []
                for way in (resized, original):
                    over = wire(link, way.payload_bytes, way.reply_bytes, Usage())
                    own = way.device_preprocess_ms + way.encode_ms + way.server_preprocess_ms
                    total.append(own + over.upload_ms + over.download_ms)
                gains.append(total[1] - total[0])
            label = f"{size[0]}×{size[1]}"
            print(f"{core:10}{label:>12}{of.size_bytes / 1e6:>6.2f} MB"
                  + "".join(f"{gain:>10.0f}" for gain in gains))  # fmt: skip


def main() -> None:
    images = pictures(Path(sys.argv[1]) if len(sys.argv) > 1 and not SMOKE else None)
    report_fits(
        [row for it in images for row in large(it)], [r for it in images for r in small(it)]
    )
    report_choice()


if __name__ == "__main__":
    main()
