"""What a TFLite file says about itself, written here slot by slot."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tflite_models import flatbuffers, one_op

from edgewise.archive import DiskFile
from edgewise.formats import tflite
from edgewise.graph import Graph


def _write(builder: Any, value: Any) -> Any:
    """Write a value and return its offset: text, a list of tables, or a table {slot: value}."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        offsets = [_write(builder, one) for one in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    offsets = {s: _write(builder, v) for s, v in value.items() if not isinstance(v, int)}
    builder.StartObject(max(value, default=0) + 1)
    for slot, one in value.items():
        if isinstance(one, int):
            builder.PrependInt32Slot(slot, one, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
    return builder.EndObject()


def _table(fields: dict[int, Any]) -> bytes:
    builder = flatbuffers.Builder(256)
    builder.Finish(_write(builder, fields), file_identifier=b"M001")
    return bytes(builder.Output())


_AUTHORED = {
    0: "classifier",
    1: "Tells digits apart",
    2: "v1",
    3: [
        {
            2: [{0: "image", 3: {0: 2}}],
            3: [{0: "probability", 3: {0: 1}, 6: [{0: "labels_de.txt", 2: 2, 3: "de"},
                                                 {0: "labels.txt", 2: 2}]}],
        }
    ],
    4: "an author",
    5: "Apache-2.0",
}  # fmt: skip


def _graph(tmp_path: Path, behind: bytes = b"", **stored: bytes) -> Graph:
    model = one_op("RELU", [[1]])
    model.table.description = "MLIR Converted."
    for name, data in stored.items():
        model.metadata(name, data)
    path = tmp_path / "m.tflite"
    path.write_bytes(model.content() + behind)
    return tflite.read(DiskFile(path))


def _archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.txt", data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def test_the_authors_metadata_and_labels(tmp_path: Path) -> None:
    behind = _archive(labels_de=b"null\n", labels="zero\r\none\n\u00fcber\n".encode())
    graph = _graph(tmp_path, behind, TFLITE_METADATA=_table(_AUTHORED))
    assert graph.name == "classifier"
    assert graph.labels == ("zero", "one", "über")
    wanted = {
        "name": "classifier", "model_description": "Tells digits apart", "version": "v1",
        "author": "an author", "license": "Apache-2.0", "input_names": "image",
        "input_content": "image", "output_names": "probability", "output_content": "feature",
    }  # fmt: skip
    assert graph.metadata.items() >= wanted.items()
    assert graph.notes == []


@pytest.mark.parametrize("behind", [b"", b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18])
def test_labels_that_cannot_be_read_are_noted(tmp_path: Path, behind: bytes) -> None:
    graph = _graph(tmp_path, behind, TFLITE_METADATA=_table(_AUTHORED))
    assert graph.labels == ()
    assert graph.metadata["author"] == "an author"
    assert len(graph.notes) <= 1


def test_labels_that_are_too_large_are_noted(tmp_path: Path) -> None:
    behind = _archive(labels=b"a\n" * (3 << 20))
    graph = _graph(tmp_path, behind, TFLITE_METADATA=_table(_AUTHORED))
    assert graph.labels == ()
    assert "entry_bytes" in graph.notes[0]


def test_the_converters_metadata(tmp_path: Path) -> None:
    graph = _graph(tmp_path, CONVERSION_METADATA=_table({0: {0: "2.19.0", 1: 2, 2: 7}}),
                   min_runtime_version=b"2.17.0" + bytes(10))  # fmt: skip
    assert graph.producer == "TensorFlow Lite converter 2.19.0"
    assert graph.metadata == {
        "description": "MLIR Converted.",
        "converted_from": "PyTorch",
        "min_runtime_version": "2.17.0",
    }


def test_without_the_converters_metadata_the_description_tells(tmp_path: Path) -> None:
    assert _graph(tmp_path).producer == "TensorFlow Lite converter"


def test_metadata_that_is_broken_does_not_reject_the_model(tmp_path: Path) -> None:
    graph = _graph(tmp_path, TFLITE_METADATA=b"\xff" * 40, CONVERSION_METADATA=b"")
    assert len(graph.layers) == 1
    assert [note.partition(" ")[0] for note in graph.notes] == [
        "CONVERSION_METADATA",
        "TFLITE_METADATA",
    ]
