"""A variant in a worker process: loaded, fed with what callers sent, and run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import EdgewiseError, InputError, RuntimeRefused
from edgewise.protocol.messages import BadRequest, Tensor
from edgewise.records import Port
from edgewise.runtimes import runner, variant
from edgewise.runtimes.values import random_values
from edgewise.server.pool import ports
from edgewise.server.pool.frames import Runnable, plain

Array = NDArray[Any]
Values = dict[str, Array]


@dataclass(slots=True)
class Times:
    """Where the time of a batch went, in ms. A change of shape counts as preprocessing."""

    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    postprocess_ms: float = 0.0


class Hosted:
    """One loaded variant.

    Raises (from the constructor):
        RuntimeRefused: the runtime does not take the file, or the family's preprocessing does not
            fit its input.
        MissingExtra: the runtime is not installed.
    """

    def __init__(self, runnable: Runnable) -> None:
        self.runnable = runnable
        self.name = plain(runnable.key)
        self._runner = runner.load(
            runnable.runtime,
            Path(runnable.file),
            threads=runnable.threads,
            delegate=runnable.delegate,
        )
        self.session = self._runner.session
        self._image = self._resolved()
        #: A batch of 1 that the file fixes is no obstacle to a session that resizes it.
        self._resizes_one = self.session.resizes_fixed
        self._batches = all(self._has_batch(port) for port in self.session.inputs)
        self._prepared: tuple[Sequence[Tensor] | None, Values] = (None, {})

    def _resolved(self) -> variant.Resolved | None:
        """How images are prepared, None where callers send tensors."""
        if self.runnable.input_kind != "image":
            return None
        if len(self.session.inputs) != 1:
            raise RuntimeRefused(
                f"'{self.name}': {len(self.session.inputs)} inputs, an image is one"
            )
        return variant.resolve(self.runnable.preprocess, self.session.inputs[0])

    def _has_batch(self, port: Port) -> bool:
        sizes = ports.stated(port)
        if not sizes:
            return False
        return isinstance(sizes[0], str) or (self._resizes_one and sizes[0] == 1 and len(sizes) > 1)

    # -- preparing -------------------------------------------------------------------------------

    def prepare(self, tensors: Sequence[Tensor]) -> Values:
        """The model's inputs from one request's: encoded images, or tensors as the model takes
        them.

        Raises:
            BadRequest: they do not fit, or an image cannot be decoded.
        """
        if self._image is not None and len(tensors) == 1 and tensors[0].datatype == "BYTES":
            return {self.session.inputs[0].name: self._pixels(tensors[0], self._image)}
        # The same tensors, with other numbers in their memory perhaps, fit as they did.
        before, values = self._prepared
        if tensors is not before:
            values = ports.arrays(
                self.name, self.session.inputs, tensors, any_batch=self._resizes_one
            )
            self._prepared = tensors, values
        return values

    def _pixels(self, tensor: Tensor, how: variant.Resolved) -> Array:
        if not tensor.values:
            raise BadRequest(f"'{self.name}': the input '{tensor.name}' has no image")
        try:
            prepared = [
                variant.prepare(variant.decode(bytes(each), f"the image {index}"), how)
                for index, each in enumerate(tensor.values)
            ]
        except InputError as error:
            raise BadRequest(f"'{self.name}': {error.message}") from error
        return prepared[0] if len(prepared) == 1 else np.concatenate(prepared)

    # -- running ---------------------------------------------------------------------------------

    def run(
        self, requests: Sequence[Sequence[Tensor]], times: Times
    ) -> list[tuple[Tensor, ...] | EdgewiseError]:
        """The outputs of every request, or why it has none. Adds to `times`."""
        started = perf_counter()
        if len(requests) == 1:
            try:
                values = self.prepare(requests[0])
            except BadRequest as error:
                return [error]
            times.preprocess_ms += 1e3 * (perf_counter() - started)
            return [self._run_one(values, times)]
        prepared: dict[int, Values] = {}
        answers: dict[int, tuple[Tensor, ...] | EdgewiseError] = {}
        for index, tensors in enumerate(requests):
            try:
                prepared[index] = self.prepare(tensors)
            except BadRequest as error:
                answers[index] = error
        times.preprocess_ms += 1e3 * (perf_counter() - started)
        if len(prepared) > 1 and self._can_join(list(prepared.values())):
            answers |= self._run_joined(prepared, times)
        for index, values in prepared.items():
            if index not in answers:
                answers[index] = self._run_one(values, times)
        return [answers[index] for index in range(len(requests))]

    def _run_one(self, values: Values, times: Times) -> tuple[Tensor, ...] | EdgewiseError:
        try:
            return self._tensors(self._infer(values, times))
        except (RuntimeRefused, InputError) as error:
            return error

    def _can_join(self, prepared: Sequence[Values]) -> bool:
        """Whether the model takes these as one batch: equal but for the first dimension."""
        if not self._batches:
            return False
        inner = {tuple((n, v.shape[1:]) for n, v in sorted(each.items())) for each in prepared}
        # Inputs of one request with different batches have no meaning side by side.
        counts = (len({value.shape[0] for value in each.values()}) for each in prepared)
        return len(inner) == 1 and all(count == 1 for count in counts)

    def _run_joined(
        self, prepared: dict[int, Values], times: Times
    ) -> dict[int, tuple[Tensor, ...] | EdgewiseError]:
        """One inference for several requests; nothing where the model turns out not to batch."""
        started = perf_counter()
        each = list(prepared.values())
        joined = {name: np.concatenate([values[name] for values in each]) for name in each[0]}
        counts = [len(next(iter(values.values()))) for values in each]
        times.preprocess_ms += 1e3 * (perf_counter() - started)
        try:
            results = self._infer(joined, times)
        except InputError:
            return {}
        except RuntimeRefused:
            self._batches = False
            return {}
        if any(array.ndim == 0 or len(array) != sum(counts) for array in results.values()):
            self._batches = False
            return {}
        started = perf_counter()
        ends = np.cumsum(counts)
        parts = {name: np.split(array, ends[:-1]) for name, array in results.items()}
        answers: dict[int, tuple[Tensor, ...] | EdgewiseError] = {}
        for position, index in enumerate(prepared):
            answers[index] = self._tensors({name: parts[name][position] for name in results})
        times.postprocess_ms += 1e3 * (perf_counter() - started)
        return answers

    def _infer(self, values: Values, times: Times) -> Values:
        self._runner.run(values)
        ran = perf_counter()
        results = self.session.results()
        times.preprocess_ms += self._runner.fed_ns / 1e6
        times.inference_ms += self._runner.invoke_ns / 1e6
        times.postprocess_ms += 1e3 * (perf_counter() - ran)
        return results

    def _tensors(self, results: Values) -> tuple[Tensor, ...]:
        try:
            return tuple(ports.tensor(name, array) for name, array in results.items())
        except ValueError as error:
            raise RuntimeRefused(f"'{self.name}': {error}") from error

    # -- synthetic inputs ------------------------------------------------------------------------

    def synthetic_inputs(self, seed: int) -> tuple[Tensor, ...] | None:
        """What a caller might send: an encoded image of the variant's size, or random tensors.
        None where the file leaves a dimension open that nothing tells the size of."""
        if self._image is not None:
            return (Tensor("image", "BYTES", (1,), (photograph(self._image.size, seed),)),)
        shapes = {port.name: _closed(port) for port in self.session.inputs}
        known = {name: shape for name, shape in shapes.items() if shape is not None}
        if len(known) < len(shapes):
            return None
        values = random_values(self.session.inputs, self.session.outputs, known, seed)
        return tuple(ports.tensor(name, array) for name, array in values.items())

    def try_out(self) -> float | None:
        """Run once on synthetic inputs and check the output; the inference's time in ms, None where
        no input can be made up.

        Raises:
            RuntimeRefused: it does not run, or has not one output per label.
        """
        tensors = self.synthetic_inputs(seed=0)
        if tensors is None:
            return None
        times = Times()
        (answer,) = self.run([tensors], times)
        if isinstance(answer, EdgewiseError):
            raise RuntimeRefused(f"'{self.name}' does not run: {answer.message}")
        if not answer:
            raise RuntimeRefused(f"'{self.name}' has no output")
        classes = math.prod(answer[0].shape[1:])
        if self.runnable.labels and classes != self.runnable.labels:
            raise RuntimeRefused(
                f"'{self.name}': its output has {classes} classes, "
                f"the family has {self.runnable.labels} labels"
            )
        return times.inference_ms


def _closed(port: Port) -> tuple[int, ...] | None:
    """A shape to run with: a batch of 1, the sizes stored in the file for other open ones."""
    sizes = ports.stated(port)
    if sizes is None:
        return None
    shape = [
        size if isinstance(size, int) else 1 if axis == 0 else port.shape[axis] if port.shape else 0
        for axis, size in enumerate(sizes)
    ]
    return None if 0 in shape else tuple(shape)


def photograph(size: tuple[int, int], seed: int) -> bytes:
    """A photograph's stand-in: smooth random colours, so that decoding costs what photos cost."""
    import io

    image_module = variant.pillow()
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    height, width = size
    picture = image_module.fromarray(coarse).resize(
        (width, height), image_module.Resampling.BILINEAR
    )
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()
