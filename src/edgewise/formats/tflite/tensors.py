"""Tensors of a TFLite model: shapes with their free dimensions, quantisation, unread weights."""

from __future__ import annotations

import math
from functools import cached_property

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats import siblings
from edgewise.formats.flatbuffer import Table, Tables
from edgewise.formats.tflite.schema import (
    BLOCKWISE,
    MULTI_AXIS,
    TENSOR_TYPES,
    BlockwiseSlot,
    BufferSlot,
    ExternalBufferSlot,
    ModelSlot,
    QuantizationSlot,
    SubGraphSlot,
    TensorSlot,
)
from edgewise.graph import DTYPE_BITS, FreeDim, Quantization, Shape, Tensor, Weights


class TensorReader:
    """Reads the tensors of one file. All tensors of one buffer share one `Weights` object."""

    def __init__(self, file: File, data: memoryview, model: Table) -> None:
        self._file = file
        self._data = data
        self._buffers = model.tables(ModelSlot.BUFFERS)
        self._external_groups = model.tables(ModelSlot.EXTERNAL_GROUPS)
        self._external = {
            buffer.uint32(ExternalBufferSlot.ID): buffer
            for buffer in model.tables(ModelSlot.EXTERNAL_BUFFERS)
        }
        self._stored: dict[int, Weights | None] = {}
        self._stored_outside: dict[int, Weights] = {}
        self._subgraphs = model.tables(ModelSlot.SUBGRAPHS)
        self.companions: dict[str, None] = {}
        #: The end of the farthest weights outside the flatbuffer.
        self.reach = 0

    def read(self, tables: Tables, inputs: frozenset[int]) -> list[Tensor]:
        """The tensors of a subgraph; `inputs` are those that the caller feeds."""
        return [self._tensor(tables, at, at in inputs) for at in range(len(tables))]

    def buffer(self, number: int) -> memoryview:
        """The bytes of a buffer; empty where it has none.

        Raises:
            RejectedModel: there is no such buffer, or it lies beyond the end of the file.
        """
        if number >= len(self._buffers):
            raise RejectedModel(f"buffer {number} of {len(self._buffers)} does not exist")
        table = self._buffers[number]
        inline = table.bytes(BufferSlot.DATA)
        start, size = table.uint64(BufferSlot.OFFSET), table.uint64(BufferSlot.SIZE)
        if len(inline) or start <= 1 or not size:
            return inline
        if start + size > len(self._data):
            raise RejectedModel(
                f"buffer {number} ends at byte {start + size:,}, the file at {len(self._data):,}"
            )
        self.reach = max(self.reach, start + size)
        return self._data[start : start + size]

    @cached_property
    def _ranks_stated(self) -> bool:
        """Whether the file is from a converter that states `has_rank`."""
        tensors = self._subgraphs[0].tables(SubGraphSlot.TENSORS)
        return any(tensor.flag(TensorSlot.HAS_RANK) for tensor in tensors)

    def _tensor(self, tables: Tables, at: int, fed: bool) -> Tensor:
        table = tables[at]
        name = table.text(TensorSlot.NAME) or f"tensor_{at}"
        number = table.int8(TensorSlot.TYPE)
        dtype = TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else f"type_{number}"
        weights = self._weights(table)
        shape = self._shape(table, name, fed, weights is not None)
        if weights is not None and table.table(TensorSlot.SPARSITY) is None:
            _check_size(name, dtype, shape, weights)
        return Tensor(name, dtype, shape, weights, _quantization(table, tables))

    def _shape(self, table: Table, name: str, fed: bool, stored: bool) -> Shape | None:
        sizes = table.int32s(TensorSlot.SHAPE)
        if not sizes:
            # Files from before `has_rank` leave it out for scalars as well.
            known = stored or table.flag(TensorSlot.HAS_RANK) or not self._ranks_stated
            return () if known else None
        if min(sizes) < -1:
            raise RejectedModel(f"tensor {name!r} has the shape {list(sizes)}")
        signature = () if stored else table.int32s(TensorSlot.SHAPE_SIGNATURE)
        if -1 not in signature and -1 not in sizes:
            return sizes
        if len(signature) != len(sizes):
            signature = sizes
        return tuple(
            FreeDim(_free_name(name, axis, fed and len(sizes) > 1), size if size >= 0 else None)
            if -1 in (size, signature[axis])
            else size
            for axis, size in enumerate(sizes)
        )

    def _weights(self, table: Table) -> Weights | None:
        outside = table.uint32(TensorSlot.EXTERNAL_BUFFER)
        if outside:
            return self._weights_outside(outside)
        number = table.uint32(TensorSlot.BUFFER)
        if number not in self._stored:
            data = self.buffer(number)
            self._stored[number] = Weights(len(data), lambda: data) if len(data) else None
        return self._stored[number]

    def _weights_outside(self, number: int) -> Weights:
        """Weights in another file, whose name the buffer's group tells."""
        if number not in self._stored_outside:
            buffer = self._external.get(number)
            group = buffer.uint32(ExternalBufferSlot.GROUP) if buffer else 0
            if buffer is None or group >= len(self._external_groups):
                raise RejectedModel(f"external buffer {number} does not exist")
            name = self._external_groups[group].text(0) or ""
            start = buffer.uint64(ExternalBufferSlot.OFFSET)
            size = buffer.uint64(ExternalBufferSlot.LENGTH)
            self.companions[name] = None
            other = self._file.sibling(name)
            self._stored_outside[number] = siblings.stored(other, name, start, size)
        return self._stored_outside[number]


def _free_name(tensor: str, axis: int, fed: bool) -> str:
    """The first axis of what the caller feeds is the batch, one for all inputs."""
    return "batch" if fed and axis == 0 else f"{tensor}_{axis}"


def _check_size(name: str, dtype: str, shape: Shape | None, weights: Weights) -> None:
    bits = DTYPE_BITS.get(dtype)
    if bits is None or shape is None:
        return
    wanted = -(-math.prod(d for d in shape if isinstance(d, int)) * bits // 8)
    if wanted > weights.nbytes:
        raise RejectedModel(
            f"tensor {name!r} holds {weights.nbytes:,} bytes, its shape needs {wanted:,}"
        )


def _quantization(table: Table, tables: Tables) -> Quantization | None:
    stored = table.table(TensorSlot.QUANTIZATION)
    if stored is None:
        return None
    details = stored.table(QuantizationSlot.DETAILS)
    in_tensors = stored.uint8(QuantizationSlot.DETAILS_TYPE) in (BLOCKWISE, MULTI_AXIS)
    if details is not None and in_tensors:
        return _blockwise(details, stored, tables)
    scales = stored.count(QuantizationSlot.SCALE, 4)
    if not scales:
        return None
    if scales > 1:
        return Quantization(scales, axis=stored.int32(QuantizationSlot.DIMENSION))
    return Quantization(
        1,
        scale=stored.first_float32(QuantizationSlot.SCALE),
        zero_point=stored.first_int64(QuantizationSlot.ZERO_POINT),
    )


def _blockwise(details: Table, stored: Table, tables: Tables) -> Quantization:
    """Scales per block stand in a tensor of their own."""
    number = details.int32(BlockwiseSlot.SCALES)
    if not 0 <= number < len(tables):
        raise RejectedModel(f"scales of blocks in tensor {number}, which does not exist")
    return Quantization(
        math.prod(tables[number].int32s(TensorSlot.SHAPE)),
        axis=stored.int32(QuantizationSlot.DIMENSION),
        block_size=details.int32(BlockwiseSlot.BLOCK_SIZE) or None,
    )
