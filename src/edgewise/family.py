"""Families: models that are variants of one another, and how their input is prepared.

A family is one TOML file (`docs/families.md`). It is validated when it is read: an unknown key, a
missing file or a value out of its range is an error then, not at the first request.
"""

from __future__ import annotations

import math
import tomllib
from os import PathLike
from pathlib import Path
from typing import Literal

import msgspec

from edgewise.errors import InputError

Output = Literal["logits", "probabilities"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Preprocess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an image becomes a model's input. Fields that are None are taken from the model.

    The steps, in order: decode, convert the colours, crop, resize (on 8 bits), (x − mean) / scale
    per channel, layout, dtype.

    Attributes:
        size: height and width in pixels.
        mean, scale: one number, or one per channel.
        output: what the model's output is.
        crop: the fraction of each side that is kept, in the centre (0.875 in TensorFlow's
            evaluations).
        shorter: resize the shorter side to so many pixels, keeping the aspect ratio, and then cut
            `size` out of the centre.
        filter: the resampling filter.
    """

    size: tuple[int, int] | None = None
    colour: Literal["rgb", "bgr", "grey"] | None = None
    layout: Literal["nhwc", "nchw"] | None = None
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    dtype: str | None = None
    output: Output | None = None
    crop: float | None = None
    shorter: int | None = None
    filter: Filter = "bilinear"


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model of a family, given as `file` or as `endpoint`.

    Attributes:
        file: path of the model file; absolute once loaded.
        endpoint: URL of a server that runs it, such as `grpc://host:port/model`.
        accuracy: in percent, on the data set that `accuracy_source` names.
        role: where it runs; at most one variant has the role `device`.
    """

    name: str
    file: str | None = None
    endpoint: str | None = None
    accuracy: float | None = None
    accuracy_source: str | None = None
    role: Literal["server", "device"] = "server"
    output: Output | None = None
    preprocess: Preprocess = Preprocess()


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends: an encoded image, or a tensor."""

    kind: Literal["image", "tensor"] = "image"


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Models for the same task, with the same labels and the same meaning of input and output.

    `load_family` reads one.

    Attributes:
        labels: the label file, as written in the family's file.
        label_names: its lines; empty without a label file.
        path: the file that the family was read from.
    """

    name: str
    task: str | None = None
    labels: str | None = None
    input: Input = Input()
    variant: tuple[Variant, ...] = ()
    label_names: tuple[str, ...] = ()
    path: str = ""

    def fallback(self) -> Variant | None:
        """The variant with the role `device`, which the caller runs itself; None without one."""
        return next((one for one in self.variant if one.role == "device"), None)


def of_one(path: Path) -> Family:
    """A family with one variant: a model file, whose accuracy is not known.

    Raises:
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"the family {path} cannot be read: there is no such file")
    variant = Variant(name=path.stem, file=str(path.resolve()))
    return Family(name=path.stem, input=Input(kind="tensor"), variant=(variant,), path=str(path))


def load_family(path: str | PathLike[str]) -> Family:
    """Read and validate a family.

    Args:
        path: a TOML file; or a model file, which gives a family of that one variant.

    Raises:
        InputError: the file is not TOML, or has an unknown key, a missing file or a value out of
            its range.
    """
    path = Path(path)
    if path.suffix.lower() != ".toml":
        return of_one(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the family {path} cannot be read: {error}") from error
    if computed := content.keys() & {"label_names", "path"}:
        raise InputError(f"the family {path}: unknown key '{min(computed)}'")
    try:
        family = msgspec.convert(content, Family)
    except msgspec.ValidationError as error:
        raise InputError(f"the family {path}: {error}") from error
    names = _labels(path, family)
    checked = tuple(_check(path, variant) for variant in family.variant)
    _check_names(path, family)
    return msgspec.structs.replace(family, variant=checked, label_names=names, path=str(path))


def _labels(path: Path, family: Family) -> tuple[str, ...]:
    if family.labels is None:
        return ()
    try:
        return read_labels(path.parent / family.labels)
    except InputError as error:
        raise InputError(f"the family {path}: {error.message}") from error


def read_labels(file: Path) -> tuple[str, ...]:
    """The class names in a label file, one per line.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels cannot be read: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(f"{file.name} is empty")
    return names


def _check_names(path: Path, family: Family) -> None:
    names = [variant.name for variant in family.variant]
    if not names:
        raise InputError(f"the family {path} has no variant")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"the family {path} has the variant '{twice}' twice")
    if [variant.role for variant in family.variant].count("device") > 1:
        raise InputError(f"the family {path} has two variants with the role 'device'")


def _check(path: Path, variant: Variant) -> Variant:
    """The variant with its file's absolute path."""
    where = f"the family {path}, variant '{variant.name}'"
    if (variant.file is None) == (variant.endpoint is None):
        raise InputError(f"{where}: give either a file or an endpoint")
    if variant.accuracy is not None and not 0 <= variant.accuracy <= 100:
        raise InputError(f"{where}: an accuracy of {variant.accuracy} percent")
    _check_preprocess(where, variant.preprocess)
    if variant.output and variant.preprocess.output not in (None, variant.output):
        raise InputError(f"{where}: output is given twice, and differently")
    if variant.endpoint is not None:
        if "://" not in variant.endpoint:
            raise InputError(f"{where}: the endpoint '{variant.endpoint}' is no URL")
        return variant
    file = path.parent / str(variant.file)
    if not file.is_file():
        raise InputError(f"{where}: there is no file {file}")
    return msgspec.structs.replace(
        variant, file=str(file.resolve()), output=variant.output or variant.preprocess.output
    )


def _check_preprocess(where: str, how: Preprocess) -> None:
    if how.size is not None and min(how.size) < 1:
        raise InputError(f"{where}: a size of {how.size[0]} × {how.size[1]}")
    if how.crop is not None and not 0 < how.crop <= 1:
        raise InputError(f"{where}: crop is a fraction of each side, not {how.crop:g}")
    if how.shorter is not None and how.shorter < max(how.size or (1,)):
        raise InputError(f"{where}: shorter = {how.shorter} is less than the size that is cut out")
    for name, values in (("mean", how.mean), ("scale", how.scale)):
        if len(values) not in (1, 3) or not all(math.isfinite(value) for value in values):
            raise InputError(f"{where}: {name} is one number, or one per channel")
    if 0 in how.scale:
        raise InputError(f"{where}: scale is 0")
    channels = 1 if how.colour == "grey" else 3
    if how.colour is not None and {len(how.mean), len(how.scale)} - {1, channels}:
        raise InputError(f"{where}: {how.colour} has {channels} channels")
    if how.dtype is not None and how.dtype not in _DTYPES:
        raise InputError(f"{where}: dtype '{how.dtype}'", hint=", ".join(_DTYPES))


_DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int16", "int32", "int64")
