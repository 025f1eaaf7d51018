"""What goes wrong between client and service: one clear error each, and nothing for ever."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from protocol_server import (
    CLOUD_INDEX,
    ProtocolServer,
    answers,
    hangs,
    message,
    resets,
    says,
    sends,
    serving,
    trickles,
)

import edgewise
from edgewise.client import Late, MalformedAnswer, Unreachable
from edgewise.protocol.errors import OtherStatus
from edgewise.protocol.messages import (
    BadRequest,
    InferenceFailed,
    Refused,
    ServingError,
    TooLarge,
    Unauthorised,
    Unavailable,
    UnknownModel,
)


@pytest.fixture
def server() -> Iterator[ProtocolServer]:
    with serving() as started:
        yield started


@pytest.fixture
def client(server: ProtocolServer) -> Iterator[edgewise.Client]:
    with edgewise.Client(server.url, "digits") as made:
        yield made


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequest),
        (401, Unauthorised),
        (404, UnknownModel),
        (413, TooLarge),
        (500, InferenceFailed),
        (503, Unavailable),
        (418, OtherStatus),
    ],
)
def test_a_status_is_the_error_that_the_service_raised(
    server: ProtocolServer, client: edgewise.Client, status: int, expected: type[ServingError]
) -> None:
    server.usual = says(status, {"error": "what\nand where"})
    with pytest.raises(ServingError, match="what and where") as caught:
        client.infer(b"x")
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert len(server.asked) == 1
    assert "\n" not in str(caught.value)


def test_a_refusal_names_when_to_come_back_and_what_to_run(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    words = "late (use your device: digits-s)"
    body = {"error": words, "device": "digits-s", "retry_after_ms": 50_000.5}
    server.usual = says(503, body, Retry_After="51")
    with pytest.raises(Refused) as caught:
        client.infer(b"x", sla_ms=5000)
    assert (caught.value.retry_after_s, caught.value.device) == (50.0005, "digits-s")
    assert str(caught.value) == f"{server.url}: {words}"
    assert len(server.asked) == 1  # that is more than is left


def test_the_exact_time_of_a_refusal_wins_over_the_headers_whole_seconds(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.script.append(says(503, {"error": "busy", "retry_after_ms": 30}, Retry_After="1"))
    assert client.infer(b"x", sla_ms=900).attempts == 2


def test_redirects_are_not_followed(server: ProtocolServer, client: edgewise.Client) -> None:
    server.usual = says(307, Location="http://127.0.0.1:1/")
    with pytest.raises(OtherStatus, match=r"redirects to 'http://127\.0\.0\.1:1/'"):
        client.infer(b"x")


def test_a_service_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            edgewise.Client(url, "digits") as client,
            pytest.raises(Unreachable, match=f"cannot reach {url}.*is it running"),
        ):
            client.infer(b"x")


def test_connections_that_break_before_an_answer_are_tried_again(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.script.extend([resets, sends(b"")])
    answer = client.infer(b"x", sla_ms=5000)
    assert answer.index == CLOUD_INDEX
    assert answer.attempts == 3
    assert len(server.asked) == 3


def test_and_not_for_ever(server: ProtocolServer, client: edgewise.Client) -> None:
    server.usual = resets
    with pytest.raises(Unreachable, match="closed the connection without an answer"):
        client.infer(b"x", sla_ms=5000)
    assert len(server.asked) == 3
    server.asked.clear()
    with edgewise.Client(server.url, "digits", retries=0) as once, pytest.raises(Unreachable):
        once.infer(b"x")
    assert len(server.asked) == 1


def test_an_idle_connection_that_the_service_closed_costs_no_wait(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    client.infer(b"x")
    server.script.append(sends(b""))
    answer = client.infer(b"x")
    assert answer.attempts == 2
    assert [each.connection for each in server.asked] == [1, 1, 2]


def test_nothing_is_sent_again_once_an_answer_has_begun(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.usual = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    with pytest.raises(Unreachable, match="broke off"):
        client.infer(b"x", sla_ms=5000)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_wait_that_the_service_asks_for_is_kept(
    server: ProtocolServer, client: edgewise.Client, status: int
) -> None:
    server.script.append(says(status, {"error": "later"}, Retry_After="0.06"))
    answer = client.infer(b"x", sla_ms=5000)
    assert answer.attempts == 2
    assert answer.retry_ms >= 60


def test_nobody_waits_longer_than_the_deadline(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.usual = says(429, {"error": "slowly"}, Retry_After="1")
    with pytest.raises(OtherStatus, match="slowly"):
        client.infer(b"x", sla_ms=500)
    assert len(server.asked) == 1


def test_silence_ends_at_the_deadline_and_the_service_is_told(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.usual = hangs
    with pytest.raises(Late, match="within 80 ms"):
        client.infer(b"x", sla_ms=80)
    assert server.someone_left.wait(5)
    assert len(server.asked) == 1


def test_without_a_deadline_it_ends_at_the_timeout(server: ProtocolServer) -> None:
    server.usual = hangs
    with (
        edgewise.Client(server.url, "digits", timeout_s=0.08) as client,
        pytest.raises(Late, match="within 80 ms"),
    ):
        client.infer(b"x")


def test_an_answer_that_trickles_does_not_outlast_the_deadline(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.usual = trickles(0.01)
    with pytest.raises(Late):
        client.infer(b"x", sla_ms=100)


def test_an_attempt_that_failed_is_told_with_the_one_that_hung(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.script.extend([resets, hangs])
    with pytest.raises(Late, match=r"an attempt before: .*closed the connection"):
        client.infer(b"x", sla_ms=400)


def test_within_its_grace_a_late_answer_is_taken_and_called_late(server: ProtocolServer) -> None:
    server.usual = answers(0.15)
    with edgewise.Client(server.url, "digits", sla_ms=50, grace_ms=5000) as client:
        answer = client.infer(b"x")
    assert answer.in_time is False
    assert answer.latency_ms > 50


def _answer(head: object, binary: bytes = b"", length: str | None = None) -> bytes:
    content = head if isinstance(head, bytes) else json.dumps(head).encode()
    stated = str(len(content)) if length is None else length
    return message(200, content + binary, {"Inference-Header-Content-Length": stated})


def _output(**changed: object) -> dict[str, object]:
    given = {"name": "s", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    return {"outputs": [{**given, **changed}]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nonsense\r\n\r\n", "does not speak HTTP"),
        (message(200, b"<html>"), "not the protocol's"),
        (message(200, b"[" * 100_000), "not the protocol's"),
        (message(200, b'{"outputs":' + b'[{"a":' * 100_000), "not the protocol's"),
        (message(200, b"{}"), "not the protocol's"),
        (message(200, b"\xff\xfe{}"), "not the protocol's"),
        (_answer(_output(), b"1234567"), "neither data nor its bytes"),
        (_answer(_output(), b"123456789"), "belong to no output"),
        (_answer(_output(shape=[3]), b"12345678"), "malformed"),
        (_answer(_output(shape=[-1]), b"12345678"), "malformed"),
        (_answer(_output(shape=[2**62, 2**62]), b"12345678"), "malformed"),
        (_answer(_output(datatype="FP31"), b"12345678"), "malformed"),
        (_answer(_output(shape="2"), b"12345678"), "not the protocol's"),
        (_answer(_output(datatype="BYTES"), b"\xff\xff\xff\xff1234"), "malformed"),
        (_answer(_output(parameters={"binary_data_size": True}), b"12345678"), "neither"),
        (_answer(_output(data=[1, "x"])), "malformed"),
        (_answer(_output(data=[[1], 2])), "mix"),
        (_answer({}, b"", "99"), "beyond its end"),
        (_answer({}, b"", "-1"), "no number"),
        (_answer({}, b"", "²"), "no number"),
        (message(200, b"\x1f\x8b", {"Content-Encoding": "gzip"}), "compressed"),
    ],
)
def test_what_is_no_answer_is_called_so(
    server: ProtocolServer, client: edgewise.Client, data: bytes, why: str
) -> None:
    server.usual = sends(data)
    with pytest.raises(MalformedAnswer, match=why):
        client.infer(b"x")
    assert len(server.asked) == 1


def test_parameters_of_the_wrong_kind_do_no_harm(
    server: ProtocolServer, client: edgewise.Client
) -> None:
    server.usual = answers(
        variant=["x"], accuracy="high", queue_ms=-5, inference_ms="nan", preprocess_ms=True
    )
    answer = client.infer(b"x")
    assert (answer.variant, answer.accuracy) == ("digits", None)
    assert answer.phases is not None
    assert answer.phases.server_ms == 0


@pytest.mark.parametrize("how", ["stated", "chunked"])
def test_an_answer_above_the_limit_is_not_read(server: ProtocolServer, how: str) -> None:
    if how == "stated":
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n" + bytes(4096)
    else:
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        data += b"400\r\n" + bytes(1024) + b"\r\n"
        data += b"400\r\n" + bytes(1024) + b"\r\n"
    server.usual = sends(data, then_close=False)
    with (
        edgewise.Client(server.url, "digits", most_answer_bytes=1500) as client,
        pytest.raises(MalformedAnswer, match="larger than 1500 bytes"),
    ):
        client.infer(b"x")


def test_an_endless_error_page_is_not_read(server: ProtocolServer, client: edgewise.Client) -> None:
    server.usual = sends(message(500, b"x" * 1_000_000))
    with pytest.raises((MalformedAnswer, InferenceFailed)):
        client.infer(b"x")


@pytest.fixture
def authority() -> object:
    return pytest.importorskip("trustme").CA()


def test_tls_with_the_certificate_of_its_authority(authority, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with serving(context) as server:
        with edgewise.Client(server.url, "digits", verify=trusted) as client:
            assert client.infer(b"x").index == CLOUD_INDEX
        with (
            edgewise.Client(server.url, "digits") as client,
            pytest.raises(Unreachable, match=r"no TLS connection.*certificate") as caught,
        ):
            client.infer(b"x")
        assert "verify=" in str(caught.value)
        assert len(server.asked) == 1


def test_pings_of_a_service_that_is_not_live(server: ProtocolServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            edgewise.Client(url, "digits", timeout_s=0.05) as client,
            pytest.raises(Late),
        ):
            client.ping()


def test_waits_before_attempts_grow(server: ProtocolServer) -> None:
    server.usual = says(429, {"error": "slowly"})
    with (
        edgewise.Client(server.url, "digits", retries=3) as client,
        pytest.raises(OtherStatus, match="slowly"),
    ):
        client.infer(b"x", sla_ms=20_000)
    elapsed = [each.parameters["elapsed_ms"] for each in server.asked]
    waits = [after - before for before, after in pairwise(elapsed)]
    assert len(waits) == 3
    assert all(wait >= least for wait, least in zip(waits, (12.5, 25, 50), strict=True))
