"""Files on a phone by the hash of their content: only what is missing is copied, and all of it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.devices.adb.client import Adb, Lost, quoted
from edgewise.errors import DeviceError

#: Where the shell user may write and execute (/sdcard is mounted noexec).
FOLDER = "/data/local/tmp/edgewise"
_SLOWEST_BYTES_PER_S = 500_000
_HASH = re.compile(r"\b([0-9a-f]{64})\b")


@dataclass
class Files:
    """What was put on one phone in this run."""

    adb: Adb
    there: dict[str, str] = field(default_factory=dict)

    def put(self, file: Path, sha256: str, *, executable: bool = False) -> str:
        """Have a file there; its path.

        Raises:
            DeviceError: no room, or adb refused.
            DeviceGone: the phone went away and did not come back.
        """
        path = f"{FOLDER}/{sha256[:16]}-{_plain(file.name)}"
        if self.there.get(path) == sha256:
            return path
        size = file.stat().st_size
        if not self._is_there(path, size, sha256):
            try:
                self._copy(file, path, size, sha256)
            except Lost:  # it is back
                self._copy(file, path, size, sha256)
        if executable:
            self.adb.shell(f"chmod 755 {quoted(path)}")
        self.there[path] = sha256
        return path

    def forget(self) -> None:
        """Look again at what is there: the phone was away."""
        self.there.clear()

    def _is_there(self, path: str, size: int, sha256: str) -> bool:
        """By its hash, or by its size where the phone has no sha256sum (it gets its name only when
        it is whole)."""
        said = self.adb.shell(f"wc -c <{quoted(path)}; sha256sum {quoted(path)}").output
        if found := _HASH.search(said):
            return found[1] == sha256
        first = said.split()[:1]
        return first == [str(size)]

    def _copy(self, file: Path, path: str, size: int, sha256: str) -> None:
        self.adb.shell(f"mkdir -p {FOLDER}")
        free = self._free_bytes()
        if free is not None and free < size:
            raise DeviceError(
                f"no room on the phone for {file.name}: {size} bytes, {free} are free in /data"
            )
        part = f"{path}.part"
        try:
            self.adb.push(file, part, seconds=30 + size / _SLOWEST_BYTES_PER_S)
        except DeviceError as error:
            if self.adb.state() != "device":
                self.adb.come_back()
                self._remove(part)
                raise Lost("the device went away while a file was copied to it") from error
            self._remove(part)
            if "No space left" in error.message:
                message = f"no room on the phone for {file.name}: {error.message}"
            else:
                message = f"{file.name} could not be copied: {error.message}"
            raise DeviceError(message) from error
        if not self._is_there(part, size, sha256):
            self._remove(part)
            raise DeviceError(f"{file.name} arrived damaged on the phone")
        self.adb.shell(f"mv {quoted(part)} {quoted(path)}")

    def _remove(self, path: str) -> None:
        with contextlib.suppress(DeviceError):
            self.adb.shell(f"rm -f {quoted(path)}")

    def _free_bytes(self) -> int | None:
        """What `df` says is free, None where it does not tell. Old ones print 45.2G."""
        said = self.adb.read("df /data/local/tmp") or ""
        head, _, row = said.strip().partition("\n")
        if "1K-blocks" not in head or not row:
            return None
        numbers = re.findall(r"(?<=\s)\d+(?=\s)", row)
        return int(numbers[2]) * 1024 if len(numbers) >= 3 else None


def _plain(name: str) -> str:
    """A file's name without what shells and old file systems choke on."""
    return re.sub(r"[^\w.+-]", "_", name)[-80:] or "file"
