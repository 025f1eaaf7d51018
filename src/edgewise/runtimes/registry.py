"""Which runtimes there are, and what each runs: the one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgewise.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from edgewise.records import LayerTime, Port, RuntimeInfo

    Array = np.ndarray[Any, Any]


class Session(Protocol):
    """A loaded model. `resize` comes before `feed`, `feed` before `invoke`.

    `inputs` and `outputs` are as the file states them: `shape` is None where it leaves a dimension
    open without a default, `signature` names the open ones.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    #: Run once. It is the runtime's own call, nothing around it: this is what is timed. What it
    #: throws is the runtime's own too: call it inside `refusal.refusals`.
    invoke: Callable[[], object]

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make ready for inputs of these shapes, one for every input.

        Raises:
            RuntimeRefused: the file or the runtime does not allow them.
        """
        ...

    def feed(self, values: Mapping[str, Array]) -> None:
        """Set the inputs. They stay for every following `invoke`.

        Raises:
            RuntimeRefused: the runtime does not take them.
        """
        ...

    def results(self) -> dict[str, Array]:
        """The outputs of the last `invoke`, copied.

        Raises:
            RuntimeRefused: an output has no array form.
        """
        ...

    def notes(self) -> list[str]:
        """What a reader of the measurement should know about how the model is run."""
        ...

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """Times per layer over the last `runs` calls; None where the runtime has no profiler.

        Only of a session that was loaded with a profile folder, which ends with this call.
        """
        ...


class Runtime(Protocol):
    """What a module in this room offers. It is the module itself: no classes needed.

    `FORMATS` are names of `formats.registry`. `DEFAULT_DELEGATE` is one of what `info` lists.
    """

    NAME: str
    EXTRA: str
    FORMATS: tuple[str, ...]
    DEFAULT_DELEGATE: str

    def info(self) -> RuntimeInfo:
        """Version and delegates on this machine, or the reason that it is not available."""
        ...

    def load(
        self, path: Path, *, threads: int, delegate: str, profile: Path | None = None
    ) -> Session:
        """Load a model file. With `profile`, a folder for the runtime's own profiler.

        Raises:
            MissingExtra: the runtime is not installed.
            RuntimeRefused: it has no such delegate, or does not take the file; the message is its
                own, shortened.
        """
        ...


def runtimes() -> tuple[Runtime, ...]:
    """All runtimes; for a format the first that runs it is preferred."""
    from edgewise.runtimes import litert, onnxruntime

    return (litert, onnxruntime)  # type: ignore[return-value]


def by_name(name: str) -> Runtime:
    """The runtime called `name`.

    Raises:
        UsageError: there is none.
    """
    for runtime in runtimes():
        if name == runtime.NAME:
            return runtime
    known = ", ".join(runtime.NAME for runtime in runtimes())
    raise UsageError(f"no runtime {name!r}", hint=f"known: {known}")


def for_format(format_name: str) -> Runtime | None:
    """The preferred runtime for a format, None where no runtime runs it."""
    return next((each for each in runtimes() if format_name in each.FORMATS), None)


def names_for(format_name: str) -> list[str]:
    """Names of all runtimes for a format, the preferred one first."""
    return [each.NAME for each in runtimes() if format_name in each.FORMATS]
