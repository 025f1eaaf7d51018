"""Photos as people have them become what the network was trained on."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edgewise.errors import InputError, RuntimeRefused
from edgewise.family import Preprocess
from edgewise.records import Port
from edgewise.runtimes.variant import decode, prepare, resolve, scaled

pillow = pytest.importorskip("PIL.Image")

PORT = Port(name="x", shape=(1, 4, 4, 3), dtype="float32")


def encoded(image: object, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)  # type: ignore[attr-defined]
    return sink.getvalue()


PLAIN = Preprocess()


def pixels(content: bytes, how: Preprocess = PLAIN, port: Port = PORT) -> np.ndarray:  # type: ignore[type-arg]
    return prepare(decode(content, "photo"), resolve(how, port))[0]


def left_white() -> np.ndarray:  # type: ignore[type-arg]
    values = np.zeros((8, 8, 3), dtype=np.uint8)
    values[:, :4] = 255
    return values


def test_a_photo_is_turned_as_its_camera_says() -> None:
    image = pillow.fromarray(left_white())
    exif = pillow.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: the left side is on top
    turned = pixels(encoded(image, "JPEG", quality=100, exif=exif))
    assert turned[0].min() > 200 and turned[-1].max() < 50


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    wide = np.linspace(0, 65535, 16, dtype=np.uint16).reshape(4, 4)
    port = Port(name="x", shape=(1, 4, 4, 1), dtype="float32")
    found = pixels(encoded(pillow.fromarray(wide)), port=port)
    assert found[..., 0] == pytest.approx(wide / 257, abs=1)


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "LA", "1", "L"])
def test_any_mode_is_an_image(mode: str) -> None:
    image = pillow.fromarray(left_white()).convert(mode)
    found = pixels(encoded(image, "TIFF"))
    assert found.shape == (4, 4, 3) and found[:, 0].min() > 200 and found[:, -1].max() < 50


def test_of_a_moving_picture_the_first_counts() -> None:
    frames = [pillow.fromarray(np.full((4, 4, 3), level, np.uint8)) for level in (200, 0)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(content).min() > 190


def test_an_image_cut_short_is_one_bad_file() -> None:
    content = encoded(pillow.fromarray(left_white()), "JPEG")
    with pytest.raises(InputError, match="no image that can be decoded"):
        decode(content[: len(content) // 2], "photo")


def test_the_centre_is_cropped() -> None:
    values = np.zeros((16, 16, 3), dtype=np.uint8)
    values[4:12, 4:12] = 255
    content = encoded(pillow.fromarray(values))
    assert pixels(content, Preprocess(crop=0.5)).min() == 255
    assert pixels(content).min() < 50
    wide = np.zeros((8, 32, 3), dtype=np.uint8)
    wide[:, 12:20] = 255
    cut = pixels(encoded(pillow.fromarray(wide)), Preprocess(shorter=4, filter="nearest"))
    assert cut.min() == 255, "the shorter side is 4, of 16 columns the middle 4 are kept"


def test_pixels_are_resampled_as_asked() -> None:
    values = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    content = encoded(pillow.fromarray(values))
    found = [pixels(content, Preprocess(filter=name)) for name in ("bilinear", "nearest", "box")]
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


INT8 = Port(name="x", shape=(1, 4, 4, 3), dtype="int8", scale=1 / 255, zero_point=-128)


@pytest.mark.parametrize(
    "how",
    [
        Preprocess(),
        Preprocess(scale=(255.0,)),
        Preprocess(mean=(128.0,)),
        Preprocess(mean=(128.0,), dtype="int8"),
    ],
)
def test_a_quantised_input_gets_the_files_own_integers(how: Preprocess) -> None:
    """Whether a description speaks of real values or of the integers themselves."""
    content = encoded(pillow.fromarray(left_white()[:4, 2:6]))
    found = pixels(content, how, INT8)
    assert found.dtype == np.int8 and set(np.unique(found)) == {-128, 127}


def test_real_values_are_quantised_by_scale_and_zero_point() -> None:
    port = Port(name="x", shape=(1, 4, 4, 3), dtype="uint8", scale=1 / 64, zero_point=128)
    content = encoded(pillow.fromarray(np.full((4, 4, 3), 255, np.uint8)))
    found = pixels(content, Preprocess(mean=(127.5,), scale=(127.5,)), port)
    assert (found == 192).all(), "1 / (1/64) + 128"


def test_outputs_are_read_by_their_own_scale() -> None:
    port = Port(name="y", shape=(1, 2), dtype="int8", scale=0.5, zero_point=10)
    assert scaled(np.array([[12, 8]], np.int8), port).tolist() == [[1.0, -1.0]]


def test_integers_without_a_scale_are_pixels_as_they_are() -> None:
    content = encoded(pillow.fromarray(left_white()[:4, 2:6]))
    for dtype, low, high in (("int8", -128, 127), ("uint8", 0, 255), ("int32", 0, 255)):
        port = Port(name="x", shape=(1, 4, 4, 3), dtype=dtype)
        assert set(np.unique(pixels(content, Preprocess(), port))) == {low, high}
        with pytest.raises(RuntimeRefused, match=r"without a scale, .* values from -1 to 1"):
            pixels(content, Preprocess(mean=(127.5,), scale=(127.5,)), port)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC, which wants the package pillow-heif"),
        (b"\0\0\0\x18ftypqt  " + bytes(40), "of no known format"),
        (b"", "an empty file"),
        (b"hello", "of no known format"),
    ],
)
def test_what_is_no_image_says_why(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode(content, "photo")
