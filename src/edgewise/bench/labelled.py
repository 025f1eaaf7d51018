"""Labelled data: a folder per class, or an npz file with images (or tensors) and labels."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError
from edgewise.runtimes.variant import decode, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff"}
_IMAGE_KEYS, _LABEL_KEYS = ("images", "x", "inputs"), ("labels", "y")


@dataclass(frozen=True, eq=False)
class Labelled:
    """n images with the index of the class of each. `image(i)` decodes one when it is needed."""

    name: str
    labels: NDArray[np.int64]
    image: Callable[[int], Image]

    def __len__(self) -> int:
        return len(self.labels)


def load_labelled(path: Path, label_names: Sequence[str]) -> Labelled:
    """Read labelled data. Without label names, folders in the order of their names are 0, 1, ….

    Raises:
        InputError: there are none, or a label is not among the names: which.
    """
    if path.is_dir():
        return _from_folders(path, label_names)
    if path.suffix.lower() == ".npz":
        return _from_npz(path, label_names)
    raise InputError(f"no labelled data at {path}", hint="a folder per class, or an npz file")


def _from_folders(path: Path, label_names: Sequence[str]) -> Labelled:
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    names = list(label_names) or [folder.name for folder in folders]
    files: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        found = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
        if found and folder.name not in names:
            raise InputError(f"{path}: the folder '{folder.name}' is no label of the family")
        files += found
        labels += [names.index(folder.name)] * len(found) if found else []
    if not files:
        raise InputError(f"{path} holds no images", hint="one folder per class, images inside")
    return Labelled(
        str(path),
        np.array(labels, dtype=np.int64),
        lambda index: decode(files[index].read_bytes(), str(files[index])),
    )


def _from_npz(path: Path, label_names: Sequence[str]) -> Labelled:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images = _one_of(path, arrays, _IMAGE_KEYS)
            labels = _one_of(path, arrays, _LABEL_KEYS)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as npz: {error}") from error
    if len(images) != len(labels) or labels.ndim != 1 or len(labels) == 0:
        raise InputError(f"{path} has {len(images)} images and {len(labels)} labels")
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise InputError(f"{path}: images are of shape {images.shape}, {images.dtype}, not uint8")
    return Labelled(str(path), _indices(path, labels, label_names), _opener(images))


def _one_of(path: Path, arrays: Any, keys: Sequence[str]) -> NDArray[Any]:
    for key in keys:
        if key in arrays:
            found: NDArray[Any] = arrays[key]
            return found
    raise InputError(f"{path} has no array '{keys[0]}'")


def _indices(path: Path, labels: NDArray[Any], label_names: Sequence[str]) -> NDArray[np.int64]:
    if labels.dtype.kind in "iu":
        indices = labels.astype(np.int64)
        if indices.min() < 0 or (label_names and indices.max() >= len(label_names)):
            raise InputError(f"{path} has labels outside 0 … {len(label_names) - 1}")
        return indices
    names = list(label_names) or sorted(set(labels.tolist()))
    if unknown := set(labels.tolist()) - set(names):
        raise InputError(f"{path} has the label '{min(unknown)}', which the family has not")
    return np.array([names.index(label) for label in labels.tolist()], dtype=np.int64)


def _opener(images: NDArray[np.uint8]) -> Callable[[int], Image]:
    squeezed = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
    return lambda index: pillow().fromarray(squeezed[index])
