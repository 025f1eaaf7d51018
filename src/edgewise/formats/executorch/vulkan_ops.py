"""Operators that the Vulkan delegate has besides ATen's (`et_vk.…`, public code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewise.formats.aten.recorder import Recorder, Ref
from edgewise.formats.kit import Meaning
from edgewise.graph import Kind

Own = Callable[[Recorder, list[Any], str], Any]


def _copied(recorder: Recorder, values: list[Any], name: str) -> Any:
    return recorder.emit(name, Meaning(Kind.IDENTITY), values[:1])


def _stated(recorder: Recorder, values: list[Any], name: str) -> Any:
    refs = [value for value in values if isinstance(value, Ref)]
    return recorder.emit(name, Meaning(Kind.POSTPROCESS), refs)


#: A function of our own, or the operator of ATen that it is.
OWN: Mapping[str, Own | str] = {
    "prepack": _copied, "clone": _copied, "to_copy": _copied,
    "conv_with_clamp": "aten::convolution", "conv_with_clamp.default": "aten::convolution",
    "conv_with_clamp.out": "aten::convolution",
    "grid_priors": _stated, "apply_rotary_emb": _stated, "linear_weight_int4": "et_vk::int4",
}  # fmt: skip
