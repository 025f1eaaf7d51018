"""Faults of a running service, each while others go on asking: they notice nothing.

The wall clock of all its processes jumps by hours at every look, and one variant can be told to
crash its runtime: both by a module that Python imports at its start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from serving_process import Serving, family, image_request, serving, wait_until

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("ai_edge_litert", reason="the extra 'litert' is not installed")

#: Before any other import, so that `from time import time` gets it too.
_MISCHIEF = """
import itertools, os, sys, time
_now, _steps = time.time, itertools.cycle((0.0, -7200.0, 86400.0, 3600.0))
time.time = lambda: _now() + next(_steps)
if "worker.serve()" in " ".join(sys.orig_argv):
    from edgewise.runtimes import litert
    _load = litert.load
    def load(path, **more):
        session = _load(path, **more)
        if path.stem == "digits-l":
            invoke = session.invoke
            def crash():
                if os.path.exists(os.environ["CRASH"]):
                    os.kill(os.getpid(), 11)
                invoke()
            session.invoke = crash
        return session
    litert.load = load
"""
_INFER = "/v2/models/{}/infer"


@dataclass
class Running:
    """A service whose `digits-l` crashes while `crash` is there."""

    service: Serving
    family: Path
    crash: Path


@dataclass
class Others:
    """What callers got meanwhile."""

    statuses: list[int | str] = field(default_factory=list)
    in_time: list[bool] = field(default_factory=list)

    def call(self, http: str, done: threading.Event) -> None:
        body = image_request(sla_ms=5000)
        with httpx.Client(timeout=20) as client:
            while not done.wait(0.01):
                try:
                    answer = client.post(http + _INFER.format("digits-xs"), json=body)
                    self.statuses.append(answer.status_code)
                    if answer.status_code == 200:
                        self.in_time.append(answer.json()["parameters"]["in_time"])
                except httpx.HTTPError as error:
                    self.statuses.append(repr(error))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "sitecustomize.py").write_text(_MISCHIEF)
    path = family(folder / "family")
    crash = folder / "crash"
    path_of_modules = os.pathsep.join([str(folder), *sys.path])
    environment = {"PYTHONPATH": path_of_modules, "CRASH": str(crash)}
    with serving(path, "--workers", "2", environment=environment) as service:
        yield Running(service, path, crash)


@contextlib.contextmanager
def others(running: Running) -> Iterator[Others]:
    """Two callers of a small variant, who must all be answered."""
    found, done = Others(), threading.Event()
    threads = [
        threading.Thread(target=found.call, args=(running.service.http, done)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(found.statuses) >= 4)
        yield found
        before = len(found.statuses)
        wait_until(lambda: len(found.statuses) >= before + 10)
    finally:
        done.set()
        for thread in threads:
            thread.join(30)


def ask(running: Running, model: str = "digits", **parameters: float) -> httpx.Response:
    body = image_request(**parameters)
    if model == "digits-l":
        shape = [1, 32, 32, 1]
        body["inputs"][0] |= {"shape": shape, "data": [0.5] * 1024}
    return httpx.post(running.service.http + _INFER.format(model), json=body, timeout=30)


def test_a_clock_that_jumps_disturbs_no_deadline(running: Running) -> None:
    with others(running) as found:
        answers = [ask(running, sla_ms=2000) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    said = [answer.json()["parameters"] for answer in answers]
    assert all(each["in_time"] and 1000 < each["budget_ms"] <= 2000 for each in said)
    assert all(0 <= each["queue_ms"] < 2000 for each in said)
    assert set(found.statuses) == {200}
    assert all(found.in_time)


def test_a_killed_worker_fails_nothing(running: Running) -> None:
    with others(running) as found:
        victim = running.service.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in running.service.workers())
        wait_until(lambda: len(running.service.workers()) == 2)
    assert set(found.statuses) == {200}  # what it was at was done by the other


def test_a_variant_that_crashes_its_runtime_is_told_and_left_out(running: Running) -> None:
    running.crash.touch()
    try:
        with others(running) as found:
            answers = [ask(running, "digits-l") for _ in range(4)]
            assert {answer.status_code for answer in answers} <= {500, 503}
            assert "digits-l" in answers[0].json()["error"]
            assert "SIGSEGV" in answers[0].json()["error"]
            wait_until(lambda: ask(running, sla_ms=5000).status_code == 200)
    finally:
        running.crash.unlink()
    assert set(found.statuses) == {200}
    assert running.service.process.poll() is None


def test_pipelined_requests_come_back_in_order(running: Running) -> None:
    import json

    def message(model: str) -> bytes:
        body = json.dumps(image_request(sla_ms=5000)).encode()
        head = f"POST {_INFER.format(model)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body

    names = ["digits-xs", "nothing", "digits", "digits-xs"]
    with others(running) as found, socket.create_connection(
        ("127.0.0.1", running.service.port), timeout=20
    ) as caller:  # fmt: skip
        caller.sendall(b"".join(message(name) for name in names))
        received = b""
        while received.count(b"HTTP/1.1 ") < 4 or not received.endswith(b"}"):
            received += caller.recv(65536)
    lines = [part.split(b"\r\n")[0] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [line[:3] for line in lines] == [b"200", b"404", b"200", b"200"]
    assert set(found.statuses) == {200}


def test_a_reload_under_load_fails_nobody(running: Running) -> None:
    reloads = running.service.log.read_text().count('"reloaded"')
    with others(running) as found:
        for number in range(2):
            text = running.family.read_text()
            running.family.write_text(f"{text}\n# {number}\n")
            running.service.process.send_signal(signal.SIGHUP)
            wanted = reloads + number + 1
            wait_until(lambda: running.service.log.read_text().count('"reloaded"') >= wanted)  # noqa: B023
    assert set(found.statuses) == {200}


def test_a_folder_for_learned_times_that_is_gone_costs_nothing_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = family(tmp_path / "family", ("digits-xs",))
    with serving(path, "--workers", "1", "--state", str(state)) as service:
        shutil.rmtree(state)
        state.write_text("in the way")
        body = image_request(sla_ms=5000)
        answer = httpx.post(service.http + _INFER.format("digits"), json=body, timeout=30)
        assert answer.status_code == 200
        assert service.stop() == 0
    assert "could not be saved" in service.log.read_text()
