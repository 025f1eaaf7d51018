"""The demo's networks, small to large. They differ in input size and capacity, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import keras
from keras import layers

from demo_data import CLASSES

Build = Callable[[keras.KerasTensor], keras.KerasTensor]


@dataclass(frozen=True)
class Network:
    """One trained network; `side` is the height and width of its grey input in pixels.

    Training stops after `patience` epochs without a better validation loss.
    """

    name: str
    side: int
    build: Build
    learning_rate: float = 1e-3
    patience: int = 25

    def model(self) -> keras.Model:
        """Build the Keras model: (n, side, side, 1) float32 in, (n, 10) probabilities out."""
        image = keras.Input((self.side, self.side, 1), name="image")
        return keras.Model(image, self.build(image), name=self.name)


def _classify(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(CLASSES, activation="softmax", name="probabilities")(x)


def _conv(x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    return layers.Conv2D(channels, 3, padding="same", activation="relu")(x)


def _normalised(x: keras.KerasTensor, layer: layers.Layer, relu: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization()(layer(x))
    return layers.ReLU()(x) if relu else x


def _conv_bn(
    x: keras.KerasTensor, channels: int, stride: int = 1, relu: bool = True
) -> keras.KerasTensor:
    conv = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)
    return _normalised(x, conv, relu)


def _separable(x: keras.KerasTensor, channels: int, stride: int = 1) -> keras.KerasTensor:
    depthwise = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)
    pointwise = layers.Conv2D(channels, 1, use_bias=False)
    return _normalised(_normalised(x, depthwise), pointwise)


def _residual(x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    y = _conv_bn(_conv_bn(x, channels), channels, relu=False)
    return layers.ReLU()(layers.Add()([x, y]))


def linear(image: keras.KerasTensor) -> keras.KerasTensor:
    """Logistic regression on the pixels."""
    return _classify(layers.Flatten()(image))


def narrow_cnn(image: keras.KerasTensor) -> keras.KerasTensor:
    """Two narrow convolutions and a global average."""
    x = layers.MaxPooling2D()(_conv(image, 4))
    return _classify(layers.GlobalAveragePooling2D()(_conv(x, 8)))


def small_cnn(image: keras.KerasTensor) -> keras.KerasTensor:
    """Convolution and pooling twice, then one dense layer, as LeNet had it."""
    x = layers.MaxPooling2D()(_conv(image, 8))
    x = layers.AveragePooling2D(2)(_conv(x, 16))
    return _classify(layers.Flatten()(x))


def separable_cnn(image: keras.KerasTensor) -> keras.KerasTensor:
    """Depthwise-separable blocks with batch normalisation, as MobileNetV1 has them."""
    x = _conv_bn(image, 16, stride=2)
    x = _separable(x, 32)
    x = _separable(x, 64, stride=2)
    x = _separable(x, 64)
    return _classify(layers.GlobalAveragePooling2D()(x))


def residual_cnn(*widths: int) -> Build:
    """One residual block per width after the first, halving the picture between them."""

    def build(image: keras.KerasTensor) -> keras.KerasTensor:
        x = _conv_bn(image, widths[0])
        x = _residual(x, widths[0])
        for width in widths[1:]:
            x = _residual(_conv_bn(x, width, stride=2), width)
        return _classify(layers.GlobalAveragePooling2D()(x))

    return build


NETWORKS = (
    Network("digits-xxs", 3, linear, learning_rate=1e-2),
    Network("digits-xs", 8, narrow_cnn, learning_rate=3e-3),
    Network("digits-s", 16, small_cnn),
    Network("digits-m", 32, separable_cnn),
    Network("digits-l", 32, residual_cnn(8, 16, 32)),
    Network("digits-xl", 48, residual_cnn(16, 24, 48)),
)


def parameters(model: keras.Model) -> int:
    """Weights of the model as trained, batch-normalisation statistics included."""
    return int(model.count_params())


def folded_parameters(model: keras.Model) -> int:
    """Weights once each batch normalisation is folded: of its four values a bias remains."""
    normalisations = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    return parameters(model) - sum(3 * x.gamma.shape[0] for x in normalisations)


def macs(model: keras.Model) -> int:
    """Multiply-accumulates of one image: convolutions and dense layers, padding taps counted."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: layers.Layer) -> int:
    if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        return 0
    kernel = prod(layer.kernel.shape)
    # A kernel is used once per output position; a dense layer has one position.
    positions = prod(layer.output.shape[1:-1])
    return kernel * positions
