"""`edgewise serve`, end to end: real workers, real sockets, signals, faults."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from serving_process import DIGITS, Serving, family, image_request, serving, wait_until

from edgewise.cli.main import run

Image = pytest.importorskip("PIL.Image", reason="the extra 'images' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("ai_edge_litert", reason="the extra 'litert' is not installed")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    path = family(tmp_path_factory.mktemp("digits"))
    with serving(path, "--workers", "1", "--body", "1") as running:
        yield running


def _png(seed: int = 0) -> bytes:
    held_out = np.load(DIGITS / "heldout.npz")
    images = held_out[held_out.files[0]]
    encoded = io.BytesIO()
    picture = np.asarray(images[seed]).squeeze().astype(np.uint8)
    Image.fromarray(picture).save(encoded, "PNG")
    return encoded.getvalue()


def _ask(
    running: Serving, client: httpx.Client | None = None, **parameters: float
) -> httpx.Response:
    post = client.post if client else httpx.post
    body = image_request(**parameters)
    return post(f"{running.http}/v2/models/digits/infer", json=body, timeout=30)


def test_an_encoded_image_is_prepared_for_the_variant_that_is_chosen(served: Serving) -> None:
    image = _png()
    head = {
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [1],
             "parameters": {"binary_data_size": len(image) + 4}}
        ],
        "parameters": {"sla_ms": 2000},
    }  # fmt: skip
    text = json.dumps(head).encode()
    answer = httpx.post(
        f"{served.http}/v2/models/digits/infer",
        content=text + len(image).to_bytes(4, "little") + image,
        headers={"inference-header-content-length": str(len(text))},
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["parameters"]["variant"] == "digits-l", "the most accurate"
    assert found["parameters"]["in_time"] is True
    scores = found["outputs"][0]["data"]
    labels = np.load(DIGITS / "heldout.npz")
    truth = int(np.asarray(labels[labels.files[1]])[0])
    assert int(np.argmax(scores)) == truth


def test_a_tensor_goes_to_variants_that_take_it(served: Serving) -> None:
    answer = _ask(served, sla_ms=2000)
    assert answer.status_code == 200, answer.text
    assert answer.json()["parameters"]["variant"] in ("digits-xs", "digits-s", "digits-l")


def test_what_cannot_be_in_time_is_refused(served: Serving) -> None:
    answer = _ask(served, sla_ms=10, elapsed_ms=50)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 0
    assert answer.json()["device"] == "digits-s"
    assert float(answer.headers["server-timing"].removeprefix("total;dur=")) > 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe garbage", 400),
        (b'{"inputs": []}', 400),
        (json.dumps(image_request([0.5] * 63)).encode(), 400),
        (json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 9, 9, 1],
                                 "data": [0.0] * 81}]}).encode(), 400),
        (json.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 8, 8, 1],
                                 "data": [0] * 64}]}).encode(), 400),
        (json.dumps({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1],
                                 "data": ["no image"]}]}).encode(), 400),
        (b"x" * 1_500_000, 413),
    ],
)  # fmt: skip
def test_bad_requests_are_answered_and_nobody_else_notices(
    served: Serving, content: bytes, status: int
) -> None:
    answer = httpx.post(f"{served.http}/v2/models/digits/infer", content=content)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert _ask(served, sla_ms=2000).status_code == 200


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(served: Serving) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as caller:
        caller.sendall(
            b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 1073741824\r\n\r\n"
        )
        assert b" 413 " in caller.recv(4096).split(b"\r\n")[0]
    assert _ask(served, sla_ms=2000).status_code == 200


def test_half_a_body_and_idle_connections_disturb_nobody(served: Serving) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(1000)]
    half = socket.create_connection(("127.0.0.1", served.port))
    half.sendall(
        b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    )
    try:
        with httpx.Client() as client:
            assert all(_ask(served, client, sla_ms=2000).status_code == 200 for _ in range(20))
    finally:
        for each in (*idle, half):
            each.close()
    assert _ask(served, sla_ms=2000).status_code == 200


def test_a_killed_worker_is_replaced(served: Serving) -> None:
    (worker,) = served.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: _ask(served, sla_ms=2000).status_code == 200)
    (other,) = served.workers()
    assert other != worker
    assert served.status()["workers"]["losses"] >= 1


def test_metrics_and_page(served: Serving) -> None:
    assert "edgewise_requests_total" in httpx.get(f"{served.http}/metrics").text
    page = httpx.get(f"{served.http}/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text.replace("http://www.w3.org", "")


def test_sigterm_fails_no_request(tmp_path: Path) -> None:
    statuses: list[int | str] = []
    with serving(family(tmp_path), "--workers", "1") as running:

        def caller() -> None:
            with httpx.Client() as client:
                while True:
                    try:
                        statuses.append(_ask(running, client, sla_ms=5000).status_code)
                    except httpx.ConnectError:
                        return  # it does not listen any more
                    except httpx.HTTPError as error:
                        statuses.append(repr(error))
                        return

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for each in callers:
            each.start()
        end = time.monotonic() + 60
        while len(statuses) <= 20 and time.monotonic() < end:
            time.sleep(0.02)
        assert running.stop() == 0
        for each in callers:
            each.join(20)
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_sighup_reads_the_family_again(tmp_path: Path) -> None:
    path = family(tmp_path, ("digits-xs", "digits-s"))
    with serving(path, "--workers", "1") as running:
        names = lambda: {  # noqa: E731
            each["name"] for each in httpx.post(f"{running.http}/v2/repository/index").json()
        }
        assert "digits-l" not in names()
        family(tmp_path)
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "digits-l" in names())
        path.write_text("name = ")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "as before" in running.log.read_text())
        assert _ask(running, sla_ms=2000).status_code == 200


def test_what_was_learned_is_kept(tmp_path: Path) -> None:
    path = family(tmp_path / "family")
    state = tmp_path / "state"
    with serving(path, "--workers", "1", "--state", str(state)) as running:
        with httpx.Client() as client:
            assert all(_ask(running, client, sla_ms=2000).status_code == 200 for _ in range(30))
        assert running.stop() == 0
    kept = list(state.glob("*.json"))
    assert len(kept) == 1
    with serving(path, "--workers", "1", "--state", str(state)) as running:
        (known,) = running.status()["families"]
        assert any(variant["samples"] > 0 for variant in known["variants"])


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    path = family(tmp_path, ("digits-xs",))
    with serving(path, "--workers", "1", environment={"EDGEWISE_TOKEN": "secret"}) as running:
        assert _ask(running).status_code == 401
        with httpx.Client(headers={"authorization": "Bearer secret"}) as client:
            assert _ask(running, client).status_code == 200
        assert httpx.get(f"{running.http}/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("options", "reason", "status"),
    [
        (["--host", "0.0.0.0"], "other machines", 2),
        (["--certificate", "x.pem"], "both a certificate and its key", 2),
        (["--policy", "best"], "best", 2),
        (["--log", "all"], "'requests', 'errors', 'off'", 2),
        (["--memory", "nan"], "--memory nan", 2),
        (["--drain", "-1"], "to drain in", 2),
        (["--grpc-port", "99999"], "the port 99999", 2),
        (["--state", "/proc/nowhere"], "learned times cannot be kept", 1),
        (["--profiles", "nowhere.csv"], "no profiles at", 1),
    ],
)
def test_half_given_settings_are_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    reason: str,
    status: int,
) -> None:
    path = family(tmp_path, ("digits-xs",))
    given = run(["serve", str(path), "--port", "0", "--workers", "1", *options])
    said = capfd.readouterr().err
    assert (given, len(said.strip().splitlines())) == (status, 1), said
    assert reason in said


def test_a_variant_that_does_not_match_the_labels_is_an_error_at_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = family(tmp_path, ("digits-xs",))
    (tmp_path / "labels.txt").write_text("zero\none\n")
    assert run(["serve", str(path), "--port", "0", "--workers", "1"]) == 1
    said = capfd.readouterr().err
    assert "10 classes" in said
    assert "2 labels" in said
