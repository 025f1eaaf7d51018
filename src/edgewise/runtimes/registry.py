"""Which runtimes there are, and what each runs: the one list."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from edgewise import plugins
from edgewise.errors import UsageError
from edgewise.records import RuntimeInfo
from edgewise.runtimes.contract import Runtime, Session
from edgewise.runtimes.refusal import not_importable

__all__ = ["Runtime", "Session", "by_name", "for_format", "info", "names_for", "runtimes"]

#: Modules of this room. Of those that run a format, the first is preferred.
_OURS = (
    "litert", "onnxruntime", "litert_compiled", "openvino", "ncnn", "mnn", "executorch", "llamacpp"
)  # fmt: skip


def runtimes() -> tuple[Runtime, ...]:
    """All runtimes, those of other packages last."""
    ours = tuple(import_module(f"edgewise.runtimes.{name}") for name in _OURS)
    return (*ours, *plugins.declared("runtimes"))


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


def info(runtime: Runtime) -> RuntimeInfo:
    """Version and delegates of a runtime on this machine, or the reason that it is not available.
    It imports the runtime."""
    try:
        return runtime.info()
    except ImportError as error:
        reason = str(not_importable(error, runtime.EXTRA, needed_for(runtime)))
        return RuntimeInfo(
            name=runtime.NAME, version=None, formats=runtime.FORMATS, available=False, reason=reason
        )


def needed_for(runtime: Runtime) -> str:
    """What a runtime's package is needed for, in words."""
    return str(getattr(runtime, "NEEDED_FOR", f"running models with {runtime.NAME}"))


def import_s(name: str) -> float:
    """How long a runtime's import may take on a loaded machine, beyond what others take: it is not
    the model's time. A runtime says it as `IMPORT_S`."""
    return float(getattr(by_name(name), "IMPORT_S", 0.0))


def prepare(
    name: str, path: Path, *, threads: int, delegate: str, options: Mapping[str, str]
) -> None:
    """What a runtime wants done before a load that is timed, such as filling a cache that is to be
    warm; a runtime says it as a function `prepare` with these arguments."""
    wanted = getattr(by_name(name), "prepare", None)
    if wanted is not None:
        wanted(path, threads=threads, delegate=delegate, options=options)
