"""What a network is for: told from names and shapes, and not told where that is doubtful."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from edgewise.analysis.architecture import architecture, facts_of
from edgewise.analysis.shapes import propagate
from edgewise.analysis.structure import structure
from edgewise.analysis.summary import summarise
from edgewise.analysis.task import Told, told
from edgewise.archive import open_file
from edgewise.graph import Kind


def of(net: Any, path: str, x: tuple[int, ...], *outputs: tuple[int, ...], **facts: Any) -> Told:
    """The task of a network from one input to outputs of these shapes."""
    made = net(x=x)
    for at, shape in enumerate(outputs):
        made.layer(Kind.FILL, [], f"y{at}", shape=shape)
    graph = made.done(*(f"y{at}" for at in range(len(outputs))))
    for name, value in facts.items():
        setattr(graph, name, value)
    shapes = propagate(graph)
    seen = facts_of(graph, shapes, structure(graph, shapes))
    return told(path, graph, seen, architecture(graph, seen))


def test_shapes_tell(net: Any) -> None:
    faces = of(net, "a.bin", (1, 128, 128, 3), (1, 896, 16), (1, 896, 1))
    assert (faces.task, faces.modality, faces.confidence) == ("face-detection", "image", 0.85)
    assert of(net, "a.bin", (1, 3, 224, 224), (1, 1000, 1, 1)).task == "image-classification"
    assert of(net, "a.bin", (1, 3, 640, 640), (1, 84, 8400)).task == "object-detection"


def test_names_tell_where_the_input_fits(net: Any) -> None:
    assert of(net, "assets/yolov8n.tflite", (1, 640, 640, 3), (1, 5)).task == "object-detection"
    assert of(net, "assets/yolov8n.tflite", (1, 16), (1, 5)).task is None
    heard = of(net, "a.bin", (1, 1960), (1, 4), labels=("_silence_", "_unknown_", "yes", "no"))
    assert (heard.task, heard.modality) == ("keyword-spotting", "audio")
    assert heard.why is not None and "_silence_" in heard.why


def test_unknown_is_an_answer(net: Any) -> None:
    nothing = of(net, "assets/model.tflite", (1, 64, 64, 3), (1, 7))
    assert nothing == Told(None, "image", None, None)
    two = of(net, "face_detection_facenet.tflite", (1, 64, 64, 3), (1, 7))
    assert two.task is None


@pytest.mark.corpus
def test_labels_of_real_networks_are_rarely_wrong(corpus: Path) -> None:
    right = wrong = 0
    with (corpus / "tasks.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            model = summarise(open_file(str(corpus / row["local"])))
            if model.status == "parsed" and model.task is not None:
                right += model.task == row["task"]
                wrong += model.task != row["task"]
    assert right >= 40 and wrong <= right // 20
