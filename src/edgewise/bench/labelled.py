"""Labelled data: a folder per class, a list of files (`listed`), or an npz file with images and
labels."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgewise.bench import listed
from edgewise.bench.naming import Classes
from edgewise.errors import InputError
from edgewise.runtimes.variant import decode, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".pgm", ".ppm", ".tif",
    ".tiff", ".heic", ".heif", ".avif", ".jp2", ".tga",
}  # fmt: skip
FORMS = "a folder per class, a CSV of files and labels, or an npz file"
_IMAGE_KEYS, _LABEL_KEYS = ("images", "x", "inputs"), ("labels", "y")


@dataclass(frozen=True, eq=False)
class Labelled:
    """n images with the index of the class of each. `image(i)` decodes one when it is needed.

    `ordered` is the number of classes where their indices are the places of their names in order,
    for want of better: only with all classes of a model can that be right. 0: indices are known.
    `notes` say what of the data was left out.
    """

    name: str
    labels: NDArray[np.int64]
    image: Callable[[int], Image]
    ordered: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def load_labelled(path: Path, label_names: Sequence[str]) -> Labelled:
    """Read labelled data. Without label names, a class called by a whole number is that one, and
    otherwise classes in the order of their names are 0, 1, ….

    Raises:
        InputError: there are none, or a label is not among the names: which.
    """
    if path.is_dir():
        return _from_folders(path, label_names)
    if path.suffix.lower() == ".npz":
        return _from_npz(path, label_names)
    if path.is_file() and path.suffix.lower() in listed.SUFFIXES:
        return _from_list(path, label_names)
    raise InputError(f"no labelled data at {path}", hint=FORMS)


def class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes in the order of their indices, where the data has them all as names: of
    folders that are called by words. Numbers are the indices themselves, and name nothing."""
    if not path.is_dir():
        return ()
    folders = [entry.name for entry in sorted(path.iterdir()) if entry.is_dir()]
    names = [name for name in folders if not name.startswith((".", "__")) and _images(path / name)]
    return () if all(name.isdecimal() for name in names) else tuple(names)


def _from_folders(path: Path, label_names: Sequence[str]) -> Labelled:
    """Classes are the folders with images in them, at any depth; hidden ones are no class, such as
    those that notebooks and file managers leave behind."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    seen = [folder for folder in folders if not folder.name.startswith((".", "__"))]
    images = {folder.name: found for folder in seen if (found := _images(folder))}
    if not images:
        raise InputError(f"{path} holds no images", hint="one folder per class, images inside")
    index, ordered = _index_of(path, list(images), label_names)
    files = [file for found in images.values() for file in found]
    labels = [index[name] for name, found in images.items() for _ in found]
    loose = sum(file.suffix.lower() in _SUFFIXES for file in path.iterdir() if file.is_file())
    return Labelled(
        str(path),
        np.array(labels, dtype=np.int64),
        lambda index: _decoded(files[index]),
        ordered,
        (f"{loose} images beside the folders have no class",) if loose else (),
    )


def _from_list(path: Path, label_names: Sequence[str]) -> Labelled:
    pairs = listed.listed(path)
    index, ordered = _index_of(path, list(dict.fromkeys(word for _, word in pairs)), label_names)
    files = [file for file, _ in pairs]
    return Labelled(
        str(path),
        np.array([index[word] for _, word in pairs], dtype=np.int64),
        lambda index: _decoded(files[index]),
        ordered,
    )


def _images(folder: Path) -> list[Path]:
    inside = (file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    return sorted(
        file
        for file in inside
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _decoded(file: Path) -> Image:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error
    return decode(content, str(file))


def _index_of(
    path: Path, found: Sequence[str], label_names: Sequence[str]
) -> tuple[dict[str, int], int]:
    """The index of each class by its name, and how many were only put in order.

    Raises:
        InputError: one is not among the label names.
    """
    if label_names:
        classes = Classes(label_names)
        index = {name: place for name in found if (place := classes.find(name)) is not None}
        if unknown := next((name for name in found if name not in index), None):
            raise InputError(
                f"{path}: the label '{unknown}' is no label of the model",
                hint=f"it has {', '.join(label_names[:5])} …",
            )
        return index, 0
    if all(name.isdecimal() for name in found):
        return {name: int(name) for name in found}, 0
    return {name: index for index, name in enumerate(sorted(found))}, len(found)


def _from_npz(path: Path, label_names: Sequence[str]) -> Labelled:
    if path.is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no npz file", hint="numpy.savez writes one")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images = _one_of(path, arrays, _IMAGE_KEYS)
            labels = _one_of(path, arrays, _LABEL_KEYS)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as npz: {error}") from error
    if len(images) != len(labels) or labels.ndim != 1 or len(labels) == 0:
        raise InputError(f"{path} has {len(images)} images and {len(labels)} labels")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise InputError(f"{path}: images are of shape {images.shape}, {images.dtype}, not uint8")
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4):
        raise InputError(f"{path}: images have {images.shape[3]} channels, not 1, 3 or 4")
    indices, ordered = _indices(path, labels, label_names)
    return Labelled(str(path), indices, _opener(images), ordered)


def _one_of(path: Path, arrays: Any, keys: Sequence[str]) -> NDArray[Any]:
    for key in keys:
        if key in arrays:
            found: NDArray[Any] = arrays[key]
            return found
    raise InputError(f"{path} has no array '{keys[0]}'")


def _indices(
    path: Path, labels: NDArray[Any], label_names: Sequence[str]
) -> tuple[NDArray[np.int64], int]:
    """Indices of labels, and how many classes were only put in order."""
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iub":
        indices = labels.astype(np.int64)
        if indices.min() < 0:
            raise InputError(f"{path} has negative labels")
        if label_names and indices.max() >= len(label_names):
            raise InputError(f"{path} has labels outside 0 … {len(label_names) - 1}")
        return indices, 0
    if labels.dtype.kind != "U":
        raise InputError(f"{path}: labels are {labels.dtype}, neither whole numbers nor names")
    words = labels.tolist()
    index, ordered = _index_of(path, sorted(set(words)), label_names)
    return np.array([index[word] for word in words], dtype=np.int64), ordered


def _opener(images: NDArray[np.uint8]) -> Callable[[int], Image]:
    squeezed = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
    return lambda index: pillow().fromarray(squeezed[index])
