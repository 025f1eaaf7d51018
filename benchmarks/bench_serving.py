"""The service against the bare runtime, bare Starlette and other servers, one model, one run.

    .venv/bin/python benchmarks/bench_serving.py [--seconds 10] [--rounds 3]
        [--only edgewise,starlette] [--together]

The servers have one core, the load generator the other. For each: median and p99 of one caller that
waits for each answer; requests per second, p99 and the server's CPU time per request with eight
such callers. The floor is the runtime called in a loop on the servers' core, in every round.
Servers run one after the other, or `--together`: all are up at once and asked by turns, which shows
small differences also where the machine's speed changes (but a peer that polls takes from others).
Peers that are not installed in `.venv-peers` (`make peers`), do not start or answer with errors are
left out and said so. Compare within a run, not between runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smoke import shortened

HERE = Path(__file__).parent
PEERS = Path(os.environ.get("EDGEWISE_PEERS", HERE.parent / ".venv-peers"))
MLSERVER = Path(os.environ.get("EDGEWISE_MLSERVER", HERE.parent / ".venv-mlserver"))
SHAPE = (1, 3, 64, 64)
SERVER_CORE, LOAD_CORE = 0, 1
CALLERS = 8
#: What a server may take to start, and how long it may answer with errors meanwhile.
START_S, ERRORS_S = 90.0, 15.0


@dataclass(frozen=True)
class Server:
    """How to start a server, and one request to it."""

    name: str
    command: Callable[[int, Path], list[str]]
    path: str
    headers: dict[str, str]
    body: bytes
    python: Path
    module: str


class LeftOut(Exception):
    """A server that cannot be measured, and why."""


#: What a server can do to be left out; RuntimeError is an answer that is none.
_UNUSABLE = (LeftOut, RuntimeError, OSError, asyncio.IncompleteReadError, ValueError)


def main() -> None:
    shortened("--seconds", "0.3", "--rounds", "1", "--only", "starlette")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--layers", type=int, default=12)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--together", action="store_true")
    given = arguments.parse_args()
    wanted = [name for name in given.only.split(",") if name]
    with tempfile.TemporaryDirectory() as folder:
        model = build(Path(folder), given.layers)
        os.sched_setaffinity(0, {LOAD_CORE})
        print(f"{'server':12} {'p50 ms':>8} {'p99 ms':>8} {'over bare':>10} {'req/s':>8} {'of bare':>8} {'p99 at 8':>9} {'CPU ms':>7}")  # fmt: skip  # noqa: E501
        chosen = [each for each in servers(Path(folder)) if not wanted or each.name in wanted]
        for group in [chosen] if given.together else [[each] for each in chosen]:
            compare(group, model, given)


@dataclass
class Seen:
    """What was measured of one server, by rounds; the floor is the runtime's in the same round."""

    floor_ms: list[float] = field(default_factory=list)
    alone_ms: list[np.ndarray] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    tails_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def compare(group: list[Server], model: Path, given: argparse.Namespace) -> None:
    """Servers that are up at once and loaded by turns, so that the machine's mood hits all."""
    seen: dict[str, Seen] = {}
    with contextlib.ExitStack() as stack:
        up = []
        for server in group:
            if not installed(server):
                print(f"{server.name:12} not installed ({server.module})")
                continue
            try:
                pid, port = stack.enter_context(started(server, model))
                asyncio.run(load(server, port, CALLERS, 1.0))
            except _UNUSABLE as why:
                print(f"{server.name:12} left out: {why}", flush=True)
                continue
            up.append((server, pid, port))
            seen[server.name] = Seen()
        for _ in range(given.rounds):
            floor_ms = bare(model)
            for server, pid, port in up:
                try:
                    measure(server, pid, port, seen[server.name], given.seconds)
                    seen[server.name].floor_ms.append(floor_ms)
                except _UNUSABLE as why:
                    seen[server.name].failed.append(str(why))
    for name, each in seen.items():
        report(name, each)


def measure(server: Server, pid: int, port: int, seen: Seen, seconds: float) -> None:
    """One round: a caller alone, then several."""
    alone_ms = asyncio.run(load(server, port, 1, seconds / 2, seen.failed))
    before_ms = cpu_ms(pid)
    taken = asyncio.run(load(server, port, CALLERS, seconds, seen.failed))
    if not (len(alone_ms) and len(taken)):
        raise LeftOut("none of a round's requests was answered")
    seen.alone_ms.append(alone_ms)
    seen.cpu_ms.append((cpu_ms(pid) - before_ms) / len(taken))
    seen.rates.append(len(taken) / seconds)
    seen.tails_ms.append(float(np.quantile(taken, 0.99)))


