"""Callers that misbehave: each gets a clear error, and nobody else notices."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from rest_fakes import Served, served_with

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1,2]}]}'


def request(
    body: bytes = BODY, model: str = "echo", head: str = "", length: int | None = None
) -> bytes:
    length = len(body) if length is None else length
    line = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: x\r\n"
    return f"{line}Content-Length: {length}\r\n{head}\r\n".encode() + body


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:])}

    @property
    def json(self) -> dict:
        return json.loads(self.body)


def read_answer(connection: socket.socket) -> Answer:
    raw = b""
    while b"\r\n\r\n" not in raw:
        if not (got := connection.recv(65536)):
            return Answer(raw)
        raw += got
    answer = Answer(raw)
    while len(answer.body) < int(answer.headers["content-length"]):
        raw += connection.recv(65536)
        answer = Answer(raw)
    return answer


def ask(served: Served, raw: bytes) -> Answer:
    with served.connect() as connection:
        connection.sendall(raw)
        return read_answer(connection)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as it:
        yield it


def assert_well(served: Served) -> None:
    assert ask(served, request()).status == 200


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, b"GET\r\n\r\n", b"\x00" * 99, b"{}\n\n",
     b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
     b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n",
     b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"],
)  # fmt: skip
def test_garbage_is_answered_400(served: Served, garbage: bytes) -> None:
    answer = ask(served, garbage)
    assert answer.status == 400
    assert answer.json["error"]
    assert answer.headers["connection"] == "close"
    assert_well(served)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"garbage", "JSON"),
        (b"", "JSON"),
        (b"[" * 100_000, "object"),
        (b'{"other":' + b"[" * 100_000, "nested too deeply"),
        (b'{"inputs":[{"name":"\xff","datatype":"FP32","shape":[1],"data":[1]}]}', "JSON"),
        (b'{"inputs":[]}', "inputs"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1]}]}', "'x'"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]}', "shape"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}', "no NaN"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1e999]}]}', "'x'"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["1"]}]}', "'x'"),
        (b'{"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[256]}]}', "UINT8"),
        (b'{"inputs":[{"name":"x","datatype":"WHAT","shape":[1],"data":[1]}]}', "WHAT"),
        (b'{"inputs":[{"name":"x","datatype":"FP16","shape":[1],"data":[1]}]}', "FP16"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}', "no data"),
        (BODY[:-2] + b"," + BODY[11:], "twice"),
        (BODY[:-1] + b',"parameters":{"sla_ms":-1}}', "sla_ms"),
        (BODY[:-1] + b',"parameters":{"sla_ms":"soon"}}', "sla_ms"),
        (BODY[:-1] + b',"parameters":{"timeout":true}}', "timeout"),
        (BODY[:-1] + b',"parameters":{"rtt_ms":' + b"9" * 400 + b"}}", "rtt_ms"),
        (BODY[:-1] + b',"outputs":[{"name":"x"},{"name":"x"}]}', "twice"),
        (BODY[:-1] + b',"outputs":[{"name":"unknown"}]}', "unknown"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_told_what_is_wrong(served: Served, body: bytes, words: str) -> None:
    answer = ask(served, request(body))
    assert answer.status == 400, answer.body
    assert words in answer.json["error"]


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "1000"])
def test_a_wrong_header_length(served: Served, length: str) -> None:
    answer = ask(served, request(head=f"Inference-Header-Content-Length: {length}\r\n"))
    assert answer.status == 400
    assert "Inference-Header-Content-Length" in answer.json["error"]


def test_a_gigabyte_is_refused_before_it_is_sent(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(request(b"", length=1 << 30))
        answer = read_answer(connection)
    assert answer.status == 413
    assert "limit" in answer.json["error"]
    assert_well(served)


def test_who_sends_it_all_the_same_can_read_why(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(request(b"", length=80 << 20))
        for _ in range(80):
            connection.sendall(bytes(1 << 20))
        assert read_answer(connection).status == 413


def test_an_endless_body_is_cut_at_the_limit() -> None:
    with served_with(body_bytes=100_000) as served, served.connect() as connection:
        connection.sendall(
            b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(20):
            connection.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert read_answer(connection).status == 413
        assert_well(served)


def test_a_body_that_inflates_above_the_limit() -> None:
    import gzip

    with served_with(body_bytes=1_000_000) as served:
        bomb = gzip.compress(bytes(50_000_000))
        assert len(bomb) < 1_000_000
        assert ask(served, request(bomb, head="Content-Encoding: gzip\r\n")).status == 413
        broken = gzip.compress(BODY)[:-9]
        answer = ask(served, request(broken, head="Content-Encoding: gzip\r\n"))
        assert answer.status == 400
        assert "inflated" in answer.json["error"]
        assert ask(served, request(BODY, head="Content-Encoding: br\r\n")).status == 415
        at_limit = gzip.compress(BODY + b" " * (1_000_000 - len(BODY)))
        assert ask(served, request(at_limit, head="Content-Encoding: gzip\r\n")).status == 200


def test_half_a_body_and_gone(served: Served) -> None:
    before = len(served.service.seen)
    with served.connect() as connection:
        connection.sendall(request(BODY[:20], length=len(BODY)))
    assert_well(served)
    assert len(served.service.seen) == before + 1


def test_half_a_body_and_silence() -> None:
    with served_with(body_seconds=0.2) as served, served.connect() as connection:
        connection.sendall(request(BODY[:20], length=len(BODY)))
        answer = read_answer(connection)
        assert answer.status == 408
        assert "body" in answer.json["error"]


def test_a_head_in_drops() -> None:
    with served_with(header_seconds=0.3) as served, served.connect() as connection:
        connection.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\n")
        stop = threading.Event()

        def drip() -> None:
            try:
                while not stop.wait(0.02):
                    connection.sendall(b"X-A: b\r\n")
            except OSError:
                pass

        thread = threading.Thread(target=drip)
        thread.start()
        answer = read_answer(connection)
        stop.set()
        thread.join()
        assert answer.status == 408


def test_an_endless_head(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(80):
            connection.sendall(b"X-A: " + b"b" * 1000 + b"\r\n")
        assert read_answer(connection).status == 431


def test_a_silent_connection_is_closed() -> None:
    with served_with(header_seconds=0.2, idle_seconds=0.2) as served:
        with served.connect() as connection:
            assert connection.recv(10) == b""
        with served.connect() as connection:
            connection.sendall(request())
            assert read_answer(connection).status == 200
            assert connection.recv(10) == b""


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    bodies = [BODY.replace(b"[1,2]", b"[%d,2]" % i) for i in range(20)]
    with served.connect() as connection:
        connection.sendall(b"".join(map(request, bodies)))
        raw = b""
        while raw.count(b"HTTP/1.1 200") < 20 or not raw.endswith(b"]}]}"):
            raw += connection.recv(65536)
    answers = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in raw.split(b"HTTP/1.1 ")[1:]]
    assert [answer["outputs"][0]["data"][0] for answer in answers] == list(range(20))


def test_a_caller_that_leaves_cancels_its_work(served: Served) -> None:
    served.service.cancelled.clear()
    served.service.started.clear()
    with served.connect() as connection:
        connection.sendall(request(model="slow"))
        assert served.service.started.wait(5)
        assert not served.service.cancelled.is_set()
    assert served.service.cancelled.wait(5)
    assert_well(served)


def test_a_reset_cancels_too(served: Served) -> None:
    served.service.cancelled.clear()
    served.service.started.clear()
    connection = served.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(request(model="slow"))
    assert served.service.started.wait(5)
    connection.close()
    assert served.service.cancelled.wait(5)


def test_above_the_limit_of_connections() -> None:
    with served_with(connections=3) as served:
        held = [served.connect() for _ in range(3)]
        for each in held:
            each.sendall(request())
            assert read_answer(each).status == 200
        answer = ask(served, b"")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert "3 connections" in answer.json["error"]
        for each in held:
            each.sendall(request())
            assert read_answer(each).status == 200
            each.close()
        for _ in range(100):  # until the server has seen them close
            if ask(served, request()).status == 200:
                break
            time.sleep(0.02)
        assert_well(served)


def test_a_thousand_idle_connections() -> None:
    resource = pytest.importorskip("resource", reason="no limits of files to raise here")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    with Served() as served:
        idle = [served.connect() for _ in range(1000)]
        for each in idle[:500]:
            each.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nContent-")
        for _ in range(20):
            assert_well(served)
        for each in idle:
            each.close()


def test_a_second_request_has_its_time_when_it_is_its_turn() -> None:
    with served_with(body_seconds=0.3) as served, served.connect() as connection:
        connection.sendall(request(model="slow") + request(BODY[:20], length=len(BODY)))
        assert served.service.started.wait(5)
        time.sleep(0.5)
        served.release()
        assert read_answer(connection).status == 200
        connection.sendall(BODY[20:])
        assert read_answer(connection).status == 200


def test_a_caller_that_never_reads_is_cut() -> None:
    with served_with(idle_seconds=0.2) as served, served.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        values = bytes(4_000_000)
        head = (
            b'{"inputs":[{"name":"x","datatype":"UINT8","shape":[4000000],"parameters":'
            b'{"binary_data_size":4000000}}],"parameters":{"binary_data_output":true}}'
        )
        length = f"Inference-Header-Content-Length: {len(head)}\r\n"
        with pytest.raises(ConnectionError):
            for _ in range(9):  # more than all buffers hold: at last nothing is taken any more
                connection.sendall(request(head + values, head=length))
        assert served.server.connections == 0
        assert_well(served)


def test_a_caller_that_reads_slowly_gets_it_all() -> None:
    text = b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":["%s"]}]}'
    for _ in range(8):
        with served_with(idle_seconds=0.6) as served, served.connect() as connection:
            last, longest_s, got_bytes = time.monotonic(), 0.0, 0
            with suppress(ConnectionError):
                connection.sendall(request(text % (b"a" * 9_000_000)))
                while got_bytes < 9_000_000 and (got := connection.recv(200_000)):
                    got_bytes += len(got)
                    time.sleep(0.02)
                    longest_s = max(longest_s, time.monotonic() - last)
                    last = time.monotonic()
        if got_bytes >= 9_000_000:
            return
        # A machine at other work may have kept both of them waiting: then that was seen here.
        longest_s = max(longest_s, time.monotonic() - last)
        assert longest_s > 0.3, f"cut after {got_bytes} bytes"
    pytest.fail("this machine has been too busy, eight times")


def test_expect_100_continue(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(request(b"", length=len(BODY), head="Expect: 100-continue\r\n"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read_answer(connection).status == 200


def test_expect_100_continue_of_too_much(served: Served) -> None:
    head = "Expect: 100-continue\r\n"
    assert ask(served, request(b"", length=1 << 30, head=head)).status == 413


def test_a_defect_is_one_requests_own(served: Served) -> None:
    answer = ask(served, request(model="broken"))
    assert answer.status == 500
    assert "error" in answer.json
    assert_well(served)


def test_head_and_body_come_in_one_write(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(5):
            connection.sendall(request())
            first = Answer(connection.recv(65536))
            assert len(first.body) == int(first.headers["content-length"])


def test_http_1_0_and_close(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert read_answer(connection).headers["connection"] == "close"
        assert connection.recv(10) == b""


def test_an_upgrade_is_not_taken(served: Served) -> None:
    answer = ask(
        served, b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    assert answer.status == 200


def test_many_bodies_at_once_are_bounded() -> None:
    with Served() as served:
        served.server._state.most_held_bytes = 150_000
        first, second = served.connect(), served.connect()
        first.sendall(request(bytes(100_000), length=200_000))
        time.sleep(0.1)
        second.sendall(request(bytes(100_000), length=200_000))
        assert read_answer(second).status == 503
        first.close()
        second.close()
        time.sleep(0.1)
        assert served.server._state.held_bytes == 0
        assert_well(served)
