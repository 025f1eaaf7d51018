"""What a caller hands in, as the service and as the device take it.

- bytes and file paths are encoded images; they are sent as they are.
- a PIL image, or an array of unsigned bytes of shape (H, W) or (H, W, 1 to 4), is an image. It is
  encoded without loss (PNG) up to 256 × 256 pixels and wherever it has transparency or 16 bits,
  else as JPEG of quality 95 without chroma subsampling: of a photo a third of the bytes, and the
  upload is what a deadline is mostly spent on. `encoding` makes it always the one or the other.
- any other array is a tensor, and so is every array for a family whose input is a tensor.
- a dict of arrays are tensors by name.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, MissingExtra, UsageError
from edgewise.protocol.messages import DATATYPES, Tensor
from edgewise.runtimes.variant import decode, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[Any]
Encoding = Literal["auto", "png", "jpeg"]
Kind = Literal["image", "tensor"]
#: Above, an image is a photo rather than an icon.
LOSSLESS_PIXELS = 256 * 256
#: Encoding more than this takes long enough to be done in another thread.
_QUICK_PIXELS = 64 * 64
_QUICK_BYTES = 1 << 20
#: A larger file is no image that a service would take.
_MOST_FILE_BYTES = 256 << 20
_JPEG_QUALITY = 95
_PNG_MODES = {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"}
_DATATYPES = {np.dtype(name): datatype for datatype, name in DATATYPES.items()}


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, not yet encoded. Exactly one of the fields is given."""

    content: bytes | None = None
    path: Path | None = None
    picture: Image | None = None
    arrays: Mapping[str, Array] | None = None

    @property
    def is_quick(self) -> bool:
        """Whether `tensors` takes well under a millisecond."""
        if self.picture is not None:
            return self.picture.width * self.picture.height <= _QUICK_PIXELS
        if self.arrays is not None:
            return sum(each.nbytes for each in self.arrays.values()) <= _QUICK_BYTES
        return self.path is None

    def tensors(self, encoding: Encoding) -> tuple[Tensor, ...]:
        """As they are sent.

        Raises:
            InputError: the file cannot be read, or an image cannot be encoded.
        """
        if self.arrays is not None:
            return tuple(_tensor(name, values) for name, values in self.arrays.items())
        if self.picture is not None:
            content = encode(self.picture, encoding)
        else:
            content = self.content if self.content is not None else _read(self.path)
        return (Tensor("image", "BYTES", (1,), (content,)),)

    def image(self) -> Image:
        """The image, for the model on the device.

        Raises:
            InputError: it cannot be read or decoded; or the question is a tensor.
        """
        if self.picture is not None:
            return self.picture
        if self.arrays is not None:
            raise InputError("the variant on the device takes an image, this is a tensor")
        content = self.content if self.content is not None else _read(self.path)
        return decode(content, str(self.path or "the image"))


def question(given: Any, kind: Kind | None) -> Question:
    """What a caller handed in; `kind` is what the family takes, None where no family is known.

    Raises:
        UsageError: nothing that can be asked.
        MissingExtra: an array is an image, and Pillow is not installed.
    """
    if isinstance(given, Mapping):
        return Question(arrays={str(name): _array(each) for name, each in given.items()})
    if isinstance(given, np.ndarray):
        if kind != "tensor" and _looks_like_image(given):
            return Question(picture=_picture(given))
        return Question(arrays={"input": _array(given)})
    if kind == "tensor":
        raise UsageError(f"the family takes a tensor, this is {type(given).__name__}",
                         hint="give an array, or a dict of arrays by name")  # fmt: skip
    if isinstance(given, (bytes, bytearray, memoryview)):
        return Question(content=bytes(given))
    if isinstance(given, (str, PathLike)):
        return Question(path=Path(given))
    if hasattr(given, "convert") and hasattr(given, "save"):  # PIL's, without importing it
        return Question(picture=given)
    raise UsageError(
        f"cannot ask about {type(given).__name__}",
        hint="give an array, a file's path, encoded bytes, a PIL image, or a dict of arrays",
    )


def warm_pillow() -> None:
    """Load the usual formats, some 15 ms; without Pillow, only encoded images can be asked."""
    with suppress(MissingExtra):
        pillow().preinit()


def encode(image: Image, encoding: Encoding = "auto") -> bytes:
    """An image as PNG or JPEG.

    Raises:
        InputError: it cannot be encoded.
    """
    opaque = image.mode in ("1", "L", "RGB", "CMYK", "YCbCr", "LAB", "HSV")
    small = image.width * image.height <= LOSSLESS_PIXELS
    lossless = encoding == "png" or (encoding == "auto" and (small or not opaque))
    buffer = io.BytesIO()
    try:
        if lossless:
            picture = image if image.mode in _PNG_MODES else image.convert("RGB")
            picture.save(buffer, "PNG", compress_level=1)
        else:
            grey = image.mode in ("1", "L", "LA", "I;16")
            picture = image.convert("L" if grey else "RGB")
            picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    except (OSError, ValueError) as error:
        raise InputError(f"an image of mode {image.mode} cannot be encoded: {error}") from error
    return buffer.getvalue()


def _read(path: Path | None) -> bytes:
    assert path is not None
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _MOST_FILE_BYTES:
        raise InputError(f"{path} is larger than {_MOST_FILE_BYTES >> 20} MB")
    return content


def _looks_like_image(array: Array) -> bool:
    if array.dtype != np.uint8 or array.size == 0:
        return False
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 2, 3, 4))


def _picture(array: Array) -> Image:
    flat = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    image: Image = pillow().fromarray(np.ascontiguousarray(flat))
    return image


def _array(values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind in "SUO":
        if all(isinstance(each, (bytes, str)) for each in array.ravel().tolist()):
            return array
        raise UsageError(f"an array of {array.dtype} is no tensor")
    if array.dtype.newbyteorder("=") not in _DATATYPES:
        raise UsageError(f"an array of {array.dtype} is no tensor",
                         hint=f"there are: {', '.join(map(str, _DATATYPES))}")  # fmt: skip
    return array


def _tensor(name: str, values: Array) -> Tensor:
    if values.dtype.kind in "SUO":
        elements = (each.encode() if isinstance(each, str) else bytes(each)
                    for each in values.ravel().tolist())  # fmt: skip
        return Tensor(name, "BYTES", values.shape, tuple(elements))
    datatype = _DATATYPES[values.dtype.newbyteorder("=")]
    return Tensor(name, datatype, values.shape, np.ascontiguousarray(values))