def report(name: str, seen: Seen) -> None:
    if not seen.floor_ms:
        print(f"{name:12} left out: no round was answered, as: {seen.failed[0]}", flush=True)
        return
    floor_ms, rates = np.array(seen.floor_ms), np.array(seen.rates)
    medians_ms = np.array([np.median(each) for each in seen.alone_ms])
    alone_ms = np.concatenate(seen.alone_ms)
    print(
        f"{name:12} {np.median(alone_ms):8.3f} {np.quantile(alone_ms, 0.99):8.3f} "
        f"{np.median(medians_ms - floor_ms):+10.3f} {np.median(rates):8.0f} "
        f"{np.median(rates * floor_ms / 1000):8.1%} {np.median(seen.tails_ms):9.1f} "
        f"{np.median(seen.cpu_ms):7.3f}",
        flush=True,
    )
    if seen.failed:
        print(f"  {len(seen.failed)} were not answered, as: {seen.failed[0]}")


def cpu_ms(pid: int) -> float:
    """CPU time of a process and all its descendants so far; NaN where the system does not say."""
    total_ms = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            total_ms += int((task / "schedstat").read_text().split()[0]) / 1e6
            for child in (task / "children").read_text().split():
                total_ms += cpu_ms(int(child))
    return total_ms or float("nan")


# -- the model -------------------------------------------------------------------------------------


def build(folder: Path, layers: int) -> Path:
    """A stack of convolutions with random weights, and a family of it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, value, channels = [], [], "x", 3
    for layer in range(layers):
        shape = (32, channels, 3, 3)
        scale = np.sqrt(2 / np.prod(shape[1:]))
        kernel = (rng.normal(size=shape) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value, channels = f"r{layer}", 32
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["g"]))
    nodes.append(helper.make_node("Flatten", ["g"], ["y"]))
    graph = helper.make_graph(
        nodes, "stack",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 32))], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "stack.onnx"
    onnx.save(model, path)
    (folder / "family.toml").write_text(
        'name = "stack"\n[input]\nkind = "tensor"\n'
        '[[variant]]\nname = "m"\nfile = "stack.onnx"\naccuracy = 80\n'
    )
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "stack", "implementation": "mlserver_model.Model"})
    )
    (folder / "settings.json").write_text(
        json.dumps({"debug": False, "parallel_workers": 0, "load_models_at_startup": True})
    )
    return path


def bare(model: Path) -> float:
    """Median ms of the bare call in a process on the servers' core."""
    code = (
        "import os, sys, time, numpy as np\n"
        f"os.sched_setaffinity(0, {{{SERVER_CORE}}})\n"
        "import session\nmodel = session.load()\n"
        "x = np.random.default_rng(0).normal(size=session.SHAPE).astype(np.float32)\n"
        "taken = []\n"
        "end = time.perf_counter() + 2\n"
        "while time.perf_counter() < end:\n"
        "    t = time.perf_counter(); model.run(None, {'x': x})\n"
        "    taken.append(time.perf_counter() - t)\n"
        "print(np.median(taken) * 1000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE,
        env=environment(model, 0),
    )  # fmt: skip
    return float(done.stdout)


# -- the servers -----------------------------------------------------------------------------------


def servers(folder: Path) -> list[Server]:
    here = Path(sys.executable)
    peers = PEERS / "bin" / "python"
    mlserver_python = MLSERVER / "bin" / "python"
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32).tobytes()
    raw = {"content-type": "application/octet-stream"}
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": SHAPE,
                 "parameters": {"binary_data_size": len(values)}}
            ],
            "parameters": {"sla_ms": 10_000.0, "binary_data_output": True},
        }
    ).encode()  # fmt: skip
    triton = {"inference-header-content-length": str(len(head)), **raw}
    apps = HERE / "serving_peers"

    def uvicorn(port: int, _: Path) -> list[str]:
        return ["-m", "uvicorn", "starlette_app:app", "--port", str(port), "--log-level", "error",
                "--no-access-log", "--app-dir", str(apps)]  # fmt: skip

    def edgewise(port: int, _: Path) -> list[str]:
        return ["-m", "edgewise", "serve", str(folder / "family.toml"), "--port", str(port),
                "--workers", "1", "--log", "off"]  # fmt: skip

    def bento(port: int, _: Path) -> list[str]:
        return ["-m", "bentoml", "serve", "bentoml_app:Model", "--port", str(port), "--working-dir",
                str(apps), "--host", "127.0.0.1"]  # fmt: skip

    def mlserver(_: int, __: Path) -> list[str]:
        return ["-c", "from mlserver.cli import main; main()", "start", str(folder)]

    infer = "/v2/models/stack/infer"
    form = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return [
        Server("starlette", uvicorn, "/infer", raw, values, here, "uvicorn"),
        Server("edgewise", edgewise, infer, triton, head + values, here, "edgewise"),
        # LitServe takes forms and JSON only.
        Server("litserve", lambda p, _: [str(apps / "litserve_app.py")], "/infer", form,
               _form(values), peers, "litserve"),
        Server("bentoml", bento, "/infer", raw, values, peers, "bentoml"),
        Server("ray serve", lambda p, _: [str(apps / "ray_app.py")], "/infer", raw, values, here,
               "ray.serve"),
        # MLServer's REST takes tensors as JSON only.
        Server("mlserver", mlserver, infer, {"content-type": "application/json"}, _json(values),
               mlserver_python, "mlserver"),
    ]  # fmt: skip


