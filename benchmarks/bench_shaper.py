"""The shaper against the link model: throughput, delay, jitter, traces, completion times, its cost.

python benchmarks/bench_shaper.py [--short]

Every line has what the profile says, the median of what real sockets on loopback saw, the deviation
and the bound that it has to keep. The client, the server and the shaper share this machine: run it
on a quiet one. The exit status is 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgewise.network.capacity import BYTES_PER_MS, Constant, Recorded
from edgewise.network.link import INITIAL_WINDOW_BYTES, Connection, Path
from edgewise.network.shaper import LOOPBACK, Shaper, ShaperProcess, shape_of
from edgewise.network.shaping.pacing import Shape
from smoke import SMOKE, shortened

#: A request: its length and the reply's; a reply begins with when the request was complete.
HEADER, STAMP = struct.Struct("!II"), struct.Struct("!d")
#: Payloads, and how many times as often they are sent.
SIZES = {10_000: 4, 100_000: 2, 1_000_000: 1}
REPLY = 1_000
ZEROS = memoryview(bytes(1 << 20))


@dataclass
class Table:
    """Prints lines and remembers whether all bounds were kept."""

    kept: bool = True

    def title(self, text: str) -> None:
        print(
            f"\n{text}\n  {'':34} {'profile':>10} {'measured':>10} {'deviation':>10} {'bound':>8}"
        )

    def line(
        self, name: str, expected: float, seen: float, bound: float | None, unit: str = "%"
    ) -> None:
        """`bound` is relative in percent, or absolute in `unit`; None: only to be looked at."""
        off = 100 * (seen / expected - 1) if unit == "%" else seen - expected
        broken = bound is not None and abs(off) > bound
        self.kept &= not broken
        kept = "" if bound is None else f"{bound:5g} {unit}{'  BROKEN' if broken else ''}"
        print(f"  {name:34} {expected:10.2f} {seen:10.2f} {off:+8.2f} {unit:>2} {kept}")


def send(sock: socket.socket, head: bytes, size: int) -> None:
    """`size` bytes that begin with `head`, without building them all: that would count as time."""
    sock.sendall(head + ZEROS[: min(size - len(head), 1024)])
    left = size - len(head) - 1024
    while left > 0:
        sock.sendall(ZEROS[: min(left, len(ZEROS))])
        left -= len(ZEROS)


def receive(sock: socket.socket, size: int, on_data: Callable[[int], None] | None = None) -> bytes:
    """So many bytes; the first ones are returned."""
    first = b""
    while size:
        data = sock.recv(min(size, 1 << 18))
        if not data:
            raise ConnectionError("the peer has gone")
        first = first or data
        size -= len(data)
        if on_data is not None:
            on_data(len(data))
    return first


class Server:
    """Reads requests, answers with so many bytes as each wants; notes what arrives when."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, contextlib.suppress(OSError):
            while header := sock.recv(HEADER.size, socket.MSG_WAITALL):
                size, reply = HEADER.unpack(header)
                receive(sock, size - HEADER.size, self._note)
                send(sock, STAMP.pack(time.monotonic()), reply)

    def _note(self, size: int) -> None:
        self.seen.append((time.monotonic(), size))


