"""When two measurements may be put together: only if they were taken in the same circumstances."""

from __future__ import annotations

from edgewise.records import Context


def context_key(context: Context) -> tuple[object, ...]:
    """What has to agree: the machine, what it may use, its settings and the versions.

    Not the load, the temperature, the momentary frequency or the time: those vary within one run.
    """
    return (
        context.cpu_model,
        context.architecture,
        context.cores,
        context.affinity,
        context.governor,
        context.memory_bytes,
        context.os,
        context.kernel,
        context.container,
        context.python,
        tuple(sorted(context.versions.items())),
        context.emulated,
    )


def same_context(a: Context, b: Context) -> bool:
    """Whether samples taken in `a` and in `b` may be merged."""
    return context_key(a) == context_key(b)
