"""The shaper over real sockets: what it must never lose, and what it must pass on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.network import catalogue
from edgewise.network.capacity import Constant, Recorded
from edgewise.network.shaper import LOOPBACK, Shaper, ShaperProcess, shape_of, shaped
from edgewise.network.shaping.pacing import Shape

#: Long enough for any machine; a hang is a failure, not a wait.
PATIENCE = 20.0
FAST = Shape(Constant(2000), Constant(2000), 2.0)

Handler = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[int]:
    """A server on loopback with a thread per connection; the port."""
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        with sock, contextlib.suppress(OSError):
            handler(sock)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
                threads[-1].start()

    with socket.create_server((LOOPBACK, 0), backlog=256) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=PATIENCE)


def all_of(sock: socket.socket) -> bytes:
    received = bytearray()
    while data := sock.recv(65536):
        received += data
    return bytes(received)


def through(port: int, chunks: list[bytes]) -> bytes:
    """What comes back of chunks that are sent while it is being read."""
    with connect(port) as sock:

        def send() -> None:
            for chunk in chunks:
                sock.sendall(chunk)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        received = all_of(sock)
        sender.join(PATIENCE)
    return received


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture(scope="module")
def jittery_echo() -> Iterator[int]:
    shape = Shape(Constant(2000), Constant(500), 3.0, jitter_ms=2.0)
    with serving(echo) as target, Shaper.of((LOOPBACK, target), shape) as shaper:
        yield shaper.port


@given(st.lists(st.integers(1, 150_000), max_size=6), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_bytes_come_whole_and_in_order(jittery_echo: int, sizes: list[int], seed: int) -> None:
    rng = random.Random(seed)
    chunks = [rng.randbytes(size) for size in sizes]
    assert through(jittery_echo, chunks) == b"".join(chunks)


def test_many_connections_at_once(jittery_echo: int) -> None:
    wrong: list[int] = []

    def one(number: int) -> None:
        payload = bytes([number]) * (1000 + 991 * number)
        if through(jittery_echo, [payload]) != payload:
            wrong.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_connections_that_only_wait_hinder_nobody() -> None:
    with serving(echo) as target, Shaper.of((LOOPBACK, target), FAST) as shaper:
        waiting = [connect(shaper.port) for _ in range(100)]
        eventually(lambda: shaper.counters().open_connections == 100)
        assert through(shaper.port, [b"x" * 100_000]) == b"x" * 100_000
        for sock in waiting:
            sock.close()
        eventually(lambda: shaper.counters().open_connections == 0)


def test_a_half_closed_connection_still_answers() -> None:
    def after_the_end(sock: socket.socket) -> None:
        sock.sendall(b"got %d" % len(all_of(sock)))

    with serving(after_the_end) as target, Shaper.of((LOOPBACK, target), FAST) as shaper:
        assert through(shaper.port, [b"y" * 5000]) == b"got 5000"


def test_a_server_may_speak_and_end_first() -> None:
    def greet(sock: socket.socket) -> None:
        sock.sendall(b"220 hello")
        sock.shutdown(socket.SHUT_WR)
        heard.append(all_of(sock))

    heard: list[bytes] = []
    with serving(greet) as target, Shaper.of((LOOPBACK, target), FAST) as shaper:
        with connect(shaper.port) as sock:
            assert all_of(sock) == b"220 hello"
            sock.sendall(b"still here")
        eventually(lambda: heard == [b"still here"])


def test_a_dead_target_resets_the_client() -> None:
    with socket.create_server((LOOPBACK, 0)) as gone:
        port = gone.getsockname()[1]
    with Shaper.of((LOOPBACK, port), FAST) as shaper:
        with connect(shaper.port) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert shaper.counters().refused == 1


def test_a_reset_of_the_target_reaches_the_client() -> None:
    def slam(sock: socket.socket) -> None:
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with (
        serving(slam) as target,
        Shaper.of((LOOPBACK, target), FAST) as shaper,
        connect(shaper.port) as sock,
        pytest.raises(ConnectionResetError),
    ):
        sock.sendall(b"?")
        sock.recv(1)


def test_a_client_that_vanishes_is_noticed_by_the_target() -> None:
    def stream(sock: socket.socket) -> None:
        try:
            while True:
                sock.sendall(bytes(65536))
        except (ConnectionResetError, BrokenPipeError):
            noticed.set()

    noticed = threading.Event()
    with serving(stream) as target, Shaper.of((LOOPBACK, target), FAST) as shaper:
        with connect(shaper.port) as sock:
            sock.recv(1)
        assert noticed.wait(PATIENCE)
        eventually(lambda: shaper.counters().open_connections == 0)


def blocked_after(sock: socket.socket) -> int:
    """How many bytes a sender gets rid of before it blocks for a third of a second."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
    sock.settimeout(0.3)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 50_000_000:
            sent += sock.send(bytes(16_384))
    return sent


def test_a_receiver_that_does_not_read_blocks_the_sender() -> None:
    done = threading.Event()

    def deaf(sock: socket.socket) -> None:
        done.wait(PATIENCE)

    slow = Shape(Constant(200), Constant(200), 5.0)
    with (
        serving(deaf) as target,
        Shaper.of((LOOPBACK, target), slow) as shaper,
        connect(shaper.port) as sock,
    ):
        # The receiver's own kernel takes up to its largest buffer, the shaper half a megabyte.
        assert blocked_after(sock) < 40_000_000
        done.set()


