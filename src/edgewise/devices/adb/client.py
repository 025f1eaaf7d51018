"""The adb client, used so that nothing it hides is lost.

- Every command carries an end mark with its status: adb itself exits with 0 when the connection
  drops in the middle, and shells before Android 7 pass no status on.
- Every call has an end: adb waits for ever on a device that hangs.
- A device that dropped stays listed as offline, and `adb connect` says "already connected": it is
  disconnected first, then connected, until its state is `device`.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.errors import DeviceError, DeviceGone

#: How long a short command may take.
SHORT_S = 20.0
_MARK = "edgewise-end"
_MARKED = re.compile(rf"(?:^|\n){_MARK}:(\d+)[ \t]*(?:\n|$)")
#: Shells before Android 7 take no longer command line.
LONGEST_COMMAND = 4000
_POLL_S = 0.25
_AUTHORIZING_S = 5.0
_SECTION = re.compile(r"^@@(\w+)\n", re.M)


class Lost(DeviceError):
    """The connection dropped while a command ran; the device may be back already."""


class TimedOut(DeviceError):
    """A command did not end in time."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended: its output (errors with it), and its status."""

    output: str
    status: int


def binary() -> str:
    """The adb client: the one on the PATH, else what the extra `adb` brings.

    Raises:
        DeviceError: there is none.
    """
    if found := shutil.which("adb"):
        return found
    try:
        from adbutils import adb_path

        return str(adb_path())
    except Exception as error:
        raise DeviceError(
            "no adb client", hint="apt-get install adb, or pip install 'edgewise[adb]'"
        ) from error


