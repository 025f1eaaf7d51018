"""The OpenSSH client: commands, files and requests to a board, each with an end.

`EDGEWISE_SSH` is the command to use instead of `ssh`, such as `ssh -F FILE`. Nothing asks for a
password: keys and the host's key have to be in place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from edgewise import sandbox
from edgewise.devices.ssh.remote import LENGTH, MARK
from edgewise.errors import DeviceError, DeviceGone, UsageError, WorkerFailed
from edgewise.sandbox import Answer, Limits

SHORT_S = 30.0
_LOST = 255  # ssh's own failures
_OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip
_NAME = re.compile(r"(?:([\w.-]+)@)?(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::(\d+))?")
_SENTENCES = (
    ("Host key verification failed", "its host key is not known: connect once by hand"),
    ("Permission denied", "it does not accept a key of yours: 'ssh-copy-id' one"),
    ("Could not resolve", "no host of this name"),
    ("Connection refused", "no ssh server answers there"),
    ("timed out", "it does not answer"),
    ("No route to host", "it cannot be reached"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a board is: `user@host:port`, user and port as ssh's configuration has them else."""

    user: str | None
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Address:
        """As users write it.

        Raises:
            UsageError: it is no address.
        """
        found = _NAME.fullmatch(text)
        if found is None or found[2].startswith("-"):
            raise UsageError(f"the address {text!r}", hint="ssh:USER@HOST or ssh:USER@HOST:PORT")
        return cls(found[1], found[2].strip("[]"), int(found[3]) if found[3] else None)

    def words(self) -> list[str]:
        """For ssh's command line."""
        where = f"{self.user}@{self.host}" if self.user else self.host
        return [*(["-p", str(self.port)] if self.port else []), "--", where]


@dataclass
class Ssh:
    """One board. Calls are made by one thread, `stop` by any."""

    address: Address
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stopped: bool = False

    def run(self, command: str, *, seconds: float = SHORT_S, file: Path | None = None) -> str:
        """What a shell command prints there; with the content of `file` as its input.

        Raises:
            DeviceError: it failed, or cannot be reached; in ssh's or its own words.
        """
        with contextlib.ExitStack() as until:
            stdin: Any = subprocess.DEVNULL
            if file is not None:
                stdin = until.enter_context(file.open("rb"))
            status, output, errors = self._call(command, None, seconds, stdin)
        if status != 0:
            raise DeviceError(_words(status, errors or output.decode(errors="replace")))
        return output.decode(errors="replace")

    def request(self, command: str, function: str, arguments: list[Any], limits: Limits) -> Answer:
        """Have a function of this package called there by `remote.serve`, which `command` starts.

        Raises:
            DeviceGone: the connection was lost, or there is none.
            WorkerFailed, EdgewiseError: as `sandbox.call` there.
        """
        asked = [function, arguments, limits.seconds, limits.memory_bytes]
        body = msgspec.msgpack.encode(asked)
        status, output, errors = self._call(
            command, LENGTH.pack(len(body)) + body, limits.seconds + SHORT_S, subprocess.PIPE
        )
        _, mark, rest = output.partition(MARK)
        if not mark or len(rest) < LENGTH.size:
            if status == _LOST:
                raise DeviceGone(_words(status, errors))
            raise WorkerFailed(f"no answer from the board: {_words(status, errors)}")
        (length,) = LENGTH.unpack_from(rest)
        if len(rest) < LENGTH.size + length:
            raise DeviceGone("the board went away in the middle of its answer")
        return _unpack(rest[LENGTH.size : LENGTH.size + length])

    def put(self, file: Path, path: str) -> None:
        """Copy a file there, whole or not at all.

        Raises:
            DeviceError: no room, or it cannot be reached.
        """
        size = file.stat().st_size
        part, quoted = shlex.quote(f"{path}.part"), shlex.quote(path)
        folder = shlex.quote(str(PurePosixPath(path).parent))
        try:
            said = self.run(
                f"mkdir -p {folder} && cat >{part} && wc -c <{part}",
                seconds=SHORT_S + size / 500_000, file=file,
            )  # fmt: skip
        except DeviceError as error:
            with contextlib.suppress(DeviceError):
                self.run(f"rm -f {part}")
            raise DeviceError(f"{file.name} could not be copied: {error.message}") from error
        if said.strip() != str(size):
            raise DeviceError(f"{file.name} arrived cut short: {said.strip()} of {size} bytes")
        self.run(f"mv {part} {quoted}")

    def stop(self) -> None:
        """End whatever is under way."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _call(
        self, command: str, request: bytes | None, seconds: float, stdin: Any
    ) -> tuple[int, bytes, str]:
        words = shlex.split(os.environ.get("EDGEWISE_SSH", "ssh"))
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    [*words, *_OPTIONS, *self.address.words(), command],
                    stdin=stdin, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise DeviceError(f"no ssh client: {error}") from error
            with self._lock:
                self._running.add(process)
                if self._stopped:
                    process.kill()
            try:
                output = _converse(process, request, seconds)
                status = process.wait(SHORT_S)
            except subprocess.TimeoutExpired:
                raise DeviceGone(f"the board did not answer within {seconds:g} s") from None
            finally:
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        with contextlib.suppress(OSError):
                            stream.close()
                with self._lock:
                    self._running.discard(process)
            errors.seek(0)
            return status, output, errors.read(8192).decode(errors="replace")


def _converse(process: subprocess.Popen[bytes], request: bytes | None, seconds: float) -> bytes:
    """Send the request and read the answer to its end. Standard input stays open meanwhile: its
    end is how the board learns that nobody waits any more."""
    output = bytearray()

    def read() -> None:
        assert process.stdout is not None
        while part := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
            output.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    if request is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(request)
            process.stdin.flush()
    reader.join(seconds)
    if reader.is_alive():
        process.kill()
        reader.join()
        raise subprocess.TimeoutExpired("ssh", seconds)
    return bytes(output)


def _unpack(answer: bytes) -> Answer:
    match msgspec.msgpack.decode(answer):
        case ["value", value, str(log), exit_status]:
            return Answer(value, log, exit_status)
        case ["error", str(name), str(message), hint]:
            raise sandbox.revive(name, message, hint)
        case other:
            raise RuntimeError(f"the board's process failed: {other}")


def _words(status: int, errors: str) -> str:
    """ssh's last line as a sentence that says what to do."""
    lines = [each.strip() for each in errors.splitlines() if each.strip()]
    for sign, sentence in _SENTENCES:
        if any(sign in line for line in lines):
            return sentence
    return lines[-1][:300] if lines else f"ended with status {status}"
