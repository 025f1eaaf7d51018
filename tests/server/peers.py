"""Other people's servers and clients, in a virtual environment of their own (`make peers`)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

_ROOT = Path(__file__).parents[2]
MLSERVER = Path(os.environ.get("EDGEWISE_MLSERVER") or _ROOT / ".venv-mlserver")
KSERVE = Path(os.environ.get("EDGEWISE_KSERVE") or _ROOT / ".venv-kserve")
_DIGITS = _ROOT / "src/edgewise/demo/data/digits"


def needs(module: str) -> pytest.MarkDecorator:
    """Skip where the peers' environment, or a package in it, is not there."""
    home = KSERVE if module == "kserve" else MLSERVER
    reason = f"no {module} in {home.name} (make peers)"
    there = any(home.glob(f"lib/python*/site-packages/{module}"))
    return pytest.mark.skipif(not there, reason=reason)


def run_script(script: str, *arguments: str) -> str:
    """What a script prints under the Python that has KServe.

    Raises:
        AssertionError: it failed; with what it said.
    """
    done = subprocess.run(
        [KSERVE / "bin" / "python", "-c", script, *arguments],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


#: A classifier by the nearest mean image: plain, deterministic, and right most of the time.
_MODEL = """
from pathlib import Path
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class NearestMean(MLModel):
    async def load(self):
        self.means = np.load(Path(__file__).parent / "means.npy")
        return True

    async def predict(self, payload):
        images = self.decode(payload.inputs[0], default_codec=NumpyCodec).reshape(-1, 1, 64)
        scores = -((images - self.means) ** 2).sum(2)
        answer = NumpyCodec.encode_output("scores", scores.astype(np.float32))
        return InferenceResponse(model_name=self.name, outputs=[answer])
"""


def means() -> np.ndarray:
    """The mean held-out image of each digit as fractions, (10, 64)."""
    held_out = np.load(_DIGITS / "heldout.npz")
    pixels, labels = held_out["images"].reshape(-1, 64) / 255, held_out["labels"]
    return np.stack([pixels[labels == digit].mean(0) for digit in range(10)]).astype(np.float32)


@dataclass
class MlServer:
    """A running MLServer with the model `nearest` on both protocols."""

    process: subprocess.Popen[bytes]
    http: str
    grpc: str


def free_ports(count: int) -> list[int]:
    """Ports that nobody has just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def mlserver(folder: Path, ports: list[int]) -> Iterator[MlServer]:
    """MLServer at the given HTTP, gRPC and metrics ports, ready."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "means.npy", means())
    (folder / "nearest_mean.py").write_text(_MODEL)
    ports_by_name = dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True))
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports_by_name}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "nearest",
        "implementation": "nearest_mean.NearestMean",
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 8, 8, 1]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [MLSERVER / "bin" / "mlserver", "start", str(folder)],
            stdout=log, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
    try:
        started = MlServer(process, f"http://127.0.0.1:{ports[0]}", f"grpc://127.0.0.1:{ports[1]}")
        _await_ready(started, folder / "log")
        yield started
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(server: MlServer, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.http}/v2/models/nearest/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"MLServer is not ready:\n{log.read_text()}")
