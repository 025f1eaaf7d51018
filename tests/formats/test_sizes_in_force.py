"""Sizes that the user says, that decide shapes, and that a file states for other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import INT64, graph, helper, model, node, value

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.errors import UsageError
from edgewise.records import Model


def counted(folder: Path, proto: Any, **shapes: tuple[int, ...]) -> Model:
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return summarise(DiskFile(path), shapes=shapes or None)


def halved_and_joined() -> Any:
    """Down by a pool, up by two, and beside the input again: odd sizes do not come back."""
    weights = {"w": np.zeros((8, 6, 3, 3), np.float32), "s": np.array([1, 1, 2, 2], np.float32)}
    return model(
        [node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
         node("Resize", "p - s", "u", mode="nearest"), node("Concat", "x u", "c", axis=1),
         node("Conv", "c w", "y", pads=[1, 1, 1, 1])],
        [value("x", ["N", 3, "H", "W"])], [value("y", None)], weights, opset=17,
    )  # fmt: skip


def test_a_size_that_works_is_proposed(tmp_path: Path) -> None:
    odd = counted(tmp_path, halved_and_joined(), x=(1, 3, 15, 16))
    assert odd.macs is None
    (hint,) = (note for note in odd.notes if note.startswith("refused"))
    assert "--shape x=1x3x16x16" in hint and f"{16 * 16 * 8 * 54:,} MACs" in hint
    assert counted(tmp_path, halved_and_joined(), x=(1, 3, 16, 16)).macs == 16 * 16 * 8 * 54


def test_a_size_that_the_file_fixes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="axis 1 of x is 3 in the file, not 160"):
        counted(tmp_path, halved_and_joined(), x=(1, 160, 160, 3))


def test_stated_shapes_follow_the_batch_or_are_unknown(tmp_path: Path) -> None:
    def made(stated: list[Any]) -> Any:
        return model(
            [node("Odd", "x", "a", "local"), node("MatMul", "a w", "y")],
            [value("x", ["n", 4, 4])], [value("y", None)], {"w": np.zeros((4, 5), np.float32)},
            value_info=[value("a", stated)],
        )  # fmt: skip

    followed = counted(tmp_path, made(["n", 4, 4]), x=(8, 4, 4))
    assert followed.outputs is not None and followed.outputs[0].shape == (8, 4, 5)
    stale = counted(tmp_path, made([1, 4, 4]), x=(8, 4, 4))
    assert stale.outputs is not None and stale.outputs[0].shape is None


def test_values_are_computed_in_their_own_type(tmp_path: Path) -> None:
    narrow = model(
        [node("Shape", "x", "s"), node("Cast", "s", "b", to=2), node("Cast", "b", "l", to=7),
         node("ConstantOfShape", "l", "y")],
        [value("x", [300, 2])], [value("y", None)], opset=17,
    )  # fmt: skip
    found = counted(tmp_path, narrow).outputs
    assert found is not None and found[0].shape == (300 % 256, 2)


def test_formulas_and_functions_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 24
    inputs = [value(f"x{i}", [f"{c}{i}" for c in "abcd"]) for i in range(count)]
    nodes = [node("Shape", f"x{i}", f"s{i}") for i in range(count)]
    nodes += [
        node("Add", f"{'s0' if i == 1 else f't{i - 1}'} s{i}", f"t{i}") for i in range(1, count)
    ]
    nodes += [node("ConstantOfShape", f"t{count - 1}", "big"),
              node("Transpose", "big", "turned", perm=[0, 1, 3, 2]),
              node("MatMul", "big turned", "y")]  # fmt: skip
    found = counted(tmp_path, model(nodes, inputs, [value("y", None)], opset=17))
    assert found.macs == count**5 and found.macs_formula is None
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = [helper.make_function("local", "f0", ["a"], ["b"], [node("Relu", "a", "b")], opset)]
    for at in range(1, 18):
        twice = [node(f"f{at - 1}", "a", "m", "local"), node(f"f{at - 1}", "m", "b", "local")]
        functions.append(helper.make_function("local", f"f{at}", ["a"], ["b"], twice, opset))
    doubling = model([node("f17", "x", "y", "local")], [value("x", [1])], [value("y", None)],
                     opset=17, functions=functions)  # fmt: skip
    monkeypatch.setattr("edgewise.formats.onnx.graphs.PART_LIMIT", 30_000)
    assert counted(tmp_path, doubling).status == "not_examined"


def test_a_branch_that_runs_is_all_that_counts(tmp_path: Path) -> None:
    then = graph([node("Concat", "x x", "a", axis=1)], [], [value("a", None)])
    other = graph([node("Reshape", "x five", "b")], [], [value("b", None)], {"five": np.array([5])})
    proto = model(
        [node("If", "c", "y", then_branch=then, else_branch=other)],
        [value("x", [2, 3]), value("c", [], 9)], [value("y", None)], opset=17,
    )  # fmt: skip
    assert INT64 and counted(tmp_path, proto).macs == 0
