"""The process that runs variants: a fresh interpreter that does one command after the other.

It is told what to do over a socket (`frames`) and finds tensors in shared memory (`arena`). It
ends when the socket does, or, on Linux, with its parent.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import socket
import sys
import traceback
from pathlib import Path
from time import perf_counter
from typing import NoReturn, assert_never

from edgewise import sandbox
from edgewise.errors import EdgewiseError, InputError, RuntimeRefused
from edgewise.protocol.messages import BadRequest, Tensor
from edgewise.runtimes import registry
from edgewise.server.pool import arena, frames
from edgewise.server.pool.arena import Area
from edgewise.server.pool.frames import Calibrated, Done, Failed, Loaded, Reply, Run
from edgewise.server.pool.hosted import Hosted, Times

_CHUNK = 1 << 16
_LONGEST = 2000
#: So many commands are remembered with where their tensors lie, if they are no longer than this.
_REMEMBERED, _SHORT = 32, 4096


def serve() -> NoReturn:
    """Do commands until there are no more. Arguments: the descriptors of the control socket, the
    request area and the reply area, and the parent's process id."""
    control, request, reply, parent = (int(argument) for argument in sys.argv[1:])
    sandbox.die_with(parent)
    for descriptor in (control, request, reply):
        os.set_inheritable(descriptor, False)
    with socket.socket(fileno=control) as stream:
        _Worker(Area(request), Area(reply)).work(stream)
    # A runtime that corrupted its heap often dies when it is released; and it costs time.
    os._exit(0)


