"""Frames over a socket and tensors in shared memory, also from a peer that sends nonsense."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import WorkerFailed
from edgewise.protocol.messages import DATATYPES, Tensor
from edgewise.server.pool import arena, frames
from edgewise.server.pool.arena import Area
from edgewise.server.pool.channel import Channel
from edgewise.server.pool.frames import Evict, Evicted, Failed, Head, Reply


@pytest.fixture
def area() -> Iterator[Area]:
    found = Area.create("test")
    yield found
    found.close()


def arrays(datatype: str) -> st.SearchStrategy[Tensor]:
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    return shapes.map(
        lambda shape: Tensor("x", datatype, shape, np.ones(shape, DATATYPES[datatype]))
    )


texts = st.lists(st.binary(max_size=40), max_size=4).map(
    lambda parts: Tensor("s", "BYTES", (len(parts),), tuple(parts))
)
tensors = st.one_of(texts, st.sampled_from(sorted(DATATYPES)).flatmap(arrays))


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(st.lists(tensors, max_size=4), max_size=3), copy=st.booleans())
def test_tensors_come_back_as_they_were(requests: list[list[Tensor]], copy: bool) -> None:
    area = Area.create("test")
    try:
        for sent, heads in zip(requests, arena.write(area, requests), strict=True):
            for before, after in zip(sent, arena.read(area, heads, copy=copy), strict=True):
                assert (after.name, after.datatype) == (before.name, before.datatype)
                assert after.shape == before.shape
                np.testing.assert_array_equal(after.values, before.values)
    finally:
        area.close()


def test_an_area_grows_for_both_ends(area: Area) -> None:
    peer = Area(os.dup(area.descriptor))
    large = Tensor("x", "UINT8", (3_000_000,), np.arange(3_000_000, dtype="uint8"))
    ((head,),) = arena.write(area, [[large]])
    with pytest.raises(ValueError, match="outside"):
        arena.read(peer, [head], copy=True)
    peer.follow(area.size)
    (read,) = arena.read(peer, [head], copy=True)
    np.testing.assert_array_equal(read.values, large.values)
    peer.close()


def test_a_view_outlives_growth(area: Area) -> None:
    ((head,),) = arena.write(area, [[Tensor("x", "INT32", (3,), np.array([1, 2, 3], "int32"))]])
    (view,) = arena.read(area, [head], copy=False)
    area.reserve(10 * area.size)
    assert np.asarray(view.values).tolist() == [1, 2, 3]


def test_trimming_gives_memory_back_and_the_area_stays_usable(area: Area) -> None:
    count = 4 * arena.KEPT_BYTES
    arena.write(area, [[Tensor("x", "UINT8", (count,), np.ones(count, "uint8"))]])
    before = os.fstat(area.descriptor).st_blocks
    area.trim()
    assert os.fstat(area.descriptor).st_blocks < before
    ((head,),) = arena.write(area, [[Tensor("x", "UINT8", (count,), np.ones(count, "uint8"))]])
    assert np.asarray(arena.read(area, [head], copy=False)[0].values).sum() == count


def test_a_peer_cannot_take_pages_away(area: Area) -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("sealed files are Linux's")
    with pytest.raises(PermissionError):
        os.ftruncate(area.descriptor, 0)


@pytest.mark.parametrize(
    "head",
    [
        Head("x", "FP32", (1 << 40,), 0, 1 << 42),
        Head("x", "FP32", (2,), -8, 8),
        Head("x", "FP32", (-2,), 0, 8),
        Head("x", "FP32", (3,), 0, 8),
        Head("x", "FP99", (2,), 0, 8),
        Head("x", "BYTES", (2,), 0, 4),
        Head("x", "BYTES", (1,), 0, 2),
    ],
)
def test_a_head_that_is_no_tensor_is_refused(area: Area, head: Head) -> None:
    with pytest.raises(ValueError):
        arena.read(area, [head], copy=True)


def test_an_area_that_was_never_made_is_refused(area: Area) -> None:
    with pytest.raises(ValueError, match="announced"):
        area.follow(1 << 30)


# -- the connection ------------------------------------------------------------------------------


class Peers:
    """A connection whose other end the test holds."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.broken: list[str] = []
        self.answers: list[Reply | WorkerFailed] = []
        self.connection = Channel(ours, self.broken.append)

    def ask(self, key: str = "v") -> None:
        self.connection.ask(Evict(key), self.answers.append, key, 60.0)

    async def send(self, content: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.theirs, content)
        await self.until(lambda: bool(self.broken or self.answers))

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    def close(self) -> None:
        self.connection.close()
        self.theirs.close()