class Client:
    """A connection through a shaper."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection((LOOPBACK, port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, size: int, reply: int = REPLY) -> tuple[float, float]:
        """Times of upload and download, in ms."""
        started = time.monotonic()
        send(self._sock, HEADER.pack(size, reply), size)
        (arrived,) = STAMP.unpack(receive(self._sock, reply)[: STAMP.size])
        return (arrived - started) * 1e3, (time.monotonic() - arrived) * 1e3

    def close(self) -> None:
        self._sock.close()


@contextlib.contextmanager
def shaped(server: Server, shape: Shape) -> Iterator[ShaperProcess]:
    with ShaperProcess((LOOPBACK, server.port), shape) as shaper:
        yield shaper


def opened(port: int, shape: Shape) -> Client:
    """A connection whose windows are open."""
    fastest = max(shape.uplink.mean_mbps, shape.downlink.mean_mbps) * BYTES_PER_MS
    enough = int(4 * max(shape.rtt_ms * fastest, INITIAL_WINDOW_BYTES))
    client = Client(port)
    client.request(enough, enough)
    return client


def throughput(table: Table, server: Server, rates: tuple[float, ...], seconds: float) -> None:
    """Bulk over an open window, both ways: bytes by time, without the delay."""
    table.title(f"throughput in Mbps, {seconds:g} s, round trip 30 ms")
    for rate in rates:
        shape = Shape(Constant(rate), Constant(rate), 30.0)
        bulk = int(rate * BYTES_PER_MS * 1000 * seconds)
        with shaped(server, shape) as shaper:
            client = opened(shaper.port, shape)
            upload_ms, _ = client.request(bulk)
            _, download_ms = client.request(100, bulk)
            client.close()
        for name, took_ms in (("up", upload_ms), ("down", download_ms)):
            table.line(f"{rate:g} Mbps {name}", rate, bulk / BYTES_PER_MS / (took_ms - 15), 3)


def delay(table: Table, server: Server, round_trips: tuple[float, ...], repeats: int) -> None:
    """Small requests on an idle link: each way's delay."""
    table.title(f"one-way delay of 100 bytes in ms at 100 Mbps, {repeats} requests")
    for rtt_ms in round_trips:
        shape = Shape(Constant(100), Constant(100), rtt_ms)
        expected = rtt_ms / 2 + 100 / (100 * BYTES_PER_MS)
        with shaped(server, shape) as shaper:
            client = opened(shaper.port, shape)
            times = np.array([client.request(100, 100) for _ in range(repeats)])
            client.close()
        for name, way in (("up", times[:, 0]), ("down", times[:, 1])):
            table.line(
                f"{rtt_ms:g} ms round trip, {name}", expected, float(np.median(way)), 2, "ms"
            )
            table.line("  its 95th percentile", expected, float(np.quantile(way, 0.95)), None, "ms")


def jitter(table: Table, server: Server, repeats: int) -> None:
    """Mean and deviation of the round trip; bounds are thrice the sampling error."""
    table.title(f"jitter: round trip of 40 ± 10 ms, {repeats} requests")
    shape = Shape(Constant(100), Constant(100), 40.0, jitter_ms=10.0)
    with shaped(server, shape) as shaper:
        client = opened(shaper.port, shape)
        times = []
        for _ in range(repeats):
            times.append(sum(client.request(100, 100)))
            time.sleep(0.02)  # a new draw comes once per round trip
        client.close()
    error = 10 / np.sqrt(repeats)
    table.line("mean", 40.0, float(np.mean(times)), float(np.ceil(3 * error + 1)), "ms")
    table.line("deviation", 10.0, float(np.std(times)), float(np.ceil(3 * error)), "ms")


def trace(table: Table, server: Server, seconds: int) -> None:
    """A recording followed second by second, an outage in it; the first second opens windows."""
    rates = np.resize([8.0, 20.0, 0.0, 3.0, 30.0, 12.0, 1.0, 16.0], seconds)
    recorded = Recorded(np.arange(seconds + 1) * 1000.0, rates)
    table.title("a trace second by second, Mbps up")
    shape = Shape(recorded, Constant(50), 20.0)
    begun = len(server.seen)
    zero = time.monotonic() + shape.rtt_ms / 2000  # its loop begins now; bytes arrive later
    with Shaper.of((LOOPBACK, server.port), shape) as shaper:
        client = Client(shaper.port)
        client.request(int(rates.sum() * BYTES_PER_MS * 1000) - 200_000)
        client.close()
    seen = server.seen[begun:]
    at = np.array([moment for moment, _ in seen])
    size = np.array([amount for _, amount in seen], dtype=float)
    for second, rate in enumerate(rates[:-1]):
        within = (at >= zero + second) & (at < zero + second + 1)
        mbps = float(size[within].sum()) * 8e-6
        bound, unit = (0.1, "Mb") if rate < 3 else (3, "%")
        table.line(f"second {second}", rate, mbps, bound if second else None, unit)


