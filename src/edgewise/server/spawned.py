"""A service in a process of its own, on a free port of this machine: for demos and comparisons."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgewise.errors import WorkerFailed

#: How long a service may take to end.
_EXIT_SECONDS = 30.0
#: The command `edgewise` of the arguments after the first, while the process of that number lives.
_SERVE = (
    "import sys; from edgewise import sandbox; sandbox.die_with(int(sys.argv.pop(1)));"
    "from edgewise.cli.main import main; main()"
)


@dataclass(frozen=True)
class Spawned:
    """Where it listens. `grpc` is host:port, None where it is off."""

    http: str
    grpc: str | None


@contextlib.contextmanager
def spawned(families: Sequence[Path], options: Sequence[str] = ()) -> Iterator[Spawned]:
    """`edgewise serve` with these families; it ends with the block.

    Raises:
        WorkerFailed: it does not start: its last line says why.
    """
    command = [sys.executable, "-c", _SERVE, str(os.getpid()), "serve", *map(str, families)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, "--port", "0", "--json", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                process.wait()
                errors.seek(0)
                lines = errors.read().decode("utf-8", "replace").strip().splitlines()
                raise WorkerFailed(f"no service: {lines[-1] if lines else process.returncode}")
            yield msgspec.json.decode(said, type=Spawned)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