@dataclass
class Adb:
    """One device by its serial number. Calls are made by one thread, `stop` by any."""

    serial: str
    reconnect_s: float = 60.0
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stopped: bool = False

    def shell(self, command: str, *, seconds: float = SHORT_S) -> Done:
        """Run a command in the device's shell that may be run twice: it is, where the connection
        drops in it and the device comes back.

        Raises:
            Lost: the connection dropped again.
            DeviceGone: the device did not come back.
            TimedOut: it did not end in time.
        """
        try:
            return self.once(command, seconds=seconds)
        except Lost:
            self.come_back()
            return self.once(command, seconds=seconds)

    def once(self, command: str, *, seconds: float = SHORT_S) -> Done:
        """Run a command in the device's shell.

        Raises:
            Lost: the connection dropped before its end.
            TimedOut: it did not end in time.
        """
        marked = f"( {command}\n) 2>&1 </dev/null; r=$?; echo; echo {_MARK}:$r"
        if len(marked) > LONGEST_COMMAND:
            raise ValueError("a command longer than old shells take")
        status, output = self._run("shell", marked, seconds=seconds)
        output = output.replace("\r", "")
        marks = list(_MARKED.finditer(output))
        if not marks:
            said = output.strip().splitlines()[-1:] or [f"adb ended with status {status}"]
            raise Lost(f"the device went away during a command: {said[0][:200]}")
        # What the shell itself says (that a program was killed) may come after its own last line:
        # it comes another way.
        found = marks[-1]
        return Done(output[: found.start()] + _after(output[found.end() :]), int(found[1]))

    def read(self, command: str, *, seconds: float = SHORT_S) -> str | None:
        """What a command prints, None where it fails."""
        done = self.shell(command, seconds=seconds)
        return done.output if done.status == 0 else None

    def push(self, file: Path, to: str, *, seconds: float) -> None:
        """Copy a file there.

        Raises:
            DeviceError: adb refused, in its own words (which it prints to standard output).
            TimedOut: it took too long.
        """
        status, output = self._run("push", str(file), to, seconds=seconds)
        if status != 0:
            raise DeviceError(last_words(output))

    def pull(self, path: str, to: Path, *, seconds: float) -> None:
        """Copy a file from there.

        Raises:
            DeviceError: adb refused, in its own words.
        """
        status, output = self._run("pull", path, str(to), seconds=seconds)
        if status != 0:
            raise DeviceError(last_words(output))

    def state(self) -> str:
        """`device`, `offline`, `unauthorized` … as adb has it; `absent` where it is not listed."""
        status, output = self._run("get-state", seconds=SHORT_S)
        if status == 0:
            return output.strip().splitlines()[-1].strip() if output.strip() else "absent"
        for name in ("unauthorized", "authorizing", "offline", "no permissions", "connecting"):
            if name in output:
                return name
        return "absent"

    def features(self) -> frozenset[str]:
        """What the device's side can do, such as `shell_v2`."""
        status, output = self._run("features", seconds=SHORT_S)
        return frozenset(output.split()) if status == 0 else frozenset()

    def reverse(self, port: int) -> int:
        """Make a port of this machine's loopback one of the device's: which one there.

        Raises:
            DeviceError: adb refused.
        """
        status, output = self._run("reverse", "tcp:0", f"tcp:{port}", seconds=SHORT_S)
        if status == 0 and output.strip().isdigit():
            return int(output)
        status, output = self._run("reverse", f"tcp:{port}", f"tcp:{port}", seconds=SHORT_S)
        if status != 0:
            raise DeviceError(last_words(output))
        return port

    def unreverse(self, port: int) -> None:
        """Undo `reverse`; no matter whether that works."""
        with contextlib.suppress(DeviceError):
            self._run("reverse", "--remove", f"tcp:{port}", seconds=SHORT_S)

    def come_back(self) -> None:
        """Wait until the device answers again after its connection dropped.

        Raises:
            DeviceGone: it did not, within `reconnect_s`.
        """
        end = time.monotonic() + self.reconnect_s
        while not self._stopped:
            if self.state() == "device" and self._answers():
                return
            if time.monotonic() >= end:
                break
            if ":" in self.serial:
                self._run("disconnect", self.serial, seconds=SHORT_S, of_device=False)
                self._run("connect", self.serial, seconds=SHORT_S, of_device=False)
            else:
                self._run("reconnect", "offline", seconds=SHORT_S, of_device=False)
            time.sleep(_POLL_S)
        raise DeviceGone(
            f"the device went away and did not come back within {self.reconnect_s:g} s"
        )

    def connect(self) -> None:
        """Have adb's server connect to a device on the network; what comes of it is its state."""
        self._run("connect", self.serial, seconds=SHORT_S, of_device=False)

    def _answers(self) -> bool:
        """Whether its shell does, and it has started up."""
        with contextlib.suppress(DeviceError):
            done = self.once("getprop sys.boot_completed", seconds=SHORT_S)
            return done.output.strip() in ("1", "")
        return False

    def stop(self) -> None:
        """End whatever call is under way, and every further one."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _run(self, *arguments: str, seconds: float, of_device: bool = True) -> tuple[int, str]:
        which = ["-s", self.serial] if of_device else []
        process = _start([binary(), *which, *arguments])
        with self._lock:
            if self._stopped:
                process.kill()
            self._running.add(process)
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"no end of 'adb {arguments[0]}' within {seconds:g} s") from None
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            with self._lock:
                self._running.discard(process)
        return process.returncode, output.decode(errors="replace")


def _after(said: str) -> str:
    return f"\n{said}" if said.strip() else ""


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for this process, which then ends what it started
    )  # fmt: skip


def last_words(output: str) -> str:
    """The last line that adb printed, in short."""
    lines = [each.strip() for each in output.replace("\r", "\n").splitlines() if each.strip()]
    failed = [each for each in lines if "rror" in each or "ailed" in each or "No space" in each]
    return (failed or lines or ["adb failed without a word"])[-1][:300]


def start_server() -> None:
    """Have adb's server running, without its holding on to our output.

    Raises:
        DeviceError: it does not start.
    """
    try:
        subprocess.run(
            [binary(), "start-server"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=SHORT_S, check=True, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"adb's server does not start: {error}") from error


def listed() -> dict[str, tuple[str, str]]:
    """Serial numbers with state and description, as `adb devices -l` lists them.

    Raises:
        DeviceError: adb's server does not answer.
    """
    start_server()
    process = _start([binary(), "devices", "-l"])
    try:
        output, _ = process.communicate(timeout=SHORT_S)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"adb's server does not answer within {SHORT_S:g} s") from None
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return parse_devices(output.decode(errors="replace"))


_STATES = (
    "device", "offline", "unauthorized", "authorizing", "connecting", "no permissions", "recovery",
    "sideload", "bootloader", "rescue", "host", "no device",
)  # fmt: skip


def parse_devices(output: str) -> dict[str, tuple[str, str]]:
    """The lines of `adb devices -l`: `SERIAL  STATE  usb:… model:…`."""
    found = {}
    for line in output.replace("\r", "").splitlines():
        serial, _, rest = line.strip().partition(" " if " " in line.strip() else "\t")
        rest = rest.strip()
        state = next((each for each in _STATES if rest.startswith(each)), None)
        if serial and state and not line.startswith(("List of", "*")):
            found[serial] = (state, rest.removeprefix(state).strip())
    return found


def settled(serial: str) -> str:
    """A device's state once it has settled: `unauthorized` is `authorizing` at first.

    Raises:
        DeviceError: adb's server does not answer.
    """
    end = time.monotonic() + _AUTHORIZING_S
    while True:
        state, _ = listed().get(serial, ("absent", ""))
        if state not in ("authorizing", "connecting") or time.monotonic() >= end:
            return state
        time.sleep(_POLL_S)


def quoted(*words: str) -> str:
    """Words for a device's shell."""
    return " ".join(map(shlex.quote, words))


def sections(output: str) -> dict[str, str]:
    """The parts of an output after their `@@name` lines."""
    pieces = _SECTION.split(output)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))
