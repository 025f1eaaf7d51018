"""What a runtime offers: the contract of this room.

A runtime is a module (or any object) with the names of `Runtime`; a loaded model is a `Session`. To
add one from another package, declare the module under the entry-point group `edgewise.runtimes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgewise.errors import RuntimeRefused
from edgewise.records import RuntimeOption

if TYPE_CHECKING:
    import numpy as np

    from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo

    Array = np.ndarray[Any, Any]


_OWN = "no delegate: the runtime's own kernels run every operator"
#: Delegates that are none: what they do not take did not fall back.
OWN_KERNELS = {"none": _OWN, "reference": _OWN, "cpu": _OWN}


class Session(Protocol):
    """A loaded model. `resize` comes before `feed`, `feed` before `invoke`.

    Classes that inherit from it get what is optional: no profiler, no coverage, no notes.
    """

    #: As the file states them: `shape` is None where it leaves a dimension open without a default,
    #: `signature` names the open ones.
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    #: Run once. It is the runtime's own call, nothing around it: this is what is timed. What it
    #: throws is the runtime's own too: call it inside `refusal.refusals`.
    invoke: Callable[[], object]
    #: Whether `resize` also changes dimensions that the file fixes.
    resizes_fixed: bool = False

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
        return []

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """Times per layer over the last `runs` calls; None where the runtime has no profiler.

        Only of a session that was loaded with a profile folder, which ends with this call.
        """
        return None

    def coverage(self) -> Delegation | None:
        """What the delegate took of the graph, after `resize`; None where nothing tells."""
        return None

    def used(self) -> dict[str, str]:
        """Settings as the runtime says that it uses them, read back; those it does not tell are
        not there. `threads` is one name, the others are those of `OPTIONS`."""
        return {}


class Runtime(Protocol):
    """What a module in this room offers. It is the module itself: no classes needed."""

    NAME: str
    #: The extra of this package that installs it.
    EXTRA: str
    #: What is not possible without it: "running MNN models".
    NEEDED_FOR: str
    #: Names of `formats.registry`.
    FORMATS: tuple[str, ...]
    #: One of what `info` lists.
    DEFAULT_DELEGATE: str
    #: The settings that it has beside threads and delegate.
    OPTIONS: tuple[RuntimeOption, ...] = ()

    def info(self) -> RuntimeInfo:
        """Version and delegates on this machine, or the reason that it is not available.
        `registry.info` asks it.

        Raises:
            ImportError: its package is not there, or broken.
        """
        ...

    def load(
        self,
        path: Path,
        *,
        threads: int,
        delegate: str,
        options: Mapping[str, str],
        profile: Path | None = None,
    ) -> Session:
        """Load a model file. With `profile`, a folder for the runtime's own profiler.

        `options` by the names of `OPTIONS`, as `runner.load` has checked and completed them.

        Raises:
            ImportError: its package is not there, or broken.
            RuntimeRefused: it has no such delegate, or does not take the file; the message is its
                own, shortened.
        """
        ...


def installed_version(package: str) -> str | None:
    """The version of a package that does not tell it itself; None where it was not installed as
    one."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_delegate(runtime: str, delegate: str, has: Iterable[str]) -> None:
    """Whether a runtime has a delegate on this machine.

    Raises:
        RuntimeRefused: it has others.
    """
    if delegate not in (names := list(has)):
        raise RuntimeRefused(
            f"{runtime} has no delegate {delegate!r} here; it has {', '.join(names)}"
        )


def checked(
    name: str, offered: tuple[RuntimeOption, ...], given: Mapping[str, str] | None
) -> dict[str, str]:
    """The options to use: those given, and the defaults of the others that have one.

    Raises:
        RuntimeRefused: the runtime `name` has no such option, or not this value of it.
    """
    known = {option.name: option for option in offered}
    for option, value in (given or {}).items():
        if option not in known:
            has = ", ".join(known) or "none"
            raise RuntimeRefused(f"{name} has no option {option!r}; it has {has}")
        if known[option].values and value not in known[option].values:
            takes = ", ".join(known[option].values)
            raise RuntimeRefused(f"{name}'s option {option} takes {takes}, not {value!r}")
    defaults = {each.name: each.default for each in offered if each.default is not None}
    return {**defaults, **(given or {})}
