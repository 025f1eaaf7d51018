"""From a file to its record: the demo's models, and the known answers of the reference corpus."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.errors import UsageError
from edgewise.records import Model

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits"
RFB_MACS = 100_418_560


def summary(path: Path | str, **options: object) -> Model:
    return summarise(DiskFile(path), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["digits-s", "digits-m", "digits-xl"])
def test_the_same_network_costs_the_same_in_both_formats(name: str) -> None:
    a, b = summary(DIGITS / f"{name}.tflite"), summary(DIGITS / f"{name}.onnx")
    assert a.status == b.status == "parsed"
    assert a.macs == b.macs
    assert a.inputs and b.inputs and a.inputs[0].dtype == b.inputs[0].dtype == "float32"
    assert a.parameters and b.parameters
    # ONNX keeps its batch normalisation: four numbers a channel, of which folding leaves one.
    assert a.parameters <= b.parameters < 1.15 * a.parameters


def test_number_types_do_not_change_the_cost() -> None:
    float32, int8 = summary(DIGITS / "digits-l.tflite"), summary(DIGITS / "digits-l-int8.tflite")
    assert (float32.macs, float32.parameters) == (int8.macs, int8.parameters)
    assert (float32.quantization, int8.quantization) == ("none", "full")
    assert summary(DIGITS / "digits-xl-fp16.tflite").quantization == "float16"


def test_a_free_batch_is_one_and_the_formula_holds() -> None:
    one, eight = summary(DIGITS / "digits-m.onnx"), None
    (port,) = one.inputs or ()
    eight = summary(DIGITS / "digits-m.onnx", shapes={port.name: (8, *(port.shape or ())[1:])})
    assert eight.macs == 8 * (one.macs or 0)
    assert one.macs_formula == f"{one.macs}*N"


def test_shapes_of_unknown_inputs_are_refused() -> None:
    with pytest.raises(UsageError, match="no input 'nothing'"):
        summary(DIGITS / "digits-m.onnx", shapes={"nothing": (1,)})


@pytest.fixture
def squeezed(tmp_path: Path) -> Path:
    """As exporters write `x.squeeze(1)` of an open size; the mask shares the axis of x."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    node = helper.make_node
    branches = {
        "then_branch": [node("Squeeze", ["x", "axis"], ["s"])],
        "else_branch": [node("Identity", ["x"], ["i"])],
    }
    nodes = [
        node("Shape", ["x"], ["sizes"]),
        node("Gather", ["sizes", "one"], ["size"]),
        node("Equal", ["size", "one"], ["is_one"]),
        node("If", ["is_one"], ["y"], **{
            name: helper.make_graph(body, name, [], [helper.make_empty_tensor_value_info("o")])
            for name, body in branches.items()
        }),
        node("MatMul", ["y", "w"], ["z"]),
        node("Mul", ["x", "mask"], ["masked"]),
    ]  # fmt: skip
    for attribute in nodes[3].attribute:
        attribute.g.output[0].name = attribute.g.node[0].output[0]
    stored = {
        "one": np.int64(1), "axis": np.array([1]), "w": np.ones((8, 5), np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", 1, [3, "?", "?"]),
         helper.make_tensor_value_info("mask", 1, [3, 1, "width"])],
        [helper.make_tensor_value_info("z", 1, None),
         helper.make_tensor_value_info("masked", 1, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )  # fmt: skip
    path = tmp_path / "squeezed.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_branch_that_the_sizes_decide_is_the_one_that_counts(squeezed: Path) -> None:
    narrow = summary(squeezed, shapes={"x": (3, 1, 8)})
    assert narrow.outputs and narrow.outputs[0].shape == (3, 5)
    wide = summary(squeezed, shapes={"x": (3, 2, 8)})
    assert wide.outputs and wide.outputs[0].shape == (3, 2, 5)
    assert (narrow.macs, wide.macs) == (3 * 8 * 5, 2 * 3 * 8 * 5)
    assert narrow.flops is not None and narrow.peak_activation_bytes is not None


def test_dimensions_called_unknown_are_not_one(squeezed: Path) -> None:
    (x, _) = summary(squeezed).inputs or ()
    assert x.signature is not None and len(set(x.signature)) == 3


def test_a_size_that_is_said_counts_for_all_inputs_that_share_it(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx").helper
    ports = [helper.make_tensor_value_info(name, 1, ["n", "length", 4]) for name in "ab"]
    graph = helper.make_graph(
        [helper.make_node("Einsum", ["a", "b"], ["c"], equation="nij,nkj->nik")], "g", ports,
        [helper.make_tensor_value_info("c", 1, None)],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    model = summary(path, shapes={"a": (2, 7, 4)})
    assert model.macs == 2 * 7 * 7 * 4 and not model.notes


def test_reasons_that_are_alike_are_one_note(squeezed: Path) -> None:
    notes = summary(squeezed, shapes={"x": (3, 1, 9)}).notes  # the weights take 8
    assert [note for note in notes if "MatMul" in note] == [
        "MatMul: cannot run with these sizes: (3, 9) times (8, 5)"
    ]


def test_layer_table_adds_up() -> None:
    model = summary(DIGITS / "digits-l.tflite", layers=True)
    assert model.layer_table is not None
    assert sum(row.macs or 0 for row in model.layer_table) == model.macs
    assert sum(row.parameters for row in model.layer_table) == model.parameters
    assert sum(row.weight_bytes for row in model.layer_table) == model.weight_bytes


def test_weights_are_read_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.graph import Tensor

    biggest = []
    monkeypatch.setattr(
        Tensor,
        "array",
        lambda self, read=Tensor.array: biggest.append(read(self).size) or read(self),
    )
    summary(DIGITS / "digits-xl.tflite")
    assert max(biggest, default=0) < 64, "only shapes and axes were looked at"
    summary(DIGITS / "digits-xl.tflite", weights=True)
    assert max(biggest) > 10_000


def test_text_named_like_a_model_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "readme.tflite"
    path.write_text("This folder holds models.\n" * 20)
    model = summary(path)
    assert (model.status, model.format) == ("rejected", "tflite")
    assert model.reason


@pytest.mark.corpus
@pytest.mark.parametrize(
    "name",
    [
        "tflite/Linzaer__tflite__pretrained__version-RFB-320_without_postprocessing.tflite",
        "onnx/Linzaer__models__onnx__version-RFB-320.onnx",
        "onnx/Linzaer__models__onnx__version-RFB-320_simplified.onnx",
        "onnx/Linzaer__models__onnx__version-RFB-320_without_postprocessing.onnx",
    ],
)
def test_rfb_320_in_every_format(corpus: Path, name: str) -> None:
    model = summary(corpus / "models" / name)
    assert model.macs == RFB_MACS
    assert sorted(p.shape or () for p in model.outputs or ()) == [(1, 4420, 2), (1, 4420, 4)]


@pytest.mark.corpus
def test_every_model_of_the_corpus_has_an_outcome(corpus: Path) -> None:
    outcomes = {
        path.name.rpartition("__")[2]: summary(path)
        for folder in ("tflite", "onnx")
        for path in sorted((corpus / "models" / folder).iterdir())
    }
    rejected = {name for name, model in outcomes.items() if model.status != "parsed"}
    assert rejected == {"test_torch_topk.pnnx.onnx"}
    unknown = {name for name, model in outcomes.items() if model.macs is None} - rejected
    assert unknown == {"audio_preprocessor_int8.tflite"}, "its custom operators are not understood"
    assert outcomes["person_detect.tflite"].quantization == "full"
    assert outcomes["hed_lite_model_quantize.tflite"].quantization == "weights"
    # 28 steps of 4·(28·20 + 20·20), then 20·28 features to 10 classes.
    assert outcomes["trained_lstm.tflite"].macs == 28 * 4 * (28 * 20 + 20 * 20) + 20 * 28 * 10


def test_a_network_too_deep_for_sizes_of_one_tells_its_formula(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weights = np.ones((4, 3, 3, 3), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
         helper.make_node("Conv", ["p", "w"], ["y"])],
        "g", [helper.make_tensor_value_info("x", 1, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    model = summary(path, layers=True)
    assert model.macs is None and model.macs_formula is not None
    (row,) = [row for row in model.layer_table or () if row.macs_formula]
    assert row.macs is None and row.macs_formula == model.macs_formula
    for size in (9, 64):
        counted = summary(path, shapes={"x": (2, 3, size, 33)}).macs
        assert eval(model.macs_formula, {"N": 2, "H": size, "W": 33}) == counted
    assert any("H and W of 64 it is 97,200 MACs" in note for note in model.notes)
    assert summary(path, shapes={"x": (2, 3, 64, 64)}).macs == 2 * 97_200
