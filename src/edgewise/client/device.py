"""The variant of a family that runs on the device: in this process, in a thread of its own.

The runtimes leave Python's lock while they compute, and a session is not safe to share: so there
is one thread, which loads the model once and answers one question after another. A question that
nobody waits for any more is skipped if its turn has not come.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgewise.client.inputs import Question
from edgewise.errors import RuntimeRefused, UsageError
from edgewise.family import Family, Variant

if TYPE_CHECKING:
    from edgewise.runtimes.registry import Session
    from edgewise.runtimes.variant import Resolved

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Local:
    """The device's answer. `took_ms` is preparation and inference."""

    outputs: dict[str, Array]
    took_ms: float


class LocalDevice:
    """A family's device variant. Safe to use from several threads.

    Raises:
        UsageError: the family has none, or it is an endpoint.
    """

    def __init__(self, family: Family) -> None:
        variant = family.fallback()
        if variant is None:
            raise UsageError(
                f"no variant of {family.path} is for the device",
                hint='give one of them role = "device"',
            )
        if variant.file is None:
            raise UsageError(f"the variant '{variant.name}' of {family.path} is an endpoint",
                             hint="what runs on the device is a file")  # fmt: skip
        self.variant = variant
        self._family = family
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edgewise-device")
        self._model: _Model | None = None
        self._loading = self._thread.submit(self._load)

    def _load(self) -> None:
        self._model = _Model(self.variant, self._family)

    def ready(self) -> Future[None]:
        """Done when the model is loaded.

        Its exception is RuntimeRefused, MissingExtra or InputError where it cannot be.
        """
        return self._loading

    def ask(self, question: Question) -> Future[Local]:
        """Answer in the device's thread.

        The future's exception is RuntimeRefused, MissingExtra or InputError.
        """
        return self._thread.submit(self._answer, question)

    def _answer(self, question: Question) -> Local:
        if self._model is None:
            raise self._loading.exception() or RuntimeRefused("the device's model is not loaded")
        return self._model.answer(question)

    def close(self) -> None:
        """Drop what is queued; what runs ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Model:
    """A loaded variant; used by one thread."""

    def __init__(self, variant: Variant, family: Family) -> None:
        from edgewise.formats.runtime import runtime_for
        from edgewise.runtimes import runner
        from edgewise.runtimes.variant import classes, resolve

        path = Path(str(variant.file))
        self._runner = runner.load(runtime_for(variant), path)
        self._session: Session = self._runner.session
        self._how: Resolved | None = None
        if family.input.kind == "image":
            if len(self._session.inputs) != 1:
                raise RuntimeRefused(
                    f"{path.name} has {len(self._session.inputs)} inputs, an image fits one"
                )
            self._how = resolve(variant.preprocess, self._session.inputs[0])
        found, names = classes(self._session), family.label_names
        if names and found and found != len(names):
            raise RuntimeRefused(
                f"{path.name} has {found} classes, the family has {len(names)} labels"
            )

    def answer(self, question: Question) -> Local:
        from edgewise.runtimes.variant import real

        started = perf_counter()
        self._runner.run(self._values(question))
        results = self._session.results()
        took_ms = 1000 * (perf_counter() - started)
        ports = {port.name: port for port in self._session.outputs}
        return Local({name: real(of, ports[name]) for name, of in results.items()}, took_ms)

    def _values(self, question: Question) -> Mapping[str, Array]:
        from edgewise.runtimes.variant import prepare

        ports = self._session.inputs
        if self._how is not None and question.arrays is None:
            return {ports[0].name: prepare(question.image(), self._how)}
        if question.arrays is None:
            raise RuntimeRefused("the variant on the device takes a tensor, this is an image")
        arrays = question.arrays
        if len(arrays) == len(ports) == 1:
            return {ports[0].name: np.ascontiguousarray(next(iter(arrays.values())))}
        names = {port.name for port in ports}
        if arrays.keys() != names:
            raise RuntimeRefused(
                f"the variant on the device takes {', '.join(sorted(names))}, "
                f"not {', '.join(sorted(arrays))}"
            )
        return {name: np.ascontiguousarray(value) for name, value in arrays.items()}
