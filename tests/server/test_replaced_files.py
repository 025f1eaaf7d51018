"""Files of a running family that are replaced: every answer is of the content that it names."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving_process import Serving, serving, wait_until

onnx = pytest.importorskip("onnx")
for _module in ("onnxruntime", "uvloop"):
    pytest.importorskip(_module)

_FAMILY = """
name = "scale"
task = "test"
[input]
kind = "tensor"
[[variant]]
name = "one"
file = "one.onnx"
accuracy = 90.0
accuracy_source = "made up"
[[variant]]
name = "other"
file = "other.onnx"
accuracy = 80.0
accuracy_source = "made up"
"""


def _model(factor: float) -> bytes:
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Asking:
    """A caller who goes on asking for one variant: status, value and content of each answer."""

    def __init__(self, running: Serving) -> None:
        self.seen: list[tuple[int, float, str]] = []
        self._done = threading.Event()
        self._url = f"{running.http}/v2/models/one/infer"
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        self.more()

    def _ask(self) -> None:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0] * 4}
        body = {"inputs": [tensor], "parameters": {"sla_ms": 10_000}}
        with httpx.Client(timeout=30) as client:
            while not self._done.is_set():
                answer = client.post(self._url, json=body)
                said: dict[str, Any] = answer.json()
                value = said["outputs"][0]["data"][0] if answer.status_code == 200 else -1.0
                content = said.get("parameters", {}).get("variant_sha256", "")
                self.seen.append((answer.status_code, value, content))

    def more(self, count: int = 20) -> set[tuple[int, float, str]]:
        """What comes from now on."""
        first = len(self.seen)
        wait_until(lambda: len(self.seen) >= first + count)
        return set(self.seen[first + 1 :])

    def end(self) -> None:
        self._done.set()
        self._thread.join(30)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "one.onnx").write_bytes(_model(2.0))
    (tmp_path / "other.onnx").write_bytes(_model(5.0))
    path = tmp_path / "family.toml"
    path.write_text(_FAMILY)
    with serving(path, "--workers", "2") as found:
        yield found


def test_an_answer_names_its_content_and_old_and_new_are_never_mixed(
    running: Serving, tmp_path: Path
) -> None:
    file, old, new = tmp_path / "one.onnx", _model(2.0), _model(3.0)
    before, after = (200, 2.0, _sha(old)), (200, 3.0, _sha(new))
    asking = Asking(running)
    try:
        assert asking.more() == {before}
        file.write_bytes(new)  # into the file itself
        assert asking.more() == {before}
        workers = running.workers()
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len(set(running.workers()) - set(workers)) == 1)
        wait_until(lambda: running.status()["workers"]["alive"] == 2)
        assert asking.more() == {before}
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: asking.seen[-1] == after)
        assert asking.more() == {after}
        file.write_bytes(b"")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not read again" in running.log.read_text())
        assert asking.more() == {after}
    finally:
        asking.end()
    assert set(asking.seen) == {before, after}
    assert asking.seen == sorted(asking.seen)  # no old one after a new one
