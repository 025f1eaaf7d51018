"""Write a trained Keras network as ONNX: the same weights, channels first, batch free.

Batch normalisation stays a node of its own, as PyTorch's exporter leaves it in training mode
and as the TFLite converter does not: the twins show what folding changes in a file.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import onnx
from keras import layers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # read by every ONNX Runtime since 1.12
KERAS_TENSOR = str  # a Keras tensor's name


class _Graph:
    """Nodes and initialisers so far; `names` maps a Keras tensor's name to the ONNX one."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.names: dict[KERAS_TENSOR, str] = {}

    def weight(self, name: str, values: NDArray[np.float32]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name


def export(model: keras.Model) -> bytes:
    """Return the ONNX file: input `image` (N, 1, H, W), output `probabilities` (N, 10)."""
    graph = _Graph()
    for layer in model.layers:
        inputs = [graph.names[tensor.name] for tensor in _as_list(layer.input)]
        graph.names[layer.output.name] = _writer(layer)(graph, layer, inputs)
    return _file(graph, model).SerializeToString()


def _file(graph: _Graph, model: keras.Model) -> onnx.ModelProto:
    height, width, channels = model.inputs[0].shape[1:]
    output, classes = graph.names[model.outputs[0].name], model.outputs[0].shape[1]
    body = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, height, width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
        graph.weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    file = helper.make_model(body, opset_imports=opset, producer_name="edgewise demo")
    file.ir_version = IR_VERSION
    onnx.checker.check_model(file, full_check=True)
    return file


def _as_list(tensors: object) -> list[keras.KerasTensor]:
    return tensors if isinstance(tensors, list) else [tensors]


def _same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: (before, after), the odd tap after."""
    output = -(-size // stride)
    total = max((output - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _window(layer: layers.Layer, kernel: tuple[int, int]) -> dict[str, list[int]]:
    height, width = layer.input.shape[1:3]
    attributes = {"kernel_shape": list(kernel), "strides": list(layer.strides)}
    if layer.padding == "same":
        top, bottom = _same_pads(height, kernel[0], layer.strides[0])
        left, right = _same_pads(width, kernel[1], layer.strides[1])
        attributes["pads"] = [top, left, bottom, right]
    return attributes


def _input(graph: _Graph, layer: layers.InputLayer, inputs: list[str]) -> str:
    return "image"


def _conv(graph: _Graph, layer: layers.Conv2D, inputs: list[str]) -> str:
    kernel = np.transpose(layer.kernel.numpy(), (3, 2, 0, 1))  # H, W, in, out -> out, in, H, W
    return _convolution(graph, layer, inputs, kernel, groups=1)


def _depthwise(graph: _Graph, layer: layers.DepthwiseConv2D, inputs: list[str]) -> str:
    kernel = np.transpose(layer.kernel.numpy(), (2, 3, 0, 1))  # H, W, C, 1 -> C, 1, H, W
    return _convolution(graph, layer, inputs, kernel, groups=len(kernel))


def _convolution(
    graph: _Graph,
    layer: layers.Conv2D | layers.DepthwiseConv2D,
    inputs: list[str],
    kernel: NDArray[np.float32],
    groups: int,
) -> str:
    tensors = [*inputs, graph.weight(f"{layer.name}.weight", kernel)]
    if layer.use_bias:
        tensors.append(graph.weight(f"{layer.name}.bias", layer.bias.numpy()))
    window = _window(layer, layer.kernel_size)
    output = graph.node("Conv", tensors, f"{layer.name}.conv", group=groups, **window)
    return _activation(graph, layer, output)


def _batch_normalisation(graph: _Graph, layer: layers.BatchNormalization, inputs: list[str]) -> str:
    values = {
        "gamma": layer.gamma,
        "beta": layer.beta,
        "mean": layer.moving_mean,
        "variance": layer.moving_variance,
    }
    statistics = [graph.weight(f"{layer.name}.{key}", v.numpy()) for key, v in values.items()]
    return graph.node(
        "BatchNormalization", [*inputs, *statistics], layer.name, epsilon=layer.epsilon
    )


def _relu(graph: _Graph, layer: layers.ReLU, inputs: list[str]) -> str:
    return graph.node("Relu", inputs, layer.name)


def _pool(op: str) -> Writer:
    def write(graph: _Graph, layer: layers.Layer, inputs: list[str]) -> str:
        return graph.node(op, inputs, layer.name, **_window(layer, layer.pool_size))

    return write


def _global_average(graph: _Graph, layer: layers.GlobalAveragePooling2D, inputs: list[str]) -> str:
    pooled = graph.node("GlobalAveragePool", inputs, f"{layer.name}.pool")
    return graph.node("Flatten", [pooled], layer.name)


def _flatten(graph: _Graph, layer: layers.Flatten, inputs: list[str]) -> str:
    # Keras flattens height, width, channel: turn back, so that the dense weights fit as they are.
    turned = graph.node("Transpose", inputs, f"{layer.name}.nhwc", perm=[0, 2, 3, 1])
    return graph.node("Flatten", [turned], layer.name)


def _add(graph: _Graph, layer: layers.Add, inputs: list[str]) -> str:
    return graph.node("Add", inputs, layer.name)


def _dense(graph: _Graph, layer: layers.Dense, inputs: list[str]) -> str:
    kernel = graph.weight(f"{layer.name}.weight", layer.kernel.numpy())
    bias = graph.weight(f"{layer.name}.bias", layer.bias.numpy())
    output = graph.node("Gemm", [*inputs, kernel, bias], f"{layer.name}.gemm")
    return _activation(graph, layer, output)


def _activation(graph: _Graph, layer: layers.Layer, output: str) -> str:
    function = layer.activation.__name__
    if function == "linear":
        return output
    operators = {"relu": "Relu", "softmax": "Softmax"}
    return graph.node(operators[function], [output], layer.name)


Writer = Callable[[_Graph, layers.Layer, list[str]], str]

_WRITERS: dict[type[layers.Layer], Writer] = {
    layers.InputLayer: _input,
    layers.Conv2D: _conv,
    layers.DepthwiseConv2D: _depthwise,
    layers.BatchNormalization: _batch_normalisation,
    layers.ReLU: _relu,
    layers.MaxPooling2D: _pool("MaxPool"),
    layers.AveragePooling2D: _pool("AveragePool"),
    layers.GlobalAveragePooling2D: _global_average,
    layers.Flatten: _flatten,
    layers.Add: _add,
    layers.Dense: _dense,
}


def _writer(layer: layers.Layer) -> Writer:
    try:
        return _WRITERS[type(layer)]
    except KeyError:
        raise NotImplementedError(f"no ONNX for the layer {type(layer).__name__}") from None
