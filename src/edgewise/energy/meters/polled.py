"""A meter that runs: its files are read by a thread, at its own rate."""

from __future__ import annotations

import threading
import time

from edgewise.energy.meters.contract import Files, Gauge, Recording
from edgewise.errors import DeviceError


class Polled:
    """See `Meter`. Moments are those of `time.monotonic`."""

    def __init__(self, gauge: Gauge, files: Files) -> None:
        self._gauge, self._files = gauge, files
        self.name, self.boundary = gauge.name, gauge.boundary
        self.rate_hz = gauge.rate_hz
        self.resolution_j: float | None = None
        self._moments: list[float] = []
        self._texts: dict[str, list[str | None]] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See `Meter.start`."""
        self._moments, self._texts = [], {path: [] for path in self._gauge.paths}
        self._stopped.clear()
        self._read()
        if all(texts[0] is None for texts in self._texts.values()):
            raise DeviceError(f"{self.name}: none of its files can be read")
        self._thread = threading.Thread(target=self._poll, name="edgewise-meter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See `Meter.stop`."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._read()

    def samples(self) -> Recording:
        """See `Meter.samples`."""
        recording = self._gauge.interpret(self._moments, self._texts)
        steps = [track.quantum_j for track in recording.tracks if track.quantum_j is not None]
        self.resolution_j = max(steps, default=None)
        return recording

    def _poll(self) -> None:
        while not self._stopped.wait(1 / self.rate_hz):
            self._read()

    def _read(self) -> None:
        before = time.monotonic()
        for path, texts in self._texts.items():
            try:
                texts.append(self._files.read(path))
            except OSError:
                texts.append(None)
        self._moments.append((before + time.monotonic()) / 2)
