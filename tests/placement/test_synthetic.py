"""Questions that nobody gave."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.family import Preprocess
from edgewise.placement import synthetic
from edgewise.records import Port


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((1, 224, 224, 3), "image"), ((1, 3, 224, 224), "image"), ((1, 28, 28, 1), "tensor"),
        ((1, 512), "tensor"), ((1, 224, 224, 4), "tensor"), ((), "tensor"),
    ],
)  # fmt: skip
def test_only_colours_make_an_image(shape: tuple[int, ...], kind: str) -> None:
    assert synthetic.kind_of([Port("x", shape, "float32")], Preprocess()) == kind


def test_two_inputs_are_no_image() -> None:
    port = Port("x", (1, 224, 224, 3), "float32")
    assert synthetic.kind_of([port, port], Preprocess()) == "tensor"


def test_numbers_fit_the_inputs_and_are_the_same_again() -> None:
    inputs = [Port("a", (1, 4), "float32"), Port("b", (2, 2), "int8", ("n", 2))]
    first, second = synthetic.tensors(inputs, ()), synthetic.tensors(inputs, ())
    assert [(each.name, each.datatype, each.shape) for each in first] == [
        ("a", "FP32", (1, 4)), ("b", "INT8", (1, 2))
    ]  # fmt: skip
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("port", [Port("c", (1,), "complex64"), Port("x", None, "float32")])
def test_what_cannot_be_made_up_is_refused_with_the_option(port: Port) -> None:
    with pytest.raises(InputError, match="no inputs can be made up") as caught:
        synthetic.tensors([port], ())
    assert "--input" in str(caught.value.hint)
