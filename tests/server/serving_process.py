"""`edgewise serve` as users run it: a process, its URL, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

DIGITS = Path(__file__).parents[2] / "src/edgewise/demo/data/digits"
SMALL = ("digits-xs", "digits-s", "digits-l")


@dataclass
class Serving:
    """A running service."""

    process: subprocess.Popen[str]
    http: str
    grpc: str | None
    log: Path
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.http.rsplit(":", 1)[1])

    def workers(self) -> list[int]:
        """Process ids of its worker processes."""
        listed = subprocess.run(
            ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
        return [
            int(pid)
            for pid, parent, command in rows
            if int(parent) == self.process.pid and "edgewise.server" in command
        ]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.http}/status.json").json()
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


def family(folder: Path, variants: tuple[str, ...] = SMALL) -> Path:
    """A part of the demo family, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    head, *rest = (DIGITS / "family.toml").read_text().split("[[variant]]")
    wanted = [each for each in rest if any(f'name = "{name}"' in each for name in variants)]
    assert len(wanted) == len(variants)
    for name in variants:
        (folder / f"{name}.tflite").write_bytes((DIGITS / f"{name}.tflite").read_bytes())
    (folder / "labels.txt").write_bytes((DIGITS / "labels.txt").read_bytes())
    path = folder / "family.toml"
    path.write_text("[[variant]]".join([head, *wanted]))
    return path


@contextlib.contextmanager
def serving(
    path: Path, *options: str, environment: dict[str, str] | None = None
) -> Iterator[Serving]:
    """Run it on a free port; SIGTERM at the end, if it still runs."""
    log = path.parent / "serve.log"
    with log.open("w") as to:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgewise", "serve", str(path), "--port", "0", "--json",
             *options],
            stdout=subprocess.PIPE, stderr=to, text=True, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        said = json.loads(line)
        yield Serving(process, said["http"], said["grpc"], log, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.stdout.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def image_request(pixels: list[float] | None = None, **parameters: float) -> dict[str, Any]:
    """A request for the family by a tensor that `digits-xs` and `digits-s` take (8 × 8 grey)."""
    data = pixels or [0.5] * 64
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 8, 8, 1], "data": data}
    return {"inputs": [tensor], "parameters": parameters}


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
