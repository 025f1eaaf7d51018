"""Groups of cores: by their top frequency, never by halves (there are phones of 4 + 4 + 1)."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.errors import DeviceError, UsageError
from edgewise.records import DeviceFacts


def groups(top_khz: Sequence[int | None]) -> list[tuple[int, ...]]:
    """The CPUs of each top frequency, the slowest group first; those that tell none in no group."""
    found: dict[int, list[int]] = {}
    for cpu, khz in enumerate(top_khz):
        if khz is not None:
            found.setdefault(khz, []).append(cpu)
    return [tuple(found[khz]) for khz in sorted(found)]


def big_and_little(
    top_khz: Sequence[int | None],
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The CPUs of the highest and of the lowest top frequency, None where all are alike."""
    each = groups(top_khz)
    return (each[-1], each[0]) if len(each) > 1 else (None, None)


#: Names of groups of CPUs.
NAMES = ("big", "little")


def named(name: str, facts: DeviceFacts | None) -> tuple[int, ...]:
    """The CPUs of a group, or of a list.

    Raises:
        DeviceError: the device has no such group: all CPUs are alike, or it does not tell.
        UsageError: it is neither a group nor a list.
    """
    if name not in NAMES:
        return parse_list(name)
    found = None if facts is None else facts.big if name == "big" else facts.little
    if found is None:
        raise DeviceError(
            f"no {name} CPUs: all have the same top frequency, or it is not told",
            hint="name CPUs by their number, such as 0-3",
        )
    return found


def parse_list(text: str) -> tuple[int, ...]:
    """CPUs as the kernel lists them: `0-3,7`.

    Raises:
        UsageError: it is no such list.
    """
    found: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"CPUs {text!r}", hint="like 0-3,7")
        low, high = int(first), int(last or first)
        if not low <= high < 4096:
            raise UsageError(f"CPUs {text!r}", hint="like 0-3,7")
        found += range(low, high + 1)
    return tuple(dict.fromkeys(found))
