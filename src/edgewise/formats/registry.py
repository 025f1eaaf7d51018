"""Which formats there are: the one list."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from edgewise.formats.contract import HEAD_BYTES, Format
from edgewise.plugins import declared

__all__ = ["HEAD_BYTES", "Format", "by_name", "formats", "recognise"]

#: Modules of this room, in the order they are tried. One that is taken away is a format less.
_MODULES = (
    "tflite",
    "onnx",
    "ort",
    "ncnn",
    "pnnx",
    "caffe",
    "tnn",
    "mnn",
    "tensorflow",
    "tfjs",
    "keras",
    "paddle",
    "paddlelite",
    "coreml",
    "openvino",
    "pytorch",
    "executorch",
    "mindspore",
    "safetensors",
    "gguf",
    "ggml",
    "rknn",
    "identified",
)


@cache
def formats() -> tuple[Format, ...]:
    """All formats, in the order they are tried; those of plug-ins last."""
    modules = [each for each in map(_module, _MODULES) if each is not None]
    return tuple(
        each for module in (*modules, *declared("formats")) for each in _formats_of(module)
    )


def recognise(head: bytes, name: str) -> Format | None:
    """The likeliest format of a file, or None where it is no candidate."""
    best, score = None, 0.0
    for candidate in formats():
        sure = candidate.recognise(head, name)
        if sure > score:
            best, score = candidate, sure
    return best


def by_name(name: str) -> Format:
    """The format called `name`."""
    return next(candidate for candidate in formats() if name == candidate.NAME)


def _module(name: str) -> Any:
    """The module of that name in this room, None where it is not there."""
    full = f"{__package__}.{name}"
    try:
        return import_module(full)
    except ModuleNotFoundError as error:
        if error.name == full:
            return None
        raise


def _formats_of(module: Any) -> tuple[Format, ...]:
    """A module is one format, or lists several as `FORMATS`."""
    found: tuple[Format, ...] = getattr(module, "FORMATS", (module,))
    return found
