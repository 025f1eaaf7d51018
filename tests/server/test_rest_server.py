"""The server itself: drain, token, TLS, pages, and what a plain ASGI server gets of it."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rest_fakes import RESULT, FakeService, Served
from test_rest_abuse import BODY, read_answer, request

from edgewise.errors import UsageError
from edgewise.server.events import Answered, Failed
from edgewise.server.http.app import App
from edgewise.server.http.server import serve_http
from edgewise.server.http.statistics import Statistics
from edgewise.server.settings import Limits, ServerSettings


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as it:
        yield it


def url(served: Served, path: str) -> str:
    return f"http://127.0.0.1:{served.port}{path}"


# -- pages, ids ----------------------------------------------------------------------------------


def test_the_pages(served: Served) -> None:
    assert "Edgewise" in httpx.get(url(served, "/")).text
    assert httpx.get(url(served, "/status.json")).json() == {"families": []}
    metrics = httpx.get(url(served, "/metrics"))
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert httpx.get(url(served, "/openapi.json")).json()["openapi"] == "3.1.0"
    assert httpx.head(url(served, "/v2")).status_code == 200
    assert "date" in metrics.headers


@pytest.mark.parametrize("path", ["/nothing", "/v2/", "/v2/models/x/y", "/v2/models/echo/versions"])
def test_no_such_path(served: Served, path: str) -> None:
    answer = httpx.get(url(served, path))
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/models/echo/infer"), ("DELETE", "/v2/models/echo"), ("POST", "/v2"),
     ("PUT", "/v2/models/echo/versions/1/infer"), ("GET", "/v2/repository/index")],
)  # fmt: skip
def test_wrong_methods(served: Served, method: str, path: str) -> None:
    answer = httpx.request(method, url(served, path))
    assert answer.status_code == 405
    assert method in answer.json()["error"]
    assert answer.headers["allow"]


def test_a_requests_id_comes_back(served: Served) -> None:
    given = httpx.post(
        url(served, "/v2/models/echo/infer"), content=BODY, headers={"X-Request-ID": "abc-1"}
    )
    assert given.headers["x-request-id"] == "abc-1"
    assert given.json()["id"] == "abc-1"
    insane = {"X-Request-ID": "a b" * 90}
    made = [httpx.get(url(served, "/v2"), headers=insane).headers["x-request-id"] for _ in "ab"]
    assert made[0] != made[1]
    assert " " not in made[0]


def test_a_refusal_tells_when_and_where_else(served: Served) -> None:
    answer = httpx.post(url(served, "/v2/models/busy/infer"), content=BODY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retry_after_ms"] == 250
    assert answer.json()["device"] == "tiny"


def test_an_image_without_any_protocol(served: Served) -> None:
    answer = httpx.post(
        url(served, "/v2/models/image/infer"),
        content=b"jpeg" * 100,
        headers={"Inference-Header-Content-Length": "0"},
    )
    assert answer.json()["outputs"][0]["data"] == [400]


def test_an_unknown_model_is_told_before_a_wrong_body(served: Served) -> None:
    assert httpx.post(url(served, "/v2/models/nothing/infer"), content=b"?").status_code == 404


def test_large_json_leaves_the_loop_to_others(served: Served) -> None:
    values = list(range(200_000))
    body = {"inputs": [{"name": "x", "datatype": "INT32", "shape": [200_000], "data": values}]}
    answer = httpx.post(url(served, "/v2/models/echo/infer"), json=body)
    assert answer.json()["outputs"][0]["data"] == values


def test_the_index_of_what_is_ready(served: Served) -> None:
    served.service.is_ready = False
    try:
        index = url(served, "/v2/repository/index")
        assert len(httpx.post(index).json()) == 6
        assert httpx.post(index, json={"ready": True}).json() == []
        assert httpx.post(index, content=b"{").status_code == 400
    finally:
        served.service.is_ready = True


# -- token, TLS ----------------------------------------------------------------------------------


def test_a_token_is_needed_for_all_but_health() -> None:
    with Served(ServerSettings(port=0, token="s3cret")) as served:
        paths = ["/", "/metrics", "/v2", "/status.json", "/openapi.json", "/v2/models/echo"]
        for path in paths:
            assert httpx.get(url(served, path)).status_code == 401
        assert httpx.get(url(served, "/")).headers["www-authenticate"].startswith("Basic")
        answer = httpx.post(url(served, "/v2/models/echo/infer"), content=BODY)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert httpx.get(url(served, "/v2/health/ready")).status_code == 200
        for wrong in ("Bearer s3cre", "Bearer", "Basic s3cret", "Basic ?", "bearer \xff"):
            headers = {"Authorization": wrong.encode("latin-1")}
            assert httpx.get(url(served, "/v2"), headers=headers).status_code == 401
        basic = base64.b64encode(b"me:s3cret").decode()
        for right in ("Bearer s3cret", "bearer s3cret", f"Basic {basic}"):
            for path in paths:
                answer = httpx.get(url(served, path), headers={"Authorization": right})
                assert answer.status_code == 200
        assert served.service.seen == []


def test_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Served(ServerSettings(port=0, certificate=certificate, key=key)) as served:
        where = f"https://127.0.0.1:{served.port}"
        assert served.server.url == where
        with httpx.Client(verify=context) as client:
            for _ in range(3):
                assert client.post(f"{where}/v2/models/echo/infer", content=BODY).status_code == 200
            large = BODY + b" " * 300_000
            assert client.post(f"{where}/v2/models/echo/infer", content=large).status_code == 200


def start_only(settings: ServerSettings) -> None:
    asyncio.run(serve_http(app_of(FakeService()), settings))


def test_broken_settings_are_told(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("none")
    broken = tmp_path / "broken.pem"
    with pytest.raises(UsageError, match=r"broken\.pem"):
        start_only(ServerSettings(port=0, certificate=broken, key=broken))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            start_only(ServerSettings(port=port))


# -- drain ---------------------------------------------------------------------------------------


def test_a_drain_answers_what_is_on_its_way() -> None:
    with Served(grace_seconds=0.4) as served:
        busy, idle, queued = served.connect(), served.connect(), served.connect()
        for each in (idle, queued):
            each.sendall(request())
            assert read_answer(each).status == 200
        busy.sendall(request(model="slow"))
        assert served.service.started.wait(5)
        drained = served.submit(served.server.drain(10))
        time.sleep(0.1)
        # A request on a connection that was open is answered, and told that it was its last.
        queued.sendall(request())
        answer = read_answer(queued)
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        with pytest.raises(OSError):
            served.connect()
        assert idle.recv(10) == b""  # after the grace
        assert not drained.done()
        served.release()
        answer = read_answer(busy)
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert drained.result(5) == 0


def test_a_drain_does_not_wait_for_who_has_long_been_silent() -> None:
    with Served(grace_seconds=30) as served:
        caller = served.connect()
        caller.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert caller.recv(1000).startswith(b"HTTP/1.1 200")

        async def drain() -> int:
            (connection,) = served.server._state.open
            connection._silent_since -= 40
            return await served.server.drain(5)

        assert served.run(drain()) == 0
        assert caller.recv(1) == b""


def test_a_drain_ends_in_time() -> None:
    with Served() as served, served.connect() as stuck:
        stuck.sendall(request(model="slow"))
        assert served.service.started.wait(5)
        assert served.run(served.server.drain(0.3)) == 1
        assert served.service.cancelled.is_set()


def test_who_is_queued_at_the_door_is_let_in() -> None:
    with Served() as served:
        opened: list[socket.socket] = []

        def connect_while_the_loop_is_busy() -> None:
            for _ in range(20):
                opened.append(served.connect())
                opened[-1].sendall(request())

        async def drain() -> int:
            thread = threading.Thread(target=connect_while_the_loop_is_busy)
            thread.start()
            thread.join()  # the loop accepts nobody meanwhile
            return await served.server.drain(5)

        drained = served.submit(drain())
        for _ in range(20):
            while not opened:
                time.sleep(0.01)
            assert read_answer(opened.pop(0)).status == 200
        assert drained.result(10) == 0


def test_nobody_fails_under_load_while_it_drains() -> None:
    with Served(grace_seconds=0.5) as served:
        failures: list[object] = []
        answered = [0] * 4

        def ask_until_told_to_close(i: int) -> None:
            try:
                with served.connect() as connection:
                    while True:
                        connection.sendall(request())
                        answer = read_answer(connection)
                        if answer.status != 200:
                            failures.append(answer.body)
                        answered[i] += 1
                        if answer.headers.get("connection") == "close":
                            return
            except OSError as error:
                failures.append(error)

        threads = [threading.Thread(target=ask_until_told_to_close, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        assert served.run(served.server.drain(5)) == 0
        for thread in threads:
            thread.join()
        assert failures == []
        assert all(answered)


# -- without our server --------------------------------------------------------------------------


def app_of(service: FakeService, settings: ServerSettings | None = None) -> App:
    return App(
        service,  # type: ignore[arg-type]
        settings or ServerSettings(),
        metrics=lambda: (b"", "text/plain"),
        page=lambda: b"",
        snapshot=dict,
    )


async def through_asgi(app: App, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return [await client.request(m, path, content=content) for m, path, content in requests]


def test_the_app_on_any_asgi_server() -> None:
    app = app_of(FakeService(), ServerSettings(limits=Limits(body_bytes=1000)))
    infer = "/v2/models/echo/infer"
    answers = asyncio.run(
        through_asgi(
            app, ("GET", "/v2", None), ("POST", infer, BODY), ("POST", infer, bytes(2000)),
            ("POST", "/v2/models/busy/infer", BODY),
        )
    )  # fmt: skip
    assert [each.status_code for each in answers] == [200, 200, 413, 503]
    assert answers[1].json()["outputs"][0]["data"] == [1, 2]


def test_a_caller_that_leaves_any_asgi_server() -> None:
    service = FakeService()

    async def leave() -> None:
        arriving = [{"type": "http.request", "body": BODY}]

        async def receive() -> Any:
            if arriving:
                return arriving.pop()
            await asyncio.to_thread(service.started.wait, 5)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "method": "POST", "path": "/v2/models/slow/infer", "headers": []}
        await app_of(service)(scope, receive, send)

    asyncio.run(leave())
    assert service.cancelled.is_set()


def test_statistics_count_what_listeners_are_told() -> None:
    statistics = Statistics()
    for _ in range(4):
        statistics.listen(Answered("1", "m", "fam", RESULT, {}, None, 0, 0, 12.0, 0.0, batch=2))
    statistics.listen(Failed("1", "m", "fam", None, "InferenceFailed", 500, "", 0.0, total_ms=3.0))
    told = statistics.of("m")
    assert (told["inference_count"], told["execution_count"]) == (4, 2)
    assert told["inference_stats"]["success"] == {"count": 4, "ns": 48_000_000}
    assert told["inference_stats"]["fail"] == {"count": 1, "ns": 3_000_000}
    assert told["inference_stats"]["compute_infer"]["ns"] == 38_000_000
