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
