"""Which models come from one another, by their weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewise.analysis.lineage import compare, lineage
from edgewise.analysis.sketch import bottom, sketch
from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.cli.main import run
from edgewise.graph import Tensor
from edgewise.records import Lineage, Model, TensorRow
from edgewise.store import Store

onnx = pytest.importorskip("onnx")
Weights = dict[str, np.ndarray]  # type: ignore[type-arg]


def drawn(seed: int, classes: int = 10) -> Weights:
    random = np.random.default_rng(seed)
    return {
        "stem": random.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
        "body": random.normal(0, 0.1, (32, 16, 3, 3)).astype(np.float32),
        "head": random.normal(0, 0.1, (classes, 32)).astype(np.float32),
    }


def written(path: Path, weights: Weights, int8: bool = False, steps: int = 127) -> Model:
    """A small convolutional classifier with these weights, read back with its sketches."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    nodes, stored = [], []
    for name, value in weights.items():
        if int8 and value.dtype == np.float32:
            scale = np.float32(np.abs(value).max() / steps)
            stored += [
                numpy_helper.from_array(np.rint(value / scale).astype(np.int8), f"{name}_q"),
                numpy_helper.from_array(scale, f"{name}_s"),
            ]
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s"], [name]))
        else:
            stored.append(numpy_helper.from_array(value.astype(np.float32), name))
    classes = weights["head"].shape[0]
    nodes += [
        helper.make_node("Conv", ["x", "stem"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "body"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "head"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", 1, [1, 3, 12, 12])],
        [helper.make_tensor_value_info("y", 1, [1, classes])], stored,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    path.write_bytes(model.SerializeToString())
    return summarise(DiskFile(path), weights=True)


def moved(weights: Weights) -> Weights:
    noise = np.random.default_rng(9)
    return {k: v * noise.normal(1, 0.02, v.shape).astype(np.float32) for k, v in weights.items()}


def pruned(weights: Weights) -> Weights:
    return {k: np.where(np.abs(v) < np.quantile(np.abs(v), 0.6), 0, v) for k, v in weights.items()}


def clustered(weights: Weights) -> Weights:
    found = {}
    for name, value in weights.items():
        centres = np.quantile(value, (np.arange(32) + 0.5) / 32).astype(np.float32)
        nearest = np.abs(value[..., np.newaxis] - centres).argmin(axis=-1)
        found[name] = centres[nearest]
    return found


def folded(weights: Weights) -> Weights:
    factors = np.random.default_rng(3).uniform(0.5, 2.0, 32).astype(np.float32)
    return {**weights, "body": weights["body"] * factors[:, None, None, None]}


def other_head(weights: Weights) -> Weights:
    return {**weights, "head": drawn(7, classes=4)["head"]}


def new_head(weights: Weights) -> Weights:
    return {**weights, "head": drawn(8)["head"]}


@pytest.mark.parametrize(
    ("change", "relation", "shared", "differing"),
    [
        (lambda w: {k: v.astype(np.float16) for k, v in w.items()}, "same_network", 1.0, 0),
        (folded, "same_network", 1.0, 0),
        (moved, "fine_tuned", 0.0, 3),
        (new_head, "fine_tuned", pytest.approx(0.944, abs=0.01), 1),
        (other_head, "fine_tuned", pytest.approx(0.976, abs=0.01), 2),
        (pruned, "fine_tuned", 0.0, 3),
        (clustered, "quantised", 1.0, 0),
        (lambda w: drawn(2), "same_architecture", 0.0, 3),
    ],
)
def test_what_was_made_of_a_network_is_told(
    tmp_path: Path, change: Callable[[Weights], Weights], relation: str, shared: float,
    differing: int,
) -> None:  # fmt: skip
    base = drawn(1)
    a, b = written(tmp_path / "a.onnx", base), written(tmp_path / "b.onnx", change(base))
    found = compare(a, b)
    assert found is not None
    assert (found.relation, found.shared_weight_fraction) == (relation, shared)
    assert found.layers_differing == differing
    back = compare(b, a)
    assert back is not None and back.relation == relation


@pytest.mark.parametrize("steps", [127, 7])
def test_integers_of_the_same_weights_are_quantised(tmp_path: Path, steps: int) -> None:
    a = written(tmp_path / "a.onnx", drawn(1))
    b = written(tmp_path / "b.onnx", drawn(1), int8=True, steps=steps)
    found = compare(a, b)
    assert found is not None and (found.relation, found.shared_weight_fraction) == ("quantised", 1)
    trained = compare(a, written(tmp_path / "c.onnx", new_head(drawn(1)), int8=True, steps=steps))
    assert trained is not None and trained.relation != "quantised"
    apart = compare(a, written(tmp_path / "d.onnx", drawn(2), int8=True, steps=steps))
    assert apart is not None and apart.relation == "same_architecture"


def of(arrays: list[np.ndarray], gates: int = 1, int8: bool = False) -> Model:  # type: ignore[type-arg]
    """A model of these matrices, each cut into so many by its first axis."""
    rows = []
    for number, array in enumerate(a for whole in arrays for a in np.split(whole, gates)):
        if int8:
            array = np.rint(array / np.abs(array).max() * 127).astype(np.int8)
        tensor = Tensor(f"w{number}", str(array.dtype), array.shape)
        zeros = float(np.mean(array == 0))
        rows.append(
            TensorRow(
                name=tensor.name, dtype=tensor.dtype, shape=array.shape, elements=array.size,
                size_bytes=array.nbytes, sketch=sketch(tensor, array, (0,)), bottom=bottom(array),
                zero_fraction=zeros,
            )
        )  # fmt: skip
    return Model(path=f"{gates}{int8}", format="x", size_bytes=1, status="parsed", tensors=(*rows,))


def matrices(seed: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    return [random.normal(0, 0.1, (80, 12 + n)).astype(np.float32) for n in range(8)]


def test_gates_that_a_format_cuts_apart_are_put_together() -> None:
    found = compare(of(matrices(1)), of(matrices(1), gates=4))
    assert found is not None and (found.relation, found.layers_differing) == ("same_network", 0)
    other = compare(of(matrices(2)), of(matrices(1), gates=4))
    assert other is None or other.relation == "same_architecture"


def test_a_pruned_network_is_told_when_it_is_quantised_too() -> None:
    def thin(seed: int) -> list[np.ndarray]:  # type: ignore[type-arg]
        return list(pruned(dict(enumerate(matrices(seed)))).values())  # type: ignore[arg-type]

    found = compare(of(matrices(1)), of(thin(1), int8=True))
    assert found is not None and found.relation == "fine_tuned"
    assert any("are pruned copies" in note for note in found.notes)
    for seed in range(2, 8):
        other = compare(of(matrices(1)), of(thin(seed), int8=True))
        assert other is not None and other.relation == "same_architecture"


def test_weights_that_are_all_alike_tie_nothing(tmp_path: Path) -> None:
    def with_ones(seed: int, classes: int) -> Weights:
        return {**drawn(seed, classes), "body": np.ones((32, 16, 3, 3), np.float32)}

    a = written(tmp_path / "a.onnx", with_ones(1, 10))
    b = written(tmp_path / "b.onnx", with_ones(2, 4))
    assert compare(a, b) is None


def test_another_network_with_the_same_stem_shares_layers(tmp_path: Path) -> None:
    wide = {**drawn(5), "stem": drawn(1)["stem"]}
    wide["body"] = np.random.default_rng(6).normal(0, 1, (64, 16, 3, 3)).astype(np.float32)
    wide["head"] = np.random.default_rng(7).normal(0, 1, (10, 64)).astype(np.float32)
    found = compare(written(tmp_path / "a.onnx", drawn(1)), written(tmp_path / "b.onnx", wide))
    assert found is not None and found.relation == "shares_layers"


def test_many_models_are_not_all_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.analysis import lineage as module

    models = [written(tmp_path / f"{seed}.onnx", drawn(seed, 10 + seed)) for seed in range(30)]
    tuned = written(tmp_path / "tuned.onnx", other_head(drawn(3, 13)))
    compared = []
    compare_known = module.compare_known
    monkeypatch.setattr(
        module, "compare_known", lambda a, b: compared.append(1) or compare_known(a, b)
    )
    found = list(lineage([*models, tuned]))
    (only,) = found
    assert {Path(only.a).name, Path(only.b).name} == {"3.onnx", "tuned.onnx"}
    assert only.relation == "fine_tuned" and len(compared) < 31 * 30 / 2 / 2


def test_the_verb_reads_files_folders_and_stores(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    written(folder / "a.onnx", drawn(1))
    written(folder / "b.onnx", new_head(drawn(1)))
    (folder / "copy.onnx").write_bytes((folder / "a.onnx").read_bytes())
    assert run(["lineage", str(folder), "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert sorted(row["relation"] for row in rows) == ["fine_tuned", "identical"]
    assert set(rows[0]) == set(Lineage.__struct_fields__)
    assert run(["inspect", str(folder), "--store", str(tmp_path / "s")]) == 0
    capfd.readouterr()
    assert run(["lineage", str(tmp_path / "s"), "--json"]) == 0
    from_files = [json.loads(line)["relation"] for line in capfd.readouterr().out.splitlines()]
    assert "fine_tuned" in from_files
    assert run(["inspect", str(folder), "--weights", "--store", str(tmp_path / "w")]) == 0
    kept = [model for model in Store.open(str(tmp_path / "w")).models() if model.tensors]
    assert any(row.sketch for model in kept for row in model.tensors or ())
    assert run(["lineage", str(tmp_path / "nothing.onnx")]) == 1


@pytest.mark.corpus
@pytest.mark.parametrize("network", ["mixcnn", "miniattn", "gatednet"])
def test_one_network_in_many_formats_is_one(corpus: Path, network: str) -> None:
    """Base weights in every format are the same network, others' weights never."""
    from edgewise.formats.candidates import model_files

    folder = corpus.parent / "known" / "rosetta" / network
    base = summarise(DiskFile(folder / "onnx" / f"{network}__base.op17.onnx"), weights=True)
    right = total = 0
    for file in model_files(str(folder)):
        found = summarise(file, weights=True)
        name = file.path.rpartition("__")[2].partition(".")[0]
        if not any(row.sketch for row in found.tensors or ()):
            continue
        relation = getattr(compare(base, found), "relation", None)
        if name == "other":
            assert relation in ("same_architecture", "shares_layers", None), file.path
        elif name in ("base", "fold"):
            total += 1
            right += relation in ("same_network", "quantised", "identical")
    assert right / total > 0.9
