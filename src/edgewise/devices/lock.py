"""Two runs never use one device at once, also from two terminals: a lock per serial number."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import IO

from edgewise.errors import DeviceError


def file_name(serial: str) -> str:
    """A serial number as part of a file's name: it may hold `:`, `.` and `/`."""
    plain = re.sub(r"[^\w-]", "_", serial)
    return f"{plain[:60]}-{hashlib.sha256(serial.encode()).hexdigest()[:8]}"


def _folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    where = Path(base) if base else Path(tempfile.gettempdir())
    folder = where / (f"edgewise-{os.getuid()}" if hasattr(os, "getuid") else "edgewise")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class Lock:
    """Held from `take` to `release`, or until the process ends."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._stream: IO[str] | None = None

    def take(self) -> None:
        """Take it, or say who has it.

        Raises:
            DeviceError: another run has it.
        """
        if self._stream is not None:
            return
        import fcntl

        stream = (_folder() / f"{file_name(self._serial)}.lock").open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            holder = stream.read().strip()
            stream.close()
            raise DeviceError(
                f"in use by another run (process {holder or 'unknown'})",
                hint="wait until that has ended",
            ) from None
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()))
        stream.flush()
        self._stream = stream

    def release(self) -> None:
        """Let others have it."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._stream = None
