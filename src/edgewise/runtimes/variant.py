"""From what a caller sends to what a model takes, and from what it gives to a class.

Images are decoded, turned upright and converted to the wanted colour, cropped and resized on 8
bits, then turned into (x − mean) / scale with the wanted layout and dtype.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, MissingExtra, RuntimeRefused
from edgewise.family import Filter, Output, Preprocess
from edgewise.records import Port

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgewise.runtimes.registry import Session

Array = NDArray[Any]
#: Largest image that is decoded: a small file may claim any size.
MAX_PIXELS = 64_000_000
_SAYS_NOTHING = Preprocess()
#: The least and the largest pixel.
_PIXELS = np.array([0.0, 255.0], dtype=np.float32)
#: Integers that tell a photo's pixels apart are so many at least.
_LEVELS = 16
#: Brands of HEIF that hold HEVC.
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_MODES = {"rgb": "RGB", "bgr": "RGB", "grey": "L"}


@dataclass(frozen=True)
class Resolved:
    """A preprocessing with nothing left open. `size` is height, width. Real values become integers
    by `quantised`, a scale and a zero point; None: they are the model's own numbers.
    """

    size: tuple[int, int]
    colour: str
    layout: str
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    dtype: np.dtype[Any]
    quantised: tuple[float, int] | None = None
    crop: float | None = None
    shorter: int | None = None
    filter: Filter = "bilinear"


def resolve(how: Preprocess, port: Port) -> Resolved:
    """Fill what the description leaves open from the model's input, and check it against that.

    An input of integers with a scale and zero point of its own (a model that was quantised whole)
    gets (x - mean) / scale quantised by them, since that is what the network was trained on. The
    integers themselves are meant by a description that names their type, or whose values the input
    cannot stand for. One that says nothing gives pixels as they are, from the type's least number
    on.

    Raises:
        RuntimeRefused: the input is no image, or the description contradicts it.
    """
    stated = port.signature or port.shape or ()
    if len(stated) != 4:
        raise RuntimeRefused(f"input {port.name!r} has {len(stated)} dimensions, an image has 4")
    layout = how.layout or ("nchw" if stated[1] in (1, 3) and stated[3] not in (1, 3) else "nhwc")
    axes = (2, 3, 1) if layout == "nchw" else (1, 2, 3)
    takes = tuple(stated[axis] for axis in axes)
    colour = how.colour or ("grey" if takes[2] == 1 else "rgb")
    height, width = how.size or takes[:2]
    if isinstance(height, str) or isinstance(width, str):
        raise RuntimeRefused(f"input {port.name!r} leaves its size open: the family must state it")
    gives = (height, width, 1 if colour == "grey" else 3)
    if any(isinstance(a, int) and a != b for a, b in zip(takes, gives, strict=True)):
        raise RuntimeRefused(
            f"input {port.name!r} takes {_words(takes)}, the preprocessing gives {_words(gives)}"
        )
    dtype = np.dtype(how.dtype or port.dtype)
    mean = np.array(how.mean, dtype=np.float32)
    scale = np.array(how.scale, dtype=np.float32)
    quantised = None
    if how.dtype is None and dtype.kind in "iu":
        says_nothing = (how.mean, how.scale) == (_SAYS_NOTHING.mean, _SAYS_NOTHING.scale)
        extremes = (_PIXELS[:, np.newaxis] - mean) / scale
        if dtype.itemsize == 1 and says_nothing:
            mean = np.array([-np.iinfo(dtype).min], dtype=np.float32)
        elif port.scale is None:
            _check_levels(port, extremes)
        elif _stands_for(port, dtype, extremes):
            quantised = port.scale, port.zero_point or 0
    return Resolved(
        size=(height, width),
        colour=colour,
        layout=layout,
        mean=mean,
        scale=scale,
        dtype=dtype,
        quantised=quantised,
        crop=how.crop,
        shorter=how.shorter,
        filter=how.filter,
    )


def _check_levels(port: Port, extremes: NDArray[np.float32]) -> None:
    """Integers without a scale of their own stand for themselves: real values from -1 to 1 would
    all be the same few.

    Raises:
        RuntimeRefused: they are that few.
    """
    if float(np.abs(extremes[1] - extremes[0]).max()) < _LEVELS:
        low, high = float(extremes.min()), float(extremes.max())
        raise RuntimeRefused(
            f"input {port.name!r} takes {port.dtype} without a scale, the preprocessing gives "
            f"values from {low:.3g} to {high:.3g}",
            hint="leave out --mean and --scale for pixels as they are, or state a dtype",
        )


def _stands_for(port: Port, dtype: np.dtype[Any], values: NDArray[np.float32]) -> bool:
    """Whether a quantised input can stand for these real values; twice its range is rounding."""
    assert port.scale is not None
    limits = np.iinfo(dtype)
    reach = port.scale * max(abs(limits.min - (port.zero_point or 0)),
                             abs(limits.max - (port.zero_point or 0)))  # fmt: skip
    return float(np.abs(values).max()) <= 2 * reach


def _words(shape: tuple[int | str, ...]) -> str:
    return " × ".join(map(str, shape))


def pillow() -> Any:
    """Pillow's module `Image`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("images", "reading images") from error
    return Image


