"""How tensors reach a worker process and come back: what arena and frames bring.

A worker echoes the sum of what it gets, by turns (so that whatever else the machine does hits all
alike): over our shared areas with small frames on a socket (`server.pool.arena`, `frames`), over
`multiprocessing.shared_memory` with its descriptions through a pipe, and with the bytes themselves
through a pipe. Median and p99 of a round trip in ms.

python benchmarks/bench_transport.py [ROUNDS]
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from edgewise.protocol.messages import Tensor
from edgewise.server.pool import arena, frames
from edgewise.server.pool.arena import Area
from smoke import fewer

_SHAPES = {"64 numbers": (1, 64), "600 kB": (1, 224, 224, 3), "6 MB": (10, 224, 224, 3)}
_BLOCK = 20


def _answer(values: np.ndarray) -> Tensor:
    return Tensor("y", "FP32", (1, 10), np.full((1, 10), values[..., -1].sum(), np.float32))


# -- the worker's side -----------------------------------------------------------------------------


def _arena(stream: socket.socket, request: int, reply: int) -> None:
    requests, replies = Area(request), Area(reply)
    splitter = frames.Splitter()
    while part := stream.recv(1 << 16):
        for content in splitter.feed(part):
            run = frames.command(content)
            assert isinstance(run, frames.Run)
            requests.follow(run.area)
            (given,) = arena.read(requests, run.requests[0], copy=False)
            heads = arena.write(replies, [[_answer(np.asarray(given.values))]])
            done = frames.Done(heads, replies.size, 0.0, 0.0, 0.0, 0.0, 0.0, None, {})
            stream.sendall(frames.encode(done))


def _shared(pipe: Connection, name: str) -> None:
    memory = SharedMemory(name=name)
    while (shape := pipe.recv()) is not None:
        values = np.ndarray(shape, np.float32, memory.buf)
        pipe.send(np.asarray(_answer(values).values))
        del values
    memory.close()


def _pipe(pipe: Connection, _: str) -> None:
    while (values := pipe.recv()) is not None:
        pipe.send(np.asarray(_answer(values).values))


# -- the service's side ----------------------------------------------------------------------------


class ByArena:
    """As the pool does it."""

    def __init__(self) -> None:
        self.requests, self.replies = Area.create("bench"), Area.create("bench")
        self.stream, theirs = socket.socketpair()
        self.child = os.fork()
        if not self.child:
            self.stream.close()
            _arena(theirs, self.requests.descriptor, self.replies.descriptor)
            os._exit(0)
        theirs.close()
        self.splitter = frames.Splitter()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        heads = arena.write(self.requests, [[Tensor("x", "FP32", values.shape, values)]])
        self.stream.sendall(frames.encode(frames.Run("k", heads, self.requests.size)))
        found: list[bytes] = []
        while not found:
            found = self.splitter.feed(self.stream.recv(1 << 16))
        done = frames.reply(found[0])
        assert isinstance(done, frames.Done)
        self.replies.follow(done.area)
        return np.asarray(arena.read(self.replies, done.outputs[0], copy=True)[0].values)

    def close(self) -> None:
        self.stream.close()
        os.waitpid(self.child, 0)


class ByPipe:
    """The standard library's ways, with the bytes in shared memory or in the pipe."""

    def __init__(self, work: Callable[[Connection, str], None], *, shared: bool) -> None:
        largest = max(int(np.prod(shape)) for shape in _SHAPES.values())
        self.memory = SharedMemory(create=True, size=4 * largest) if shared else None
        self.pipe, theirs = multiprocessing.Pipe()
        name = self.memory.name if self.memory else ""
        self.process = multiprocessing.get_context("fork").Process(target=work, args=(theirs, name))
        self.process.start()
        theirs.close()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if self.memory is None:
            self.pipe.send(values)
        else:
            np.ndarray(values.shape, np.float32, self.memory.buf)[:] = values
            self.pipe.send(values.shape)
        answer: np.ndarray = self.pipe.recv()
        return answer

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join()
        if self.memory is not None:
            self.memory.close()
            self.memory.unlink()


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if sys.argv[1:2] not in ([], ["--smoke"]) else fewer(50, 2)
    ways: dict[str, Any] = {
        "arena and frames": ByArena(),
        "shared_memory and a pipe": ByPipe(_shared, shared=True),
        "a pipe": ByPipe(_pipe, shared=False),
    }
    print(f"{'tensor':12} {'by':26} {'p10 ms':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for name, shape in _SHAPES.items():
        values = np.random.default_rng(0).random(shape, np.float32)
        expected = _answer(values).values
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, ask in ways.items():
                for _ in range(_BLOCK):
                    began = time.perf_counter()
                    answer = ask(values)
                    took_ms = 1e3 * (time.perf_counter() - began)
                    np.testing.assert_array_equal(answer, expected)
                    if number:
                        taken[way].append(took_ms)
        for way, times in taken.items():
            p10, p50, p99 = np.percentile(times, [10, 50, 99])
            print(f"{name:12} {way:26} {p10:8.3f} {p50:8.3f} {p99:8.3f}")
    for way in reversed(ways.values()):  # the later processes hold the earlier ones' sockets
        way.close()


if __name__ == "__main__":
    main()