def test_a_link_that_stalls_blocks_the_sender_and_goes_on_where_it_was() -> None:
    modest = Shape(Constant(50), Constant(50), 2.0)
    with (
        serving(echo) as target,
        Shaper.of((LOOPBACK, target), modest) as shaper,
        connect(shaper.port) as sock,
    ):
        sock.sendall(b"before")
        assert sock.recv(100) == b"before"
        shaper.pause()
        sent = blocked_after(sock)
        assert 0 < sent < 1_000_000
        with pytest.raises(TimeoutError):
            sock.recv(1)
        shaper.resume()
        sock.settimeout(PATIENCE)
        sock.shutdown(socket.SHUT_WR)
        assert len(all_of(sock)) == sent


def test_a_stalled_shaper_can_be_shut() -> None:
    with (
        serving(echo) as target,
        Shaper.of((LOOPBACK, target), FAST) as shaper,
        connect(shaper.port) as sock,
    ):
        sock.sendall(b"lost")
        shaper.pause()
        shaper.shut()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_an_outage_in_a_trace_is_waited_out() -> None:
    outage = Recorded(np.array([0.0, 300, 600]), np.array([0.0, 100.0]))
    with serving(echo) as target:
        shape = Shape(outage, Constant(100), 1.0)
        with Shaper.of((LOOPBACK, target), shape) as shaper:
            started = time.monotonic()
            assert through(shaper.port, [b"z"]) == b"z"
            assert time.monotonic() - started >= 0.2


def test_a_transfer_takes_the_links_time_at_least() -> None:
    shape = Shape(Constant(20), Constant(20), 60.0)
    with serving(echo) as target, Shaper.of((LOOPBACK, target), shape) as shaper:
        started = time.monotonic()
        assert through(shaper.port, [b"p" * 100_000]) == b"p" * 100_000
        # 322 ms for the payload, and its echo no sooner than its last windows allow.
        assert 0.32 < time.monotonic() - started < PATIENCE


def test_counters_and_rates() -> None:
    shape = Shape(Constant(40), Constant(40), 1.0)
    with serving(echo) as target, Shaper.of((LOOPBACK, target), shape) as shaper:
        through(shaper.port, [b"c" * 2_000_000])
        counters = shaper.counters()
        assert counters.uplink_bytes == counters.downlink_bytes == 2_000_000
        assert counters.connections == 1
        assert 0 < counters.uplink_mbps < 60


def test_tls_passes_and_is_charged_only_its_own_flights(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="makes the certificate")
    authority = trustme.CA()
    inside, outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(LOOPBACK).configure_cert(inside)
    authority.configure_trust(outside)

    def secure_echo(sock: socket.socket) -> None:
        with inside.wrap_socket(sock, server_side=True) as secure:
            secure.sendall(secure.recv(100))

    # A plain connection would be charged two seconds.
    shape = Shape(Constant(100), Constant(100), 20.0, handshake_round_trips=100)
    with serving(secure_echo) as target, Shaper.of((LOOPBACK, target), shape) as shaper:
        started = time.monotonic()
        with outside.wrap_socket(connect(shaper.port), server_hostname=LOOPBACK) as sock:
            sock.sendall(b"secret")
            assert sock.recv(100) == b"secret"
        assert 0.06 < time.monotonic() - started < 1.9


def test_asyncio_users() -> None:
    async def exchange() -> bytes:
        async with Shaper.from_link((LOOPBACK, target), "ethernet", seed=5) as shaper:
            reader, writer = await asyncio.open_connection(LOOPBACK, shaper.port)
            writer.write(b"hello")
            writer.write_eof()
            received = await reader.read()
            writer.close()
            await writer.wait_closed()
            return received

    with serving(echo) as target:
        assert asyncio.run(exchange()) == b"hello"


def test_a_process_of_its_own_serves_and_answers() -> None:
    with serving(echo) as target, ShaperProcess((LOOPBACK, target), FAST) as shaper:
        assert through(shaper.port, [b"q" * 70_000]) == b"q" * 70_000
        assert shaper.counters().uplink_bytes == 70_000
        shaper.pause()
        with connect(shaper.port) as sock:
            sock.settimeout(0.2)
            sock.sendall(b"late")
            with pytest.raises(TimeoutError):
                sock.recv(1)
            shaper.resume()
            sock.settimeout(PATIENCE)
            assert sock.recv(10) == b"late"


def test_a_process_tells_why_it_cannot_start() -> None:
    with pytest.raises(UsageError, match="no-such-host"):
        ShaperProcess(("no-such-host.invalid", 80), FAST).open()


@pytest.mark.parametrize("process", [True, False])
def test_a_link_by_name(process: bool) -> None:
    with serving(echo) as target, shaped("ethernet", LOOPBACK, target, process=process) as port:
        assert through(port, [b"named"]) == b"named"


def test_a_taken_port_is_told() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        shaper = Shaper.of((LOOPBACK, 1), FAST, listen=(LOOPBACK, port))
        with pytest.raises(UsageError, match="cannot listen"):
            shaper.open()


def test_what_does_not_run_says_so() -> None:
    shaper = Shaper.of((LOOPBACK, 1), FAST)
    shaper.shut()
    with pytest.raises(UsageError, match="does not run"):
        shaper.counters()
    with pytest.raises(UsageError, match="does not run"):
        ShaperProcess((LOOPBACK, 1), FAST).pause()


def test_shapes_of_links_and_of_what_is_none(tmp_path: Path) -> None:
    lte = shape_of("lte", seed=7)
    assert (lte.uplink.mean_mbps, lte.rtt_ms, lte.promotion_ms, lte.seed) == (6, 70, 260, 7)
    assert shape_of(catalogue.links()["lte"]) == shape_of("lte")
    trace = tmp_path / "trace.txt"
    trace.write_text("1 5\n2 10\n")
    assert shape_of(f"{trace},{trace}").downlink.period_ms == 2000
    with pytest.raises(UsageError, match="no rates"):
        shape_of("artificial")
