"""Known architectures by structure: what layers a network has, whatever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.analysis.architecture import architecture
from edgewise.analysis.shapes import propagate
from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.graph import Kind


class Stack:
    """Layers one behind the other over a picture of four channels."""

    def __init__(self, net: Any) -> None:
        self.net, self.last, self.count = net(x=(1, 4, 32, 32)), "x", 0

    def conv(self, size: int = 3, groups: int = 1) -> str:
        weight = np.zeros((4, 4 // groups, size, size), np.float32)
        return self._add(
            Kind.CONV, [self.last, weight], weight_layout="OI*", groups=groups, pads="same"
        )

    def add(self, other: str) -> str:
        return self._add(Kind.BINARY, [self.last, other], function="add")

    def _add(self, kind: Kind, inputs: list[Any], **attributes: Any) -> str:
        self.count += 1
        self.last = f"t{self.count}"
        self.net.layer(kind, inputs, self.last, **attributes)
        return self.last

    def family(self) -> str | None:
        graph = self.net.done(self.last)
        return architecture(graph, propagate(graph))


def test_residual_networks_by_their_convolutions_and_sums(net: Any) -> None:
    stack = Stack(net)
    stack.conv()
    for block in range(8):
        before = stack.last
        stack.conv()
        stack.conv()
        if block in (2, 4, 6):
            stack.conv(1)
        stack.add(before)
    assert stack.family() == "resnet-18"


def test_separable_convolutions_with_and_without_sums(net: Any) -> None:
    first, second = Stack(net), Stack(net)
    first.conv()
    for _ in range(13):
        first.conv(3, groups=4)
        first.conv(1)
    assert first.family() == "mobilenet-v1"
    second.conv()
    for block in range(17):
        before = second.last
        second.conv(1)
        second.conv(3, groups=4)
        second.conv(1)
        if block < 10:
            second.add(before)
    assert second.family() == "mobilenet-v2"


def test_what_fits_no_family_is_unknown(net: Any) -> None:
    stack = Stack(net)
    for _ in range(7):
        stack.conv()
    assert stack.family() is None


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("file", "family"),
    [
        ("ncnn/Tencent__benchmark__models__googlenet.param", "googlenet"),
        ("ncnn/Tencent__benchmark__models__alexnet.param", "alexnet"),
        ("ncnn/Tencent__benchmark__models__resnet18.param", "resnet-18"),
        ("ncnn/Tencent__benchmark__models__squeezenet.param", "squeezenet"),
        ("ncnn/Tencent__benchmark__models__mobilenet_ssd.param", None),
        ("tnn/Tencent__benchmark__benchmark-model__resnet50.tnnproto", "resnet-50"),
        ("tnn/Tencent__benchmark__benchmark-model__quant_mobilenet_v2.tnnproto", "mobilenet-v2"),
    ],
)
def test_published_networks(corpus: Path, file: str, family: str | None) -> None:
    assert summarise(open_file(str(corpus / "models" / file))).architecture == family
