"""Which formats there are: the one list."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from edgewise.archive import File
from edgewise.graph import Graph

#: Bytes of a file's head that every `recognise` may rely on (fewer where the file is shorter).
HEAD_BYTES = 512


class Format(Protocol):
    """What a module in this room offers. It is the module itself: no classes needed."""

    NAME: str
    EXTENSIONS: tuple[str, ...]

    def recognise(self, head: bytes, name: str) -> float:
        """How surely this is the format, from its first `HEAD_BYTES` and its name.

        0: it is not. Up to 0.5: the name alone says so (worth a strict parse, whose failure is a
        rejection that users should see). Above 0.5: the bytes say so.
        """
        ...

    def read(self, file: File) -> Graph:
        """Parse strictly.

        Raises:
            RejectedModel: it is no valid file of this format; says where it breaks.
            OpaqueModel: only the format is certain.
        """
        ...


@cache
def formats() -> tuple[Format, ...]:
    """All formats, in the order they are tried."""
    from edgewise.formats import ggml, gguf, ncnn, onnx, openvino, pnnx, safetensors, tflite

    return (tflite, onnx, openvino, safetensors, gguf, ggml, ncnn, pnnx)  # type: ignore[return-value]


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
