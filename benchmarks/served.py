"""`edgewise serve` as a process, for benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def apart() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cores for the service and for who loads it: the last one of several; empty: any."""
    if not hasattr(os, "sched_getaffinity"):
        return (), ()
    usable = tuple(sorted(os.sched_getaffinity(0)))
    return (usable[:-1], usable[-1:]) if len(usable) > 1 else ((), ())


class Stolen:
    """What a hypervisor kept of this machine's cores for others, where the kernel says so."""

    def __init__(self) -> None:
        self._before = _ticks()

    @property
    def percent(self) -> float | None:
        """Of all cores' time since this was made."""
        now = _ticks()
        if not now or not (total := sum(now) - sum(self._before)):
            return None
        return 100 * (now[_STEAL] - self._before[_STEAL]) / total


#: Of the columns of Linux's /proc/stat (proc_stat(5)); those after it are in others already.
_STEAL = 7


def _ticks() -> list[int]:
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0]
    except OSError:
        return []
    return [int(word) for word in first.split()[1 : _STEAL + 2]]


def cores(text: str) -> tuple[int, ...]:
    """Cores as they are given on the command line: 0,1."""
    return tuple(int(word) for word in text.split(",") if word)


@contextlib.contextmanager
def serving(
    family: Path, *, workers: int = 1, policy: str = "deadline", cores: Sequence[int] = (),
    more: Sequence[str] = (), environment: Mapping[str, str] | None = None,
) -> Iterator[str]:  # fmt: skip
    """The service's address, while it is entered. It ends by SIGTERM, as in operation.

    `environment` is added to this process's.
    """
    command = [
        sys.executable, "-m", "edgewise", "serve", str(family), "--port", "0", "--json",
        "--log", "off", "--workers", str(workers), "--policy", policy, *more,
    ]  # fmt: skip
    keep = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, preexec_fn=keep,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the service did not start: {' '.join(command)}")
        yield json.loads(line)["http"]
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        process.stdout.close()
