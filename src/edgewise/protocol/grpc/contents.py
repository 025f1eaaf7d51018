"""Tensors from and to the messages of the protocol, in either of its two encodings.

Raw contents are bytes beside the inputs, in their order; typed contents are lists of elements
within each. A message has one or the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise.protocol.messages import BadRequest, Tensor
from edgewise.protocol.tensors import checked_shape, from_elements, from_raw, to_elements, to_raw

#: The list that holds a datatype's elements; FP16 has none.
TYPED = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def tensors(heads: Sequence[Any], raw: Sequence[memoryview]) -> tuple[Tensor, ...]:
    """The tensors of a message: its inputs or outputs with its raw contents.

    Raises:
        BadRequest: they do not fit each other; which tensor, and why.
    """
    if not raw:
        return tuple([_typed(head) for head in heads])
    if len(raw) != len(heads):
        raise BadRequest(f"{len(heads)} tensors, but {len(raw)} raw contents")
    # MLServer sets contents beside raw ones, but leaves them empty.
    if mixed := next((head.name for head in heads if head.contents.ListFields()), None):
        raise BadRequest(f"the tensor '{mixed}' has typed contents beside the raw ones")
    return tuple(
        [
            from_raw(head.name, head.datatype, head.shape, content)
            for head, content in zip(heads, raw, strict=True)
        ]
    )


def put(head: Any, tensor: Tensor, *, typed: bool) -> None:
    """Describe a tensor in an input or output of a message, with its elements if `typed`."""
    head.name = tensor.name
    head.datatype = tensor.datatype
    head.shape.extend(tensor.shape)
    if typed:
        getattr(head.contents, TYPED[tensor.datatype]).extend(to_elements(tensor))


def _typed(head: Any) -> Tensor:
    name, datatype = head.name, head.datatype
    shape = checked_shape(name, datatype, head.shape)
    if (field := TYPED.get(datatype)) is None:
        raise BadRequest(f"the tensor '{name}' is {datatype}, which goes as raw contents only")
    filled = [each.name for each, _ in head.contents.ListFields()]
    if wrong := [each for each in filled if each != field]:
        raise BadRequest(f"the tensor '{name}' is {datatype}, but has {wrong[0]}, not {field}")
    return from_elements(name, datatype, shape, list(getattr(head.contents, field)))


def raw(tensors: Sequence[Tensor]) -> list[bytes | memoryview]:
    """The raw contents of tensors."""
    return [to_raw(tensor) for tensor in tensors]
