"""What shares a scale in a stored tensor, and how many bits an element takes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from edgewise.analysis.summary import summarise
from edgewise.analysis.values import quantized_per
from edgewise.archive import DiskFile
from edgewise.graph import Quantization, Tensor

DIGITS = Path(str(files("edgewise.demo") / "data" / "digits"))


@pytest.mark.parametrize(
    ("dtype", "quantization", "shared"),
    [
        ("float32", None, None),
        ("int8", None, None),
        ("int8", Quantization(1, scale=0.5, zero_point=3), "tensor"),
        ("int8", Quantization(4, axis=0), "channel"),
        ("int4", Quantization(4), "channel"),
        ("int4", Quantization(8, axis=1, block_size=4), "block"),
        ("int4", Quantization(6), "block"),
        ("uint6", Quantization(1, palette=True), "palette"),
    ],
)
def test_what_shares_a_scale(
    dtype: str, quantization: Quantization | None, shared: str | None
) -> None:
    assert quantized_per(Tensor("w", dtype, (4, 8), None, quantization)) == shared


def test_a_model_says_it_of_each_tensor() -> None:
    rows = summarise(DiskFile(DIGITS / "digits-l-int8.tflite"), weights=True).tensors or ()
    held = {(row.dtype, row.quantized_per, row.bits) for row in rows}
    assert ("int8", "channel", 8.0) in held
    rows = summarise(DiskFile(DIGITS / "digits-l.tflite"), weights=True).tensors or ()
    assert {(row.quantized_per, row.bits) for row in rows} == {(None, 32.0)}
