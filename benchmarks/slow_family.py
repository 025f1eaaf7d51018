"""A family of slow variants, made here: the demo's take a third of a millisecond at most.

Stacks of convolutions with random weights, from about 3 to 40 ms on one core. Their accuracies are
declared, not measured: nothing here looks at an answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

NAME = "stacks"
SHAPE = (1, 3, 32, 32)
CLASSES, CHANNELS = 10, 64
#: Layers of 38 million multiply-accumulates each, and the accuracy that is declared, in percent.
VARIANTS = {"stack-8": (8, 62.0), "stack-14": (14, 70.0), "stack-26": (26, 76.0),
            "stack-46": (46, 80.0), "stack-80": (80, 82.0)}  # fmt: skip


def build(folder: Path) -> Path:
    """Write the models and the family; its path."""
    lines = [f'name = "{NAME}"', "[input]", 'kind = "tensor"']
    for name, (layers, accuracy) in VARIANTS.items():
        _stack(folder / f"{name}.onnx", layers)
        lines += ["[[variant]]", f'name = "{name}"', f'file = "{name}.onnx"',
                  f"accuracy = {accuracy}", 'accuracy_source = "declared"']  # fmt: skip
    path = folder / "family.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def inputs(folder: Path, count: int = 32) -> Path:
    """Tensors to send, as `edgewise load --input` takes them."""
    path = folder / "inputs.npz"
    values = np.random.default_rng(1).normal(size=(count, *SHAPE[1:])).astype(np.float32)
    np.savez(path, x=values)
    return path


def _stack(path: Path, layers: int) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(layers)
    nodes, weights, value, channels = [], [], "x", SHAPE[1]
    for layer in range(layers):
        shape = (CHANNELS, channels, 3, 3)
        # He's scale: values neither grow nor fade into denormal numbers, which are slow.
        kernel = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value, channels = f"r{layer}", CHANNELS
    head = rng.normal(size=(CHANNELS, CLASSES)).astype(np.float32)
    weights.append(numpy_helper.from_array(head, "head"))
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, CLASSES))], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
