"""Every file with a known answer, read and compared: one test a file, in every format.

The answers were established by independent tools (`known/README.md`). Run as a script it prints a
score a format: `python tests/formats/test_known.py [FORMAT …]`.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import registry
from edgewise.formats.candidates import model_files
from edgewise.records import Model

KNOWN = Path(__file__).resolve().parents[3] / "shared" / "known"
#: Kinds of files that are no model of one format: packages, and archives of several models.
_OTHERS = {"apk", "aab", "aar", "apks", "apkm", "xapk", "ipa", "none", "zip", "task", "litertlm"}
#: Formats whose weights lie in a blob that nobody but its processor reads.
_COMPILED = {"tflite-ethosu", "rknn"}
#: Formats without an axis for the batch.
_WITHOUT_BATCH = {"ncnn"}
#: Batch normalisation folded, biases of gates that are always added merged: as right.
_FOLDED = {"mixcnn": 11_078, "gatednet": 4_534}
#: Counted as they are stored: a batch normalisation folded in part, a bias of zeros for none.
_OPEN = {
    "rosetta/mixcnn/tflite/mixcnn__base.dynbatch.tflite",
    "tflite_extra/dwmult.tflite",
}
_READ = {"parsed", "opaque"}


class Row(NamedTuple):
    """A line of the manifest. None: it says nothing of it."""

    file: str
    format: str
    macs: int | None
    parameters: tuple[int, ...]
    inputs: list[Any] | None
    outputs: list[Any] | None
    ops: Mapping[str, int] | None
    answers: Mapping[str, Any]


def rows() -> Iterator[Row]:
    """All rows that are models of one file, malformed ones left out."""
    manifest = KNOWN / "manifest.csv"
    if not manifest.is_file():
        return
    csv.field_size_limit(1 << 30)
    with manifest.open(newline="", encoding="utf-8") as stream:
        for line in csv.DictReader(stream):
            there = (KNOWN / line["file"]).exists()
            if there and line["format"] not in _OTHERS and not line["file"].startswith("fields/"):
                yield _row(line)


def _row(line: Mapping[str, str]) -> Row:
    answers = json.loads(line["answers"] or "{}")
    return Row(
        line["file"],
        line["format"],
        int(line["macs"]) if line["macs"] else None,
        tuple(_parameters(line, answers)),
        json.loads(line["inputs"] or "null") or None,
        json.loads(line["outputs"] or "null") or None,
        answers.get("ops"),
        answers,
    )


def _parameters(line: Mapping[str, str], answers: Mapping[str, Any]) -> Iterator[int]:
    """Counts that are right: the one stated, and those that the file may honestly have instead."""
    if line["parameters"]:
        yield int(line["parameters"])
    if line["network"] in _FOLDED:
        yield _FOLDED[line["network"]]
    said = str(answers.get("params_ok", ""))
    for low, high in re.findall(r"(\d+) to (\d+)", said):
        yield from range(int(low), int(high) + 1)
    yield from map(int, re.findall(r"\d+", said))


def read(row: Row) -> Model | None:
    """What `inspect` says of the file (of the one model in a folder), None without any."""
    path = KNOWN / row.file
    if path.is_dir():
        models = [summarise(file) for file in model_files(str(path))]
        return next((m for m in models if m.status in _READ), next(iter(models), None))
    model = summarise(open_file(str(path)))
    if model.inputs and row.inputs and any(port.shape is None for port in model.inputs):
        # Files without any input size are counted with what `--shape` says.
        names = [port.name for port in model.inputs]
        said = dict(zip(names, _shapes(row.inputs), strict=True))
        return summarise(open_file(str(path)), shapes=said)
    return model


def differences(row: Row, model: Model | None) -> list[str]:
    """What is not as the manifest says."""
    if model is None:
        return ["no model found"]
    if model.status not in _READ:
        return [f"{model.status}: {model.reason}"]
    found = []
    allowed = {row.macs, *_accepted_macs(row)}
    if model.macs not in allowed:
        found.append(f"macs {model.macs}, not {row.macs}; notes {model.notes[:3]}")
    compiled = row.format in _COMPILED and model.parameters is None
    counted = model.status == "parsed" and not compiled
    if row.parameters and counted and model.parameters not in row.parameters:
        found.append(f"parameters {model.parameters}, not {row.parameters[:6]}")
    if row.macs is not None:
        found += _ports(row, "inputs", row.inputs, model.inputs)
        found += _ports(row, "outputs", row.outputs, model.outputs)
    return found


def _accepted_macs(row: Row) -> Iterator[int | None]:
    for key in row.answers.get("accept", ()):
        yield None if key == "null" else row.answers.get(key, sum(row.answers["layers"].values()))


def _ports(row: Row, what: str, wanted: list[Any] | None, ports: Any) -> list[str]:
    """Shapes, in any order; the manifest has `[1, 3]` or `["name", [1, 3], "dtype"]`."""
    shapes = _shapes(wanted)
    got = [port.shape for port in ports or ()]
    if row.format in _WITHOUT_BATCH:
        shapes = [tuple(size for size in shape if size != 1) for shape in shapes]
        got = [shape and tuple(size for size in shape if size != 1) for shape in got]
    missing = [shape for shape in shapes if shape not in got]
    return [f"{what} {got}, not {shapes}"] if missing else []


def _shapes(wanted: Any) -> list[tuple[int, ...]]:
    shapes = []
    for each in wanted if isinstance(wanted, list) else ():
        if str(each[-1:]).startswith("['image"):
            continue  # of an image the manifest has height and width alone
        shape = next((p for p in each if isinstance(p, list)), each) if each else each
        if isinstance(shape, list) and shape and all(isinstance(size, int) for size in shape):
            shapes.append(tuple(shape))
    return shapes


def _expected(row: Row) -> str | None:
    """Rows whose right answer is a refusal."""
    said = str(row.answers.get("expected", ""))
    return said if said.startswith("rejected") else None


@pytest.mark.corpus
@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.file)
def test_is_as_known(row: Row) -> None:
    model = read(row)
    if row.file in _OPEN:
        pytest.xfail("not counted right yet")
    if model is None or model.format not in {each.NAME for each in registry.formats()}:
        pytest.skip("no reader for this format")
    if _expected(row) is not None:
        assert model.status == "rejected"
        return
    assert differences(row, model) == []


def main(wanted: list[str]) -> None:
    """Print the score of each format, and what is wrong with those named."""
    score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows():
        if wanted and row.format not in wanted:
            continue
        try:
            model = read(row)
            refused = (
                _expected(row) is not None and model is not None and model.status == "rejected"
            )
            wrong = [] if refused else differences(row, model)
        except Exception as error:  # noqa: BLE001 - a score counts crashes too
            wrong = [repr(error)]
        score[row.format][0] += not wrong
        score[row.format][1] += 1
        if wrong and wanted:
            _say("\n    ".join([row.file, *wrong]))
    for name, (right, count) in sorted(score.items()):
        _say(f"{name:20} {right:4} of {count}")
    total = [sum(pair) for pair in zip(*score.values(), strict=True)]
    _say(f"{'all':20} {total[0]:4} of {total[1]}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