def decode(content: bytes, name: str) -> Image:
    """An image from its encoded bytes.

    Raises:
        InputError: no image that can be decoded, or one of too many pixels.
        MissingExtra: Pillow is not installed.
    """
    import io

    image_module = pillow()
    _more_formats()
    try:
        image: Image = image_module.open(io.BytesIO(content))
        if image.width * image.height > MAX_PIXELS:
            raise InputError(f"{name}: an image of {image.width} × {image.height} pixels")
        image.load()
        image = _upright(image)
    except image_module.UnidentifiedImageError as error:  # its own words hold an address
        raise InputError(f"{name}: no image that can be decoded: {_unknown(content)}") from error
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        raise InputError(f"{name}: no image that can be decoded: {error}") from error
    return image


def _unknown(content: bytes) -> str:
    """What Pillow could not tell, and which plug-in could: phones' formats begin with a box of
    their brand (ISO 14496-12)."""
    if content[4:8] == b"ftyp":
        brand = content[8:12]
        known = pillow().registered_extensions()
        if brand in _HEIF:
            wants = ", which wants the package pillow-heif"
            return "HEIC" + (wants if ".heic" not in known else "")
        if brand in (b"avif", b"avis"):
            wants = ", which wants a newer Pillow or the package pillow-avif-plugin"
            return "AVIF" + (wants if ".avif" not in known else "")
    return "of no known format" if content else "an empty file"


@cache
def _more_formats() -> None:
    """Phones' HEIC, and AVIF, where Pillow's plug-ins for them are installed."""
    with suppress(ImportError):
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()
    with suppress(ImportError):
        import pillow_avif  # type: ignore[import-not-found,unused-ignore] # noqa: F401


def _upright(image: Image) -> Image:
    """As its maker meant it to be seen: turned as EXIF says, 16 bits as 8."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):  # Pillow cuts off what is above 255
        wide = np.asarray(turned).astype(np.float64)
        # Of 16 bits the file says so; 32 may hold either.
        most = 65535 if turned.mode != "I" or wide.max() > 255 else 255
        eight = np.clip(np.rint(wide * (255 / most)), 0, 255).astype(np.uint8)
        return pillow().fromarray(eight)  # type: ignore[no-any-return]
    if turned.mode == "P" and "transparency" in turned.info:
        return turned.convert("RGBA")
    return turned


def prepare(image: Image, how: Resolved) -> Array:
    """One image as the model's input, with a batch dimension of 1."""
    converted = _sized(image.convert(_MODES[how.colour]), how)
    pixels = np.asarray(converted, dtype=np.float32)
    pixels = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    if how.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    values = (pixels - how.mean) / how.scale
    if how.quantised is not None:
        step, zero = how.quantised
        values = values / np.float32(step) + np.float32(zero)
    if how.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(_cast(values, how.dtype)[np.newaxis])


def _sized(image: Image, how: Resolved) -> Image:
    """Cropped and resized, each at most once."""
    height, width = how.size
    method = pillow().Resampling[how.filter.upper()]
    if how.shorter is not None:
        ratio = how.shorter / min(image.size)
        image = image.resize((round(image.width * ratio), round(image.height * ratio)), method)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))
    if how.crop is not None:  # whole pixels, as TensorFlow's `central_crop` counts them
        lost_x, lost_y = (int(side * (1 - how.crop) / 2) for side in image.size)
        image = image.crop((lost_x, lost_y, image.width - lost_x, image.height - lost_y))
    return image if image.size == (width, height) else image.resize((width, height), method)


def _cast(values: NDArray[np.float32], dtype: np.dtype[Any]) -> Array:
    if dtype.kind not in "iu":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def classes(session: Session) -> int:
    """How many classes a classifier's first output has; 0 where the file leaves it open."""
    shape = session.outputs[0].shape if session.outputs else None
    return int(np.prod(shape[1:])) if shape and len(shape) > 1 else 0


def scores(session: Session) -> NDArray[np.float64]:
    """The first output of the last call, flat: one number per class."""
    port = session.outputs[0]
    return scaled(session.results()[port.name], port).reshape(-1)


def real(result: Array, port: Port) -> Array:
    """An output as callers get it: float32 where its file has a scale for its integers."""
    return result if port.scale is None else scaled(result, port).astype(np.float32)


def scaled(result: Array, port: Port | None = None) -> NDArray[np.float64]:
    """An output as real values: by the scale and zero point that its file states, where they are
    known; else 8-bit numbers as fractions, since a quantised softmax has a scale of 1/256."""
    values = result.astype(np.float64)
    if port is not None and port.scale is not None:
        return (values - (port.zero_point or 0)) * port.scale
    if result.dtype.kind in "iu" and result.dtype.itemsize == 1:
        return (values - np.iinfo(result.dtype).min) / 256
    return values


def confidence(of: NDArray[np.float64], output: Output | None) -> float:
    """The probability of the best class. Logits, or values that are no distribution, go through a
    softmax where the family does not say that they are probabilities."""
    looks_like_one = bool((of >= 0).all()) and abs(float(of.sum()) - 1) < 0.02
    if output == "probabilities" or (output is None and looks_like_one):
        return float(of.max())
    powers = np.exp(of - of.max())
    return float(1 / powers.sum())