def _json(values: bytes) -> bytes:
    flat = np.frombuffer(values, np.float32).tolist()
    tensor = {"name": "x", "datatype": "FP32", "shape": SHAPE, "data": flat}
    return json.dumps({"inputs": [tensor]}).encode()


_BOUNDARY = "0f1e2d3c4b5a"


def _form(values: bytes) -> bytes:
    """A file in a form, as browsers send it."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="x"; filename="x"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + values + f"\r\n--{_BOUNDARY}--\r\n".encode()


def installed(server: Server) -> bool:
    if not server.python.exists():
        return False
    found = subprocess.run(
        [server.python, "-c", f"import {server.module}"], capture_output=True, check=False
    )
    return found.returncode == 0


def environment(model: Path, port: int) -> dict[str, str]:
    apps = str(HERE / "serving_peers")
    return {
        **os.environ, "EDGEWISE_MODEL": str(model), "PORT": str(port), "PYTHONPATH": apps,
        "MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()), "BENTOML_DO_NOT_TRACK": "1",
    }  # fmt: skip


@contextlib.contextmanager
def started(server: Server, model: Path) -> Iterator[tuple[int, int]]:
    """The server on its core, once it answers: its process and port."""
    port = free_port()
    process = subprocess.Popen(
        [server.python, *server.command(port, model)],
        env=environment(model, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
    )  # fmt: skip
    try:
        wait_for(server, port, process)
        yield process.pid, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(server: Server, port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers; as long as it loads, it may also answer with errors for a while.

    Raises:
        LeftOut: it ended, or did not come to it.
    """
    end, why = time.monotonic() + START_S, "it does not answer"
    while time.monotonic() < end:
        if process.poll() is not None:
            raise LeftOut(f"it ended with status {process.returncode}")
        try:
            asyncio.run(load(server, port, 1, 0.01))
            return
        except _UNUSABLE as error:
            if isinstance(error, RuntimeError):
                why = str(error)
                end = min(end, time.monotonic() + ERRORS_S)
        time.sleep(0.25)
    raise LeftOut(why)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the load --------------------------------------------------------------------------------------


async def load(
    server: Server, port: int, callers: int, seconds: float, failed: list[str] | None = None
) -> np.ndarray:
    """Latencies in ms of callers that each wait for an answer before asking again. What is not
    answered goes to `failed`, or is raised where that is missing."""
    head = f"POST {server.path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(server.body)}\r\n"  # fmt: skip  # noqa: E501
    head += "".join(f"{name}: {value}\r\n" for name, value in server.headers.items()) + "\r\n"
    request = head.encode() + server.body
    end = time.perf_counter() + seconds
    taken: list[float] = []

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (began := time.perf_counter()) < end:
                writer.write(request)
                told = await answer(reader)
                if told is None:
                    taken.append(1e3 * (time.perf_counter() - began))
                elif failed is None:
                    raise RuntimeError(told)
                else:
                    failed.append(told)
        finally:
            writer.close()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return np.array(taken)


async def answer(reader: asyncio.StreamReader) -> str | None:
    """None for an answer, else its head and what it says."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            body = await reader.readexactly(int(line.split(b":")[1]))
            is_good = head.startswith(b"http/1.1 200")
            return None if is_good else f"{head[:20].decode()} {body[:200]!r}"
    raise ValueError("an answer without its length")


if __name__ == "__main__":
    main()
