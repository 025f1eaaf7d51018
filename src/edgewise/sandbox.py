"""A function in a worker process with a limit on time and memory: a crash becomes a finding.

The worker is a fresh interpreter that imports only what the function needs. Request and answer are
msgpack over two pipes of their own, never pickle: a worker with a corrupted heap can at worst send
rubbish. What native libraries print goes to a third pipe, of which the last lines are kept.

Memory is limited by `RLIMIT_DATA`, which counts private writable memory. `RLIMIT_AS` would also
count mapped weights and the address space that runtimes reserve but never touch (they then fail far
below the limit); watching the resident size would wake this process while the worker is timing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import msgspec

from edgewise import errors
from edgewise.errors import EdgewiseError, WorkerFailed

#: What is kept of a worker's output, and the longest answer that is taken.
LOG_BYTES = 8 * 1024
ANSWER_BYTES = 512 * 1024 * 1024
#: How long a worker that has answered may take to end.
_FAREWELL_SECONDS = 10.0
#: What libraries print when an allocation fails.
OUT_OF_MEMORY = re.compile(
    r"bad_alloc|MemoryError|out of memory|memory allocation|(cannot|failed to) allocate", re.I
)
_PR_SET_PDEATHSIG = 1

_kept: list[object] = []


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one call. `memory_bytes` is private writable memory; None: no limit. `words`: the
    seconds as whoever set them put it, for the message when they are over."""

    seconds: float
    memory_bytes: int | None = None
    words: str | None = None

    @property
    def time_words(self) -> str:
        """The time in words."""
        return self.words or f"{self.seconds:.3g} s"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker sent. `log` is the end of its output.

    `exit_status` says how it died after the answer was complete ("killed by SIGSEGV"), else None.
    """

    value: Any
    log: str
    exit_status: str | None


def call(function: str, *arguments: Any, limits: Limits) -> Answer:
    """Run `package.module:function` in a worker process.

    Arguments and answer are what msgspec turns into msgpack: structs, builtins, bytes. The value
    comes back as builtins; `msgspec.convert` makes it a struct again.

    Raises:
        WorkerFailed: it crashed, gave no answer in time, ran out of memory or sent rubbish.
        EdgewiseError: what the function itself raised, as the same class.
        RuntimeError: the function has a defect; the message is its traceback.
    """
    with _Worker(limits) as worker:
        worker.send([function, arguments, limits.memory_bytes])
        answer = worker.receive()
        if answer is None:
            raise WorkerFailed(worker.cause_of_death())
        value = _unpack(answer, limits)
        return Answer(value, worker.log(), worker.exit_status())


def keep(thing: object) -> None:
    """In a worker: hold `thing` until the answer is sent.

    A library that corrupted its heap often dies when it releases its objects. Held back, that is
    `Answer.exit_status` and not the loss of an answer that was complete.
    """
    _kept.append(thing)


class _Worker:
    """The parent's side: a process group, its three pipes, and a deadline."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds
        self._log = bytearray()
        request, self._request = os.pipe()
        self._answer, answer = os.pipe()
        command = [sys.executable, "-P", "-c", "from edgewise import sandbox; sandbox.serve()"]
        try:
            self._process = subprocess.Popen(
                [*command, str(request), str(answer), str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                pass_fds=(request, answer), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(self._request)
            os.close(self._answer)
            raise
        finally:
            os.close(request)
            os.close(answer)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of the group outlives the call, however it ended (Ctrl-C included)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()
        for descriptor in (self._request, self._answer):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def send(self, request: object) -> None:
        """Write the request; a worker that died already is noticed when its answer is read."""
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._request, "wb") as stream:
            self._request = -1
            stream.write(msgspec.msgpack.encode(request))

    def receive(self) -> bytes | None:
        """The whole answer, None where the worker died without one.

        Raises:
            WorkerFailed: the time is up, or the answer is too long.
        """
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answer, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                ready = selector.select(max(0.0, self._deadline - time.monotonic()))
                if not ready and time.monotonic() >= self._deadline:
                    raise WorkerFailed(f"no answer within {self._limits.time_words}{self._end()}")
                for key, _ in ready:
                    part = os.read(key.fd, 1 << 16)
                    if key.fd != self._answer:
                        self._note(part)
                        if not part:
                            selector.unregister(key.fileobj)
                    elif part:
                        answer += part
                    else:
                        return bytes(answer) or None
                if len(answer) > ANSWER_BYTES:
                    raise WorkerFailed(f"an answer of more than {ANSWER_BYTES} bytes")

    def cause_of_death(self) -> str:
        """Why there is no answer, in words, with the last line that the worker printed."""
        status = self._wait()
        self._drain()
        if OUT_OF_MEMORY.search(self.log()):
            return _memory_words(self._limits)
        return f"{status_words(status)}{self._end()}"

    def exit_status(self) -> str | None:
        """How the worker ended after its answer, None where it ended well."""
        status = self._wait()
        self._drain()
        return None if status == 0 else status_words(status)

    def log(self) -> str:
        """The end of what the worker and its libraries printed."""
        return self._log.decode("utf-8", "replace").strip()

    def _end(self) -> str:
        lines = [line for line in self.log().splitlines() if not line.startswith("INFO")]
        return f": {lines[-1].strip()[:300]}" if lines else ""

    def _note(self, part: bytes) -> None:
        self._log += part
        del self._log[:-LOG_BYTES]

    def _wait(self) -> int | None:
        try:
            return self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def _drain(self) -> None:
        """What is left in the pipe. Not until its end: a grandchild may hold it open."""
        os.set_blocking(self._output.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._output.fileno(), 1 << 16):
                self._note(part)


def _unpack(answer: bytes, limits: Limits) -> Any:
    """The function's value, or what it raised."""
    try:
        outcome, *rest = msgspec.msgpack.decode(answer, type=list[Any])
    except (msgspec.DecodeError, ValueError) as error:
        raise WorkerFailed(f"answered with {len(answer)} bytes that are no answer") from error
    match [outcome, *rest]:
        case ["value", value]:
            return value
        case ["error", str(name), str(message), hint]:
            raise revive(name, message, hint)
        case ["memory"]:
            raise WorkerFailed(_memory_words(limits))
        case ["defect", str(text)]:
            raise RuntimeError(f"a worker process failed:\n{text}")
    raise WorkerFailed(f"answered with {len(answer)} bytes that are no answer")


def revive(name: str, message: str, hint: Any) -> EdgewiseError:
    """The error of that name, as it was raised in another process or on another machine."""
    found = getattr(errors, name, EdgewiseError)
    if not (isinstance(found, type) and issubclass(found, EdgewiseError)):
        found = EdgewiseError
    # Not through `__init__`: some classes compose their message from other arguments.
    error = found.__new__(found)
    EdgewiseError.__init__(error, message, hint=hint if isinstance(hint, str) else None)
    return error


def status_words(status: int | None) -> str:
    """How a process ended, from its exit status as `subprocess` gives it; None: it did not."""
    if status is None:
        return f"did not end within {_FAREWELL_SECONDS:g} s of closing its answer"
    if status >= 0:
        return f"ended with status {status} and no answer"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"killed by {name}"


def _memory_words(limits: Limits) -> str:
    if limits.memory_bytes is None:
        return "ran out of memory"
    return f"ran out of memory (limit {limits.memory_bytes / 1e6:.0f} MB)"


def serve() -> NoReturn:
    """The worker's side: one request, one answer, and the end without further ado."""
    request, answer, parent = (int(argument) for argument in sys.argv[1:])
    die_with(parent)
    os.set_inheritable(answer, False)
    with os.fdopen(request, "rb") as stream:
        function, values, memory_bytes = msgspec.msgpack.decode(stream.read())
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    reply = msgspec.msgpack.encode(_perform(function, values))
    with os.fdopen(answer, "wb") as stream:
        stream.write(reply)
    # From here on a crash is `Answer.exit_status`. Interpreter teardown would only cost time.
    _kept.clear()
    sys.stdout.flush()
    os._exit(0)


def _perform(function: str, values: list[Any]) -> list[Any]:
    """Call it; every way it can end as one list."""
    module, _, name = function.partition(":")
    try:
        return ["value", getattr(importlib.import_module(module), name)(*values)]
    except EdgewiseError as error:
        return ["error", type(error).__name__, error.message, error.hint]
    except MemoryError:
        return ["memory"]
    except Exception:  # noqa: BLE001  the process boundary: the parent raises it again, loudly
        return ["defect", traceback.format_exc()]


def _limit_memory(memory_bytes: int) -> None:
    """Lower the soft limit, as far as the hard one allows."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    allowed = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even of SIGKILL (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)
