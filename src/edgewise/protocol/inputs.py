"""What requests carry: images from files or folders, images or tensors from an npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, UsageError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff"}
_LABELS = ("labels", "y")
_ONLY = ("images", "x", "inputs")


@dataclass(frozen=True, eq=False)
class Inputs:
    """n inputs: either the bytes of image files, or arrays by name, each with n rows.

    `labels` are indices of classes, shape (n,), None where nobody knows the right answers.
    """

    name: str
    files: tuple[bytes, ...] = ()
    arrays: dict[str, NDArray[Any]] | None = None
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        if self.arrays is None:
            return len(self.files)
        return len(next(iter(self.arrays.values())))


def read(paths: Sequence[Path], label_file: Path | None = None) -> Inputs:
    """Inputs from image files and folders, or from one npz file.

    Images in folders of a folder are labelled by them: their names are lines of `label_file`, or
    in order 0, 1, … without one. In an npz file, `labels` or `y` are indices, or names.

    Raises:
        UsageError: no path, or an npz file beside others.
        InputError: nothing there, or a label that is unknown: which.
    """
    names = _label_names(label_file)
    if not paths:
        raise UsageError("no inputs to send", hint="--input FOLDER, FILE.npz or images")
    archives = [path for path in paths if path.suffix.lower() == ".npz"]
    if archives and len(paths) > 1:
        raise UsageError(f"{archives[0]} with other inputs", hint="give one npz file, or images")
    if archives:
        return _from_npz(archives[0], names)
    return _from_files(paths, names)


def _label_names(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels {file} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _from_files(paths: Sequence[Path], names: list[str]) -> Inputs:
    found: list[tuple[Path, str | None]] = []
    for path in paths:
        if path.is_dir():
            found += [(file, None) for file in _images(path)]
            folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
            found += [(file, folder.name) for folder in folders for file in _images(folder)]
        elif path.is_file():
            found.append((path, None))
        else:
            raise InputError(f"no input at {path}")
    if not found:
        raise InputError(
            f"{', '.join(map(str, paths))} holds no images", hint=", ".join(sorted(_SUFFIXES))
        )
    try:
        contents = tuple(file.read_bytes() for file, _ in found)
    except OSError as error:
        raise InputError(f"an input cannot be read: {error}") from error
    name = str(paths[0]) if len(paths) == 1 else f"{len(found)} images"
    return Inputs(name, files=contents, labels=_by_folder(found, names))


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def _by_folder(found: list[tuple[Path, str | None]], names: list[str]) -> NDArray[np.int64] | None:
    """Labels where every image lies in a folder of its class."""
    classes = [name for _, name in found]
    if None in classes:
        return None
    known = names or sorted({str(name) for name in classes})
    if unknown := sorted({str(name) for name in classes} - set(known)):
        raise InputError(f"the folder '{unknown[0]}' is no label", hint=", ".join(known[:10]))
    return np.array([known.index(str(name)) for name in classes], dtype=np.int64)


def _from_npz(path: Path, names: list[str]) -> Inputs:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {key: content[key] for key in content.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as npz: {error}") from error
    labels = next((arrays.pop(key) for key in _LABELS if key in arrays), None)
    lengths = {len(values) if values.ndim else 0 for values in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"{path}: its arrays have no common number of rows")
    if labels is None:
        return Inputs(str(path), arrays=arrays)
    if labels.shape != (min(lengths),):
        raise InputError(f"{path} has {min(lengths)} inputs and labels of {labels.shape}")
    return Inputs(str(path), arrays=arrays, labels=_indices(path, labels, names))


def _indices(path: Path, labels: NDArray[Any], names: list[str]) -> NDArray[np.int64]:
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    known = names or sorted(set(labels.tolist()))
    if unknown := set(labels.tolist()) - set(known):
        raise InputError(f"{path} has the label '{min(unknown)}', which is unknown")
    return np.array([known.index(label) for label in labels.tolist()], dtype=np.int64)


def only_array(inputs: Inputs) -> NDArray[Any]:
    """The array of an npz file that stands for a model's only input.

    Raises:
        InputError: it has several, none of a usual name.
    """
    arrays = inputs.arrays or {}
    for name in _ONLY:
        if name in arrays:
            return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise InputError(
        f"{inputs.name} has the arrays {', '.join(arrays)}", hint=f"name one '{_ONLY[0]}'"
    )
