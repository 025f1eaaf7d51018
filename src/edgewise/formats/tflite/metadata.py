"""What a TFLite file says about itself: who made it, from what, and the labels that came along.

Two flatbuffers may be stored among the model's metadata: the converter's (`conversion_metadata.fbs`
of TensorFlow) and the author's (`metadata_schema.fbs` of the TFLite Support library), whose
associated files are a zip archive behind the model. None of it decides what the model is: a part
that is broken is noted and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from edgewise.archive import Archive, Budget, File, Limits, Source
from edgewise.errors import InputError, LimitExceeded, RejectedModel
from edgewise.formats.flatbuffer import Flatbuffer, Table, Tables

#: Bounds on what is read: work on a flatbuffer, bytes of a short text, and files of labels.
_BUDGET = 200_000
_SHORT_TEXT = 256
_ARCHIVE_LIMITS = Limits(entries=1000, entry_bytes=4 << 20)

_AUTHORED, _CONVERSION = "TFLITE_METADATA", "CONVERSION_METADATA"
_SOURCES = {
    1: "saved model", 2: "Keras", 3: "concrete functions", 4: "GraphDef", 5: "session",
    6: "JAX", 7: "PyTorch",
}  # fmt: skip
_CONVERTERS = {"MLIR Converted.": "TensorFlow Lite converter", "TOCO Converted.": "TOCO"}
_CONTENTS = {1: "feature", 2: "image", 3: "bounding box", 4: "audio"}
_LABEL_FILES = (2, 3)  # labels of an axis, labels of values


class _AuthoredSlot:
    """Slots of `ModelMetadata`; the same place in the tables below is another field."""

    NAME, DESCRIPTION, VERSION, SUBGRAPHS, AUTHOR, LICENSE = range(6)


class _SubgraphSlot:
    """Slots of `SubGraphMetadata`."""

    INPUTS, OUTPUTS = 2, 3


class _TensorSlot:
    """Slots of `TensorMetadata`."""

    NAME, DESCRIPTION, DIMENSIONS, CONTENT, PROCESS, STATS, FILES = range(7)


class _FileSlot:
    """Slots of `AssociatedFile`."""

    NAME, DESCRIPTION, TYPE, LOCALE = range(4)


@dataclass(slots=True)
class About:
    """What the file says about itself."""

    texts: dict[str, str] = field(default_factory=dict)
    producer: str | None = None
    labels: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def read_about(description: str | None, stored: Mapping[str, memoryview], file: File) -> About:
    """Read the metadata of a model.

    Args:
        description: the model's description.
        stored: the model's metadata buffers by name.
        file: the file, behind whose flatbuffer an archive may stand.
    """
    about = About(producer=_CONVERTERS.get((description or "").strip()))
    if description:
        about.texts["description"] = description
    for name, buffer in stored.items():
        text = _short_text(buffer)
        if name not in (_AUTHORED, _CONVERSION) and text:
            about.texts[name] = text
    for name, read in ((_CONVERSION, _read_conversion), (_AUTHORED, _read_authored)):
        if name in stored:
            try:
                read(about, Flatbuffer(stored[name], _BUDGET).root(), file)
            except (RejectedModel, LimitExceeded) as error:
                about.notes.append(f"{name} cannot be read: {error.message}")
    return about


def _short_text(buffer: memoryview) -> str | None:
    """A text such as a version, padded with zeros; None where the buffer holds something else."""
    if len(buffer) > _SHORT_TEXT:
        return None
    text = bytes(buffer).rstrip(b"\0").decode("ascii", "replace")
    return text if text.isprintable() and "\ufffd" not in text else None


def _read_conversion(about: About, root: Table, _file: File) -> None:
    environment = root.table(0)
    version = environment.text(0) if environment else None
    if environment is None or not version:
        return
    about.producer = f"TensorFlow Lite converter {version}"
    source = _SOURCES.get(environment.int32(2))
    if source:
        about.texts["converted_from"] = source


def _read_authored(about: About, root: Table, file: File) -> None:
    for key, slot in (
        ("name", _AuthoredSlot.NAME),
        ("model_description", _AuthoredSlot.DESCRIPTION),
        ("version", _AuthoredSlot.VERSION),
        ("author", _AuthoredSlot.AUTHOR),
        ("license", _AuthoredSlot.LICENSE),
    ):
        text = root.text(slot)
        if text:
            about.texts[key] = text
    for graph in root.tables(_AuthoredSlot.SUBGRAPHS)[:1]:
        outputs = graph.tables(_SubgraphSlot.OUTPUTS)
        _read_tensors(about, "input", graph.tables(_SubgraphSlot.INPUTS))
        _read_tensors(about, "output", outputs)
        about.labels = _read_labels(about, _label_files(outputs), file)


def _read_tensors(about: About, role: str, tensors: Tables) -> None:
    names = [tensor.text(_TensorSlot.NAME) or "" for tensor in tensors]
    contents = [tensor.table(_TensorSlot.CONTENT) for tensor in tensors]
    kinds = [_CONTENTS.get(content.uint8(0), "") if content else "" for content in contents]
    if any(names):
        about.texts[f"{role}_names"] = ", ".join(names)
    if any(kinds):
        about.texts[f"{role}_content"] = ", ".join(kinds)


def _label_files(outputs: Tables) -> list[str]:
    """Names of files with labels, those without a locale first."""
    found = [
        (file.text(_FileSlot.LOCALE) or "", file.text(_FileSlot.NAME) or "")
        for tensor in outputs
        for file in tensor.tables(_TensorSlot.FILES)
        if file.int8(_FileSlot.TYPE) in _LABEL_FILES
    ]
    return [name for _, name in sorted(found, key=lambda pair: bool(pair[0]))]


def _read_labels(about: About, names: Iterable[str], file: File) -> tuple[str, ...]:
    """The labels in the first of these files that is in the archive behind the model."""
    wanted = list(names)
    if not wanted:
        return ()
    try:
        # Every file of the room `archive` is a Source, an entry of a package as well.
        archive = Archive(cast(Source, file), Budget(_ARCHIVE_LIMITS))
        found = filter(None, map(archive.get, wanted))
        return next((_lines(entry.data()) for entry in found), ())
    except (InputError, LimitExceeded) as error:
        about.notes.append(f"labels {wanted[0]!r} not read: {error.message}")
        return ()


def _lines(raw: memoryview) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(raw, "utf-8-sig", "replace").splitlines())
