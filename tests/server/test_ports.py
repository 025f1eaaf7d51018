"""Whether tensors fit a model's inputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.protocol.messages import BadRequest, Tensor
from edgewise.records import Port
from edgewise.server.pool import ports

FIXED = Port(name="x", shape=(1, 4), dtype="float32")
FREE = Port(name="x", shape=None, dtype="float32", signature=("n", 4))
TEXT = Port(name="x", shape=(1,), dtype="complex64")


def of(*shape: int) -> Tensor:
    return Tensor("x", "FP32", shape, np.zeros(shape, np.float32))


def test_free_sizes_take_any_fixed_ones_only_theirs() -> None:
    for batch in (1, 7):
        assert ports.arrays("m", [FREE], [of(batch, 4)], any_batch=False)["x"].shape == (batch, 4)
    with pytest.raises(BadRequest, match=r"\[7, 4\], not \[1, 4\]"):
        ports.arrays("m", [FIXED], [of(7, 4)], any_batch=False)
    assert ports.arrays("m", [FIXED], [of(7, 4)], any_batch=True)["x"].shape == (7, 4)


@pytest.mark.parametrize("shape", [(4,), (1, 5), (1, 4, 1), ()])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest, match="shape"):
        ports.arrays("m", [FIXED], [of(*shape)], any_batch=True)


def test_types_that_are_not_served_are_said() -> None:
    with pytest.raises(BadRequest, match="complex64, which is not served"):
        ports.arrays("m", [TEXT], [Tensor("x", "BYTES", (1,), (b"a",))], any_batch=False)
    with pytest.raises(BadRequest, match="BYTES, not FP32"):
        ports.arrays("m", [FIXED], [Tensor("x", "BYTES", (1, 4), (b"",) * 4)], any_batch=False)


def test_outputs_become_tensors_of_the_protocol() -> None:
    for dtype, datatype in (("float16", "FP16"), ("bool", "BOOL"), ("uint64", "UINT64")):
        made = ports.tensor("y", np.ones((2, 3), dtype).T)
        assert (made.datatype, made.shape) == (datatype, (3, 2))
        assert made.values.flags.c_contiguous  # type: ignore[union-attr]
    words = ports.tensor("y", np.array([["a", b"b"]], dtype=object))
    assert (words.datatype, words.shape, words.values) == ("BYTES", (1, 2), (b"a", b"b"))
    with pytest.raises(ValueError, match="complex64"):
        ports.tensor("y", np.ones(2, "complex64"))
