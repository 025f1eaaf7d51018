"""A family whose variants take as long as the input says: what a machine does to them is left out.

Their files are small models that answer at once; `paced/sitecustomize.py` has workers wait until
their time is over. A request's first value is a level between 0 and 1, and its time under a variant
is that quantile of the variant's distribution. So a benchmark of choosing and queueing measures
these, also on a machine that is shared or whose clock changes; the service has the cores to itself,
as a worker that waits takes none; and a simulation can give every request the very time it had.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NAME = "paced"
SHAPE, CLASSES = (1, 3, 32, 32), 10
#: Mean in ms, coefficient of variation, and the accuracy that is declared, in percent.
VARIANTS = {"pace-10": (10.0, 0.10, 62.0), "pace-18": (18.0, 0.10, 70.0),
            "pace-32": (32.0, 0.15, 76.0), "pace-57": (57.0, 0.15, 80.0),
            "pace-100": (100.0, 0.20, 82.0)}  # fmt: skip
#: The shortest of a variant's times, as a share of its mean: computing has no left tail.
_SHORTEST = 0.85
_QUANTILES = 2048


def build(folder: Path) -> Path:
    """Write the models, their times and the family; its path."""
    lines = [f'name = "{NAME}"', "[input]", 'kind = "tensor"']
    for name, (_, _, accuracy) in VARIANTS.items():
        _model(folder / f"{name}.onnx")
        lines += ["[[variant]]", f'name = "{name}"', f'file = "{name}.onnx"',
                  f"accuracy = {accuracy}", 'accuracy_source = "declared"']  # fmt: skip
    path = folder / "family.toml"
    path.write_text("\n".join(lines) + "\n")
    np.savez(_times(path), **{name: sorted_ms(name) for name in VARIANTS})
    return path


def levels(count: int) -> Floats:
    """The level of each input, (count,): spread evenly, in no order."""
    even = (np.arange(count) + 0.5) / count
    return np.random.default_rng(2).permutation(even)


def inputs(folder: Path, count: int = 512) -> Path:
    """Tensors to send, as `edgewise load --input` takes them."""
    path = folder / "inputs.npz"
    values = np.random.default_rng(1).normal(size=(count, *SHAPE[1:])).astype(np.float32)
    values[:, 0, 0, 0] = levels(count)
    np.savez(path, x=values)
    return path


def sorted_ms(name: str) -> Floats:
    """A variant's times, rising, (n,): a gamma distribution above a shortest time."""
    mean_ms, variation, _ = VARIANTS[name]
    least_ms = _SHORTEST * mean_ms
    shape = ((mean_ms - least_ms) / (variation * mean_ms)) ** 2
    rng = np.random.default_rng(round(mean_ms))
    drawn = least_ms + rng.gamma(shape, (mean_ms - least_ms) / shape, 64 * _QUANTILES)
    return np.quantile(drawn, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)


def taken_ms(name: str, level: Floats) -> Floats:
    """How long a variant takes for inputs of these levels; any shape."""
    times_ms = sorted_ms(name)
    taken: Floats = times_ms[(level * len(times_ms)).astype(np.intp)]
    return taken


def environment(family: Path) -> dict[str, str]:
    """For the process of a service of a family that `build` made."""
    there = str(Path(__file__).with_name("paced"))
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([there, before]) if before else there
    return {"PYTHONPATH": path, "EDGEWISE_PACED": str(_times(family))}


def _times(family: Path) -> Path:
    return family.with_name("times.npz")


def _model(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    head = np.random.default_rng(3).normal(size=(SHAPE[1], CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, CLASSES))],
        [numpy_helper.from_array(head, "head")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
