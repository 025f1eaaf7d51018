"""A model that is run on what it is given: resized when the shapes change, fed, invoked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edgewise.runtimes import registry
from edgewise.runtimes.contract import checked
from edgewise.runtimes.refusal import not_importable, refusals

if TYPE_CHECKING:
    import numpy as np

    from edgewise.runtimes.contract import Session

    Array = np.ndarray[Any, Any]


class Runner:
    """A loaded model. `load_ns`, `fed_ns` and `invoke_ns`: how long each of the last ones took.

    A change of shape counts as feeding.
    """

    def __init__(self, session: Session, load_ns: int = 0) -> None:
        self.session = session
        self.load_ns = load_ns
        self.fed_ns = self.invoke_ns = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._fed: Mapping[str, Array] | None = None

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make ready for these shapes, where they are not those of before.

        Raises:
            RuntimeRefused: the file or the runtime does not allow them.
        """
        if shapes != self._shapes:
            self._shapes, self._fed = {}, None  # what a refusal leaves behind is not relied upon
            self.session.resize(shapes)
            self._shapes = dict(shapes)

    def run(self, values: Mapping[str, Array]) -> None:
        """One inference on these inputs; `session.results()` has its outputs.

        Raises:
            RuntimeRefused: the runtime does not take them, or fails.
        """
        started = perf_counter_ns()
        if values is not self._fed:
            self.resize({name: tuple(value.shape) for name, value in values.items()})
            self._fed = values
        self.session.feed(values)
        fed = perf_counter_ns()
        with refusals():
            self.session.invoke()
        self.fed_ns, self.invoke_ns = fed - started, perf_counter_ns() - fed


def load(
    runtime: str,
    path: Path,
    *,
    threads: int = 1,
    delegate: str | None = None,
    options: Mapping[str, str] | None = None,
    profile: Path | None = None,
) -> Runner:
    """Load a model file with the runtime of this name; its default delegate where none is given.

    Raises:
        MissingExtra: the runtime is not installed.
        RuntimeRefused: it has no such delegate or option, or does not take the file.
        UsageError: there is no such runtime.
    """
    chosen = registry.by_name(runtime)
    complete = checked(chosen.NAME, getattr(chosen, "OPTIONS", ()), options)
    started = perf_counter_ns()
    try:
        session = chosen.load(
            path,
            threads=threads,
            delegate=delegate or chosen.DEFAULT_DELEGATE,
            options=complete,
            profile=profile,
        )
    except ImportError as error:
        raise not_importable(error, chosen.EXTRA, registry.needed_for(chosen)) from error
    return Runner(session, perf_counter_ns() - started)