class _Worker:
    def __init__(self, request: Area, reply: Area) -> None:
        self._request = request
        self._reply = reply
        #: Where outputs of a calibration go: those of the run before it may not have been read yet.
        self._scratch: Area | None = None
        self._hosted: dict[str, Hosted] = {}
        self._loaded: dict[str, Loaded] = {}
        self._seen: dict[bytes, tuple[Run, list[tuple[Tensor, ...]]]] = {}

    def work(self, stream: socket.socket) -> None:
        splitter = frames.Splitter()
        while part := stream.recv(_CHUNK):
            for content in splitter.feed(part):
                stream.sendall(frames.encode(self.answer(content)))

    def answer(self, content: bytes) -> Reply:
        """Do a command.

        One that says the same as one before, as all for inputs of the same shapes do, finds its
        tensors at the same places: only their content is new.
        """
        seen = self._seen.get(content)
        command, requests = seen if seen is not None else (frames.command(content), None)
        try:
            if isinstance(command, Run):
                return self._run(command, requests, content)
            return self._do(command)
        except Exception as error:  # noqa: BLE001  the process boundary: the parent says it loudly
            return _failed(error)

    def _do(self, command: frames.Prepare | frames.Load | frames.Evict | frames.Calibrate) -> Reply:
        match command:
            case frames.Prepare():
                return _prepare(command)
            case frames.Load(runnable):
                return self._load(runnable)
            case frames.Evict(key):
                return self._evict(key)
            case frames.Calibrate():
                return self._calibrate(command)
            case _:
                assert_never(command)

    def _load(self, runnable: frames.Runnable) -> Loaded:
        key = runnable.key
        if key in self._loaded:
            return self._loaded[key]
        before = anonymous_bytes()
        started = perf_counter()
        hosted = self._hosted.get(key) or Hosted(runnable)
        load_ms = 1e3 * (perf_counter() - started)
        first_ms = hosted.try_out()
        self._hosted[key] = hosted
        self._loaded[key] = Loaded(
            inputs=hosted.session.inputs,
            outputs=hosted.session.outputs,
            load_ms=load_ms,
            first_ms=first_ms,
            resident_bytes=max(0, anonymous_bytes() - before),
        )
        gc.freeze()
        return self._loaded[key]

    def _evict(self, key: str) -> frames.Evicted:
        self._hosted.pop(key, None)
        self._loaded.pop(key, None)
        gc.unfreeze()
        gc.collect()
        _return_memory()
        return frames.Evicted()

    def _run(
        self, command: Run, requests: list[tuple[Tensor, ...]] | None, content: bytes
    ) -> Reply:
        started = perf_counter()
        before = None
        if command.key not in self._hosted:
            before = anonymous_bytes()
            if command.load is None:
                raise RuntimeError(f"'{command.key}' is not resident")
            try:
                self._hosted[command.key] = Hosted(command.load)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  as in `answer`
                failed = _failed(error)
                return Failed("load", failed.message, failed.hint)
        hosted = self._hosted[command.key]
        hot = perf_counter()
        if requests is None:
            requests = self._read(command, content)
        times = Times()
        answers = hosted.run(requests, times)
        packing = perf_counter()
        outputs = [() if isinstance(each, EdgewiseError) else each for each in answers]
        errors = {i: _failed(each) for i, each in enumerate(answers)
                  if isinstance(each, EdgewiseError)}  # fmt: skip
        heads = self._write(command.key, outputs)
        ended = perf_counter()
        return Done(
            outputs=heads,
            area=self._reply.size,
            cold_ms=0.0 if before is None else 1e3 * (hot - started),
            preprocess_ms=times.preprocess_ms,
            inference_ms=times.inference_ms,
            postprocess_ms=times.postprocess_ms + 1e3 * (ended - packing),
            service_ms=1e3 * (ended - hot),
            resident_bytes=None if before is None else max(0, anonymous_bytes() - before),
            failed=errors,
        )

    def _read(self, command: Run, content: bytes) -> list[tuple[Tensor, ...]]:
        self._request.follow(command.area)
        requests = [arena.read(self._request, heads, copy=False) for heads in command.requests]
        # Arrays look at the area, elements of BYTES are copies.
        are_views = all(t.datatype != "BYTES" for tensors in requests for t in tensors)
        if are_views and len(content) <= _SHORT:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[content] = command, requests
        return requests

    def _write(
        self, key: str, outputs: list[tuple[Tensor, ...]]
    ) -> tuple[tuple[frames.Head, ...], ...]:
        try:
            return arena.write(self._reply, outputs)
        except ValueError as error:
            raise RuntimeRefused(f"'{key}': {error}") from error

    def _calibrate(self, command: frames.Calibrate) -> Calibrated:
        hosted = self._hosted.get(command.key)
        tensors = hosted.synthetic_inputs(command.seed) if hosted is not None else None
        if hosted is None or tensors is None:
            return Calibrated(())
        if self._scratch is None:
            self._scratch = Area.create("edgewise-calibration")
        hot_ms: list[float] = []
        end = perf_counter() + command.seconds
        while len(hot_ms) < command.runs and (started := perf_counter()) < end:
            (answer,) = hosted.run([tensors], Times())
            if isinstance(answer, EdgewiseError):
                raise answer
            arena.write(self._scratch, [answer])
            hot_ms.append(1e3 * (perf_counter() - started))
        self._scratch.trim()
        return Calibrated(tuple(hot_ms))


def _prepare(command: frames.Prepare) -> frames.Ready:
    import numpy.random  # noqa: F401  not later: it would count as a variant's memory

    for name in command.runtimes:
        registry.by_name(name).info()
    if command.images:
        from edgewise.runtimes import variant

        variant.pillow().init()
    return frames.Ready()


def _failed(error: BaseException) -> Failed:
    match error:
        case BadRequest() | InputError():
            return Failed("input", error.message, error.hint)
        case MemoryError():
            return Failed("memory", "ran out of memory")
        case EdgewiseError():
            return Failed("runtime", error.message[:_LONGEST], error.hint)
        case _:
            lines = traceback.format_exception(error)
            return Failed("defect", "".join(lines)[-_LONGEST:])


def anonymous_bytes() -> int:
    """Private memory of this process; 0 where the system does not say.

    Not the resident size: pages of mapped model files are shared, and the kernel's to take back.
    """
    try:
        text = Path("/proc/self/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Anonymous:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) * 1024 if found else 0


def _return_memory() -> None:
    """Have the allocator give freed pages back (glibc keeps them otherwise)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
