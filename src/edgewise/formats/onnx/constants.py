"""The values of ONNX's Constant nodes, in each of the eight attributes that may hold one."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.onnx.weights import ExternalFiles, sparse_tensor, stored_tensor
from edgewise.formats.onnx.wire import Message
from edgewise.formats.protobuf import Wire
from edgewise.graph import Tensor, Weights

#: Attributes holding plain values: (dtype, struct's sign of one element).
_PLAIN: Mapping[str, tuple[str, str]] = {
    "value_int": ("int64", "q"), "value_ints": ("int64", "q"),
    "value_float": ("float32", "f"), "value_floats": ("float32", "f"),
}  # fmt: skip
_STRINGS = ("value_string", "value_strings")


def constant_tensor(
    wire: Wire, files: ExternalFiles, name: str, attributes: Mapping[str, Any]
) -> Tensor:
    """The tensor called `name` that a Constant node with these attributes gives."""
    for attribute, value in attributes.items():
        if isinstance(value, Message) and attribute in ("value", "sparse_value"):
            read = stored_tensor if value.what == "tensor" else sparse_tensor
            tensor = read(wire, value.span, files)
            tensor.name = name
            return tensor
        if value is not None and (attribute in _PLAIN or attribute in _STRINGS):
            return _plain(name, attribute, value)
    raise RejectedModel(f"constant {name!r} without a value")


def _plain(name: str, attribute: str, value: Any) -> Tensor:
    values = value if isinstance(value, tuple) else (value,)
    shape = (len(values),) if isinstance(value, tuple) else ()
    if attribute in _STRINGS:
        dtype, packed = "string", "".join(map(str, values)).encode()
    else:
        dtype, sign = _PLAIN[attribute]
        try:
            packed = struct.pack(f"<{len(values)}{sign}", *values)
        except struct.error as error:
            raise RejectedModel(f"constant {name!r}: {attribute} is {value!r:.40}") from error
    return Tensor(name, dtype, shape, Weights(len(packed), lambda: memoryview(packed)))