def with_peers(work: Any) -> None:
    async def run() -> None:
        peers = Peers()
        try:
            await work(peers)
        finally:
            peers.close()

    go(run())


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_replies_answer_in_order_in_any_pieces() -> None:
    async def work(peers: Peers) -> None:
        for key in "abc":
            peers.ask(key)
        stream = b"".join(
            frames.encode(Failed("runtime", letter * size))
            for letter, size in (("a", 3), ("b", 100_000), ("c", 1))
        )
        for start in range(0, len(stream), 7001):
            await asyncio.get_running_loop().sock_sendall(
                peers.theirs, stream[start : start + 7001]
            )
            await asyncio.sleep(0)
        await peers.until(lambda: len(peers.answers) == 3)
        told = [each.message[0] for each in peers.answers if isinstance(each, Failed)]
        assert told == ["a", "b", "c"]
        assert peers.connection.idle
        assert not peers.broken

    with_peers(work)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        struct.pack("<I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack("<I", 1) + b"\x07",
        struct.pack("<I", 0),
        b"".join([struct.pack("<I", len(m)) + m for m in [msgspec.msgpack.encode(["evict", "x"])]]),
    ],
)
def test_nonsense_breaks_the_connection_and_fails_what_was_asked(nonsense: bytes) -> None:
    async def work(peers: Peers) -> None:
        peers.ask("v")
        await peers.send(nonsense)
        assert "broke the protocol" in peers.broken[0]
        assert peers.connection.about == "v"
        peers.connection.abandon(WorkerFailed("dead"))
        await peers.until(lambda: bool(peers.answers))
        assert isinstance(peers.answers[0], WorkerFailed)

    with_peers(work)


def test_a_reply_to_nothing_breaks_the_protocol() -> None:
    async def work(peers: Peers) -> None:
        await peers.send(frames.encode(Evicted()))
        assert "broke the protocol" in peers.broken[0]

    with_peers(work)


def test_a_peer_that_hangs_up_is_noticed_and_asking_on_does_no_harm() -> None:
    async def work(peers: Peers) -> None:
        peers.theirs.close()
        await peers.until(lambda: bool(peers.broken))
        peers.ask()
        peers.connection.abandon(WorkerFailed("dead"))
        await peers.until(lambda: bool(peers.answers))
        assert peers.broken == [""]

    with_peers(work)


def test_commands_larger_than_the_sockets_buffer_arrive_whole() -> None:
    async def work(peers: Peers) -> None:
        name = "x" * 3_000_000
        peers.ask(name)
        peers.ask("after")
        splitter, found = frames.Splitter(), []
        async with asyncio.timeout(20):
            while len(found) < 2:
                part = await asyncio.get_running_loop().sock_recv(peers.theirs, 1 << 16)
                found += [frames.command(content) for content in splitter.feed(part)]
        assert found == [Evict(name), Evict("after")]

    with_peers(work)


def test_the_limit_counts_from_when_the_peer_is_at_it() -> None:
    async def work(peers: Peers) -> None:
        assert peers.connection.overdue_s is None
        peers.connection.ask(Evict("a"), peers.answers.append, None, 0.0)
        await asyncio.sleep(0.002)
        assert peers.connection.overdue_s == 0.0
        peers.ask("b")
        await peers.send(frames.encode(Evicted()))
        assert peers.connection.overdue_s is None

    with_peers(work)
