"""A variant that an endpoint computes: what it takes and gives, and how its input is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, RuntimeRefused
from edgewise.family import Variant
from edgewise.protocol.messages import DATATYPES, BadRequest, InferenceFailed, Tensor
from edgewise.protocol.metadata import TensorMetadata
from edgewise.records import Port
from edgewise.runtimes import variant as images
from edgewise.runtimes.values import random_values
from edgewise.server.endpoints.transport import Described
from edgewise.server.pool import ports
from edgewise.server.pool.hosted import photograph

#: Sent to endpoints that decode images themselves when their time is measured: height, width.
_PHOTOGRAPH = (224, 224)


class RemoteModel:
    """One variant at an endpoint. Images are decoded and prepared here, unless the endpoint takes
    them encoded.

    Raises (from the constructor):
        RuntimeRefused: what the endpoint says of itself does not fit the family.
    """

    def __init__(
        self, key: str, variant: Variant, described: Described, *, takes_images: bool, labels: int
    ) -> None:
        self.key = key
        self._url = str(variant.endpoint)
        if not described.inputs or not described.outputs:
            raise RuntimeRefused(
                f"'{key}': the endpoint {self._url} does not say what it takes and gives",
                hint="declare the model's inputs and outputs there",
            )
        self._described = described
        self.inputs = tuple(self._port(each) for each in described.inputs)
        self.outputs = tuple(self._port(each) for each in described.outputs)
        self._check_labels(labels)
        self._how = self._preprocessing(variant) if takes_images else None
        self._takes_images = takes_images

    def _port(self, said: TensorMetadata) -> Port:
        dtype = "bytes" if said.datatype == "BYTES" else DATATYPES.get(said.datatype)
        if dtype is None:
            raise RuntimeRefused(f"'{self.key}': '{said.name}' at {self._url} is {said.datatype}")
        free = any(size < 0 for size in said.shape)
        return Port(
            said.name,
            tuple(1 if size < 0 else size for size in said.shape),
            dtype,
            tuple(f"size{i}" if size < 0 else size for i, size in enumerate(said.shape))
            if free
            else None,
        )

    def _check_labels(self, labels: int) -> None:
        shape = self._described.outputs[0].shape[1:]
        if labels and shape and min(shape) >= 0 and math.prod(shape) != labels:
            raise RuntimeRefused(
                f"'{self.key}': the output of {self._url} has {math.prod(shape)} classes, "
                f"the family has {labels} labels"
            )

    def _preprocessing(self, variant: Variant) -> images.Resolved | None:
        if len(self.inputs) != 1:
            raise RuntimeRefused(
                f"'{self.key}': {self._url} has {len(self.inputs)} inputs, an image is one"
            )
        if self._described.inputs[0].datatype == "BYTES":
            return None
        return images.resolve(variant.preprocess, self.inputs[0])

    # -- inputs ----------------------------------------------------------------------------------

    def prepare(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The endpoint's inputs from one request's. Takes the time of decoding.

        Raises:
            BadRequest: they do not fit, or an image cannot be decoded.
        """
        if self._takes_images and len(tensors) == 1 and tensors[0].datatype == "BYTES":
            encoded = tensors[0]
            if not encoded.values:
                raise BadRequest(f"'{self.key}': the input '{encoded.name}' has no image")
            if self._how is None:
                return (self._encoded(encoded),)
            return (ports.tensor(self.inputs[0].name, self._pixels(encoded, self._how)),)
        arrays = ports.arrays(self.key, self.inputs, tensors, any_batch=False)
        return tuple(ports.tensor(name, array) for name, array in arrays.items())

    def _encoded(self, tensor: Tensor) -> Tensor:
        rank = max(1, len(self._described.inputs[0].shape))
        shape = (len(tensor.values), *(1,) * (rank - 1))
        return Tensor(self.inputs[0].name, "BYTES", shape, tensor.values)

    def _pixels(self, tensor: Tensor, how: images.Resolved) -> NDArray[Any]:
        try:
            prepared = [
                images.prepare(images.decode(bytes(each), f"the image {index}"), how)
                for index, each in enumerate(tensor.values)
            ]
        except InputError as error:
            raise BadRequest(f"'{self.key}': {error.message}") from error
        return prepared[0] if len(prepared) == 1 else np.concatenate(prepared)

    def synthetic_inputs(self, seed: int) -> tuple[Tensor, ...] | None:
        """What a caller might send; None where a size is open that nothing tells."""
        if self._takes_images:
            size = self._how.size if self._how else _PHOTOGRAPH
            return (Tensor("image", "BYTES", (1,), (photograph(size, seed),)),)
        shapes = {port.name: port.shape or () for port in self.inputs}
        is_open = any(min(each.shape[1:], default=0) < 0 for each in self._described.inputs)
        if is_open or any(port.dtype == "bytes" for port in self.inputs):
            return None
        values = random_values(self.inputs, self.outputs, shapes, seed)
        return tuple(ports.tensor(name, array) for name, array in values.items())

    # -- outputs ---------------------------------------------------------------------------------

    def checked(self, outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The endpoint's outputs in the order of its description.

        Raises:
            InferenceFailed: they are not what it describes.
        """
        by_name = {tensor.name: tensor for tensor in outputs}
        told = self._described.outputs
        if len(by_name) != len(outputs) or by_name.keys() != {each.name for each in told}:
            raise InferenceFailed(
                f"the endpoint {self._url} answers with {_names(by_name)}, "
                f"its metadata says {_names([each.name for each in told])}"
            )
        return tuple(self._fitting(by_name[each.name], each) for each in told)

    def _fitting(self, tensor: Tensor, said: TensorMetadata) -> Tensor:
        fits = len(tensor.shape) == len(said.shape) and all(
            size in (-1, given) for size, given in zip(said.shape, tensor.shape, strict=True)
        )
        if tensor.datatype != said.datatype or not fits:
            raise InferenceFailed(
                f"the endpoint {self._url} answers with '{said.name}' {tensor.datatype} "
                f"{list(tensor.shape)}, its metadata says {said.datatype} {list(said.shape)}"
            )
        return tensor


def _names(names: Sequence[str] | dict[str, Tensor]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
