"""The networks of the paper's experiment, by their published structures.

- AlexNet: Krizhevsky et al., NIPS 2012, in the one-column form with groups that Caffe's model zoo
  has as `bvlc_alexnet` (227×227, LRN before pooling): 60,965,224 parameters, 724 M MACs.
- Network-in-Network for ImageNet: Lin et al., ICLR 2014, as its authors gave it to Caffe's model
  zoo (`nin_imagenet`, 224×224): 7.6 M parameters, 1.1 G MACs.
- SqueezeNet v1.1: Iandola et al. 2016, as in DeepScale/SqueezeNet (227×227): 1,235,496 parameters,
  388 M MACs (349 M with the 224×224 of torchvision).

Pooling rounds its output up, as Caffe does. Dropout does nothing when a network is used and is left
out. Weights are random with He et al.'s deviation √(2 / fan-in), so that activations neither vanish
into denormal numbers nor grow: times do not depend on the values, answers mean nothing.
"""

from __future__ import annotations

import math

from edgewise.placement.recipes.onnx_writer import Attribute, Network, Node, Port, Weight

CLASSES = 1000
_NOTE = "random weights: times are meant, answers mean nothing"


class Chain:
    """A network while it is put together, one layer on top of the last.

    `shape` is (channels, height, width) of what the last layer gives.
    """

    def __init__(self, size: int) -> None:
        self.input = Port("data", (1, 3, size, size))
        self.shape: tuple[int, int, int] = (3, size, size)
        self._top = self.input.name
        self._nodes: list[Node] = []
        self._weights: list[Weight] = []

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
    ) -> Chain:
        """A convolution and its ReLU."""
        taken, height, width = self.shape
        weights = (channels, taken // group, kernel, kernel)
        self._weigh(name, weights)
        self._add("Conv", name, (f"{name}.weight", f"{name}.bias"), {
            "group": group, "kernel_shape": (kernel,) * 2, "pads": (pad,) * 4,
            "strides": (stride,) * 2,
        })  # fmt: skip
        sides = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
        self.shape = (channels, sides[0], sides[1])
        self._add("Relu", f"{name}/relu")
        return self

    def pool(self, name: str, kernel: int = 3, stride: int = 2) -> Chain:
        """Maximum pooling, its output rounded up."""
        channels, *sides = self.shape
        height, width = (math.ceil((side - kernel) / stride) + 1 for side in sides)
        self._add("MaxPool", name, (), {
            "ceil_mode": 1, "kernel_shape": (kernel,) * 2, "strides": (stride,) * 2,
        })  # fmt: skip
        self.shape = (channels, height, width)
        return self

    def norm(self, name: str) -> Chain:
        """AlexNet's local response normalisation over five channels (Caffe's constants)."""
        self._add("LRN", name, (), {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, "size": 5})
        return self

    def dense(self, name: str, units: int, *, relu: bool) -> Chain:
        """A fully connected layer over everything below it."""
        taken = math.prod(self.shape)
        if self.shape[1:] != (1, 1):
            self._add("Flatten", f"{name}/flat", (), {"axis": 1})
        self._weigh(name, (units, taken))
        self._add("Gemm", name, (f"{name}.weight", f"{name}.bias"), {"transB": 1})
        self.shape = (units, 1, 1)
        if relu:
            self._add("Relu", f"{name}/relu")
        return self

    def fire(self, name: str, squeeze: int, expand: int) -> Chain:
        """SqueezeNet's module: 1×1 to fewer channels, then 1×1 and 3×3 side by side."""
        self.conv(f"{name}/squeeze1x1", squeeze, 1)
        top, shape = self._top, self.shape
        self.conv(f"{name}/expand1x1", expand, 1)
        left, self._top, self.shape = self._top, top, shape
        self.conv(f"{name}/expand3x3", expand, 3, pad=1)
        self._add("Concat", f"{name}/concat", (), {"axis": 1}, below=(left, self._top))
        self.shape = (2 * expand, *self.shape[1:])
        return self

    def average(self, name: str) -> Chain:
        """The mean of every channel."""
        self._add("GlobalAveragePool", name)
        self._add("Flatten", f"{name}/flat", (), {"axis": 1})
        self.shape = (self.shape[0], 1, 1)
        return self

    def finish(self, name: str, source: str) -> Network:
        """The network, with a softmax on top."""
        self._add("Softmax", "prob", (), {"axis": 1})
        return Network(
            name=name,
            description=f"{source}; {_NOTE}",
            input=self.input,
            output=Port("prob", (1, self.shape[0])),
            nodes=tuple(self._nodes),
            weights=tuple(self._weights),
        )

    def _weigh(self, name: str, shape: tuple[int, ...]) -> None:
        std = math.sqrt(2 / math.prod(shape[1:]))
        self._weights += [
            Weight(f"{name}.weight", shape, std), Weight(f"{name}.bias", shape[:1], 0.01)
        ]  # fmt: skip

    def _add(
        self,
        op: str,
        name: str,
        weights: tuple[str, ...] = (),
        attributes: dict[str, Attribute] | None = None,
        *,
        below: tuple[str, ...] | None = None,
    ) -> None:
        inputs = (*(below or (self._top,)), *weights)
        self._nodes.append(Node(op, inputs, name, attributes or {}))
        self._top = name


def alexnet() -> Network:
    """AlexNet in one column, with groups."""
    chain = Chain(227)
    chain.conv("conv1", 96, 11, stride=4).norm("norm1").pool("pool1")
    chain.conv("conv2", 256, 5, pad=2, group=2).norm("norm2").pool("pool2")
    chain.conv("conv3", 384, 3, pad=1).conv("conv4", 384, 3, pad=1, group=2)
    chain.conv("conv5", 256, 3, pad=1, group=2).pool("pool5")
    chain.dense("fc6", 4096, relu=True).dense("fc7", 4096, relu=True)
    chain.dense("fc8", CLASSES, relu=False)
    return chain.finish("alexnet", "AlexNet (NIPS 2012) as Caffe's bvlc_alexnet")


def network_in_network() -> Network:
    """Network-in-Network for ImageNet."""
    chain = Chain(224)
    chain.conv("conv1", 96, 11, stride=4).conv("cccp1", 96, 1).conv("cccp2", 96, 1).pool("pool0")
    chain.conv("conv2", 256, 5, pad=2).conv("cccp3", 256, 1).conv("cccp4", 256, 1).pool("pool2")
    chain.conv("conv3", 384, 3, pad=1).conv("cccp5", 384, 1).conv("cccp6", 384, 1).pool("pool3")
    chain.conv("conv4", 1024, 3, pad=1).conv("cccp7", 1024, 1).conv("cccp8", CLASSES, 1)
    chain.average("pool4")
    return chain.finish("network-in-network", "Network-in-Network (ICLR 2014), nin_imagenet")


def squeezenet(size: int = 227) -> Network:
    """SqueezeNet v1.1 for images of `size` × `size` pixels."""
    chain = Chain(size)
    chain.conv("conv1", 64, 3, stride=2).pool("pool1")
    chain.fire("fire2", 16, 64).fire("fire3", 16, 64).pool("pool3")
    chain.fire("fire4", 32, 128).fire("fire5", 32, 128).pool("pool5")
    chain.fire("fire6", 48, 192).fire("fire7", 48, 192)
    chain.fire("fire8", 64, 256).fire("fire9", 64, 256)
    chain.conv("conv10", CLASSES, 1).average("pool10")
    return chain.finish("squeezenet-v1.1", "SqueezeNet v1.1 (2016)")
