"""`edgewise serve --ray`: a real local Ray cluster, and a replica killed under load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

FAMILY = Path(__file__).parents[2] / "src/edgewise/demo/data/digits"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of two variants on a cluster of its own: its URL."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (extra 'ray')")
    folder = tmp_path_factory.mktemp("cluster")
    text = (FAMILY / "family.toml").read_text()
    head, *variants = text.split("[[variant]]")
    wanted = [each for each in variants if 'name = "digits-xs"' in each or '"digits-l"' in each]
    assert len(wanted) == 2
    (folder / "family.toml").write_text("[[variant]]".join([head, *wanted]))
    for name in ("digits-xs.tflite", "digits-l.tflite", "labels.txt"):
        (folder / name).write_bytes((FAMILY / name).read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewise", "serve", str(folder / "family.toml"), "--ray",
         "--port", "0", "--json", "--workers", "2", "--log", "off"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("{"):
        process.wait(60)
        pytest.skip(f"no Ray cluster can be started here (status {process.returncode})")
    yield json.loads(line)["http"]
    process.send_signal(signal.SIGTERM)
    with process.stdout:
        assert process.wait(60) == 0


def _replicas(variant: str) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if f"ray::ServeReplica:edgewise-digits-{variant}" in line
    ]


def _ask(client: httpx.Client, url: str, image: str) -> httpx.Response:
    body = {
        "inputs": [
            {"name": "image", "datatype": "FP32", "shape": [1, 8, 8, 1], "data": [0.5] * 64}
        ],
        "parameters": {"sla_ms": 2000},
    }
    return client.post(f"{url}/v2/models/{image}/infer", json=body, timeout=30)


def test_a_killed_replica_costs_no_request(served: str) -> None:
    assert httpx.get(f"{served}/v2/health/ready").status_code == 200
    statuses: list[int] = []
    stop = threading.Event()

    def caller() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                statuses.append(_ask(client, served, "digits-xs").status_code)

    callers = [threading.Thread(target=caller) for _ in range(2)]
    for each in callers:
        each.start()
    time.sleep(1.0)
    before = _replicas("digits-xs")
    assert before, "a replica is a process of its own"
    os.kill(before[0], signal.SIGKILL)
    answered = statuses.count(200)
    deadline = time.monotonic() + 60
    while statuses.count(200) < answered + 50 and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    for each in callers:
        each.join()
    # While the only replica is replaced, a request may be refused; none fails.
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= answered + 50, "it goes on"


def test_a_dead_replica_is_replaced(served: str) -> None:
    with httpx.Client() as client:
        deadline = time.monotonic() + 60
        while (answer := _ask(client, served, "digits-xs")).status_code == 503:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)
        assert answer.json()["parameters"]["variant"] == "digits-xs"