def completion(table: Table, server: Server, name: str, shape: Shape, repeats: int) -> None:
    """Requests with a reply of 1 kB, fresh and warm, against the model's medians; of small ones,
    in which jitter counts for more, four times as many."""
    table.title(f"completion in ms over {name}, medians of {repeats} to {4 * repeats}")
    for size, factor in SIZES.items():
        with shaped(server, replace(shape, seed=size)) as shaper:
            client = Client(shaper.port)
            fresh, warm = [], []
            for _ in range(factor * repeats):
                other = Client(shaper.port)
                fresh.append(sum(other.request(size)))
                other.close()
                client.request(opening(shape))  # its windows had halved meanwhile
                warm.append(sum(client.request(size)))
            client.close()
        for kind, seen in (("fresh", fresh), ("warm", warm)):
            expected = modelled(shape, size, Connection(kind))
            table.line(f"{size // 1000} kB {kind}", expected, float(np.median(seen)), 10)


def opening(shape: Shape) -> int:
    """A request that opens the uplink's window again."""
    open_bytes = shape.rtt_ms * shape.uplink.mean_mbps * BYTES_PER_MS
    return int(4 * max(open_bytes, INITIAL_WINDOW_BYTES))


def modelled(shape: Shape, size: int, connection: Connection, n: int = 20_001) -> float:
    path = Path(
        "model", shape.uplink, shape.downlink, shape.rtt_ms, shape.jitter_ms, shape.promotion_ms,
        shape.tail_ms, size, REPLY, connection,
    )  # fmt: skip
    times = path.transfers(n, np.random.default_rng(0))
    return float(np.median(times.upload_ms + times.download_ms))


def sleepy(table: Table, server: Server, repeats: int) -> None:
    """A radio that sleeps, and windows that halve meanwhile."""
    table.title(f"10 kB after 500 ms of silence, radio asleep after 300, medians of {repeats}")
    shape = Shape(Constant(20), Constant(20), 60.0, promotion_ms=260.0, tail_ms=300.0)
    with shaped(server, shape) as shaper:
        client = opened(shaper.port, shape)
        seen = []
        for _ in range(repeats):
            time.sleep(0.5)
            seen.append(sum(client.request(10_000)))
        client.close()
    expected = modelled(shape, 10_000, Connection("warm", idle_ms=500.0))
    table.line("warm, with promotion", expected, float(np.median(seen)), 10)


def cost(server: Server, rate: float, seconds: float) -> None:
    """CPU time of the shaper's process while a link is full; its start apart."""
    shape = Shape(Constant(rate), Constant(rate), 30.0)
    spent = []
    for size in (100, int(rate * BYTES_PER_MS * 1000 * seconds)):
        before = children_seconds()
        with shaped(server, shape) as shaper:
            client = Client(shaper.port)
            client.request(size)
            client.close()
        spent.append(children_seconds() - before)
    share = (spent[1] - spent[0]) / seconds
    print(f"  {rate:g} Mbps for {seconds:g} s: {share:.1%} of a core")


def children_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    shortened()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="half a minute instead of some")
    short = parser.parse_args().short
    table, server = Table(), Server()
    if SMOKE:
        delay(table, server, (10,), 3)
        return
    throughput(table, server, (1, 20, 100) if short else (1, 6, 20, 100, 400), 1 if short else 5)
    delay(table, server, (10, 60) if short else (4, 10, 60, 160), 30 if short else 200)
    jitter(table, server, 60 if short else 500)
    trace(table, server, 8 if short else 16)
    twenty = Shape(Constant(20), Constant(20), 60.0)
    completion(table, server, "20 Mbps, 60 ms", twenty, 3 if short else 15)
    wifi = replace(shape_of("wifi"), jitter_ms=0.0)
    completion(table, server, "wifi without its jitter", wifi, 3 if short else 15)
    if not short:
        for name in ("lte", "home", "5g-mmwave"):
            # Radios that sleep have a table of their own; here requests follow one another.
            awake = replace(shape_of(name), promotion_ms=0.0)
            completion(table, server, name, awake, 25)
    sleepy(table, server, 3 if short else 11)
    print("\ncost of the shaper's process")
    for rate in (20, 100) if short else (20, 100, 400):
        cost(server, rate, 2 if short else 10)
    sys.exit(0 if table.kept else 1)


if __name__ == "__main__":
    main()
