"""What the gRPC side takes per request, beside bare grpc.aio on the same event loop.

Each server has a process, with a service that does nothing; one caller asks them in turn over one
warm channel each, so that whatever else the machine does hits all alike. "bare" sends the same
answer back without looking at the request; "protobuf" parses and builds messages with the library
alone, without a check; ours does it with all checks, and with raw contents as views.

python benchmarks/bench_grpc.py [REQUESTS]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop

from bench_http import _PIXELS, NoService
from edgewise.protocol.grpc import codec
from edgewise.protocol.grpc.fields import SERVICE
from edgewise.protocol.grpc.schema import message
from edgewise.protocol.messages import Tensor
from edgewise.server.settings import ServerSettings
from smoke import shortened

_METHOD = f"/{SERVICE}/ModelInfer"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
_BLOCK = 50
_NAMES = ("bare", "protobuf", "edgewise")


async def _bare(_: bytes, __: Any) -> bytes:
    return _answer()


async def _protobuf(content: bytes, _: Any) -> bytes:
    request = message("ModelInferRequest").FromString(content)
    np.frombuffer(request.raw_input_contents[0], np.float32).reshape(request.inputs[0].shape)
    scores = NoService().result.outputs[0]
    response = message("ModelInferResponse")(model_name="m", model_version="1", id=request.id)
    response.outputs.add(name="scores", datatype="FP32", shape=scores.shape)
    response.raw_output_contents.append(scores.values.tobytes())
    encoded: bytes = response.SerializeToString()
    return encoded


def _answer() -> bytes:
    result = NoService().result
    asked = codec.Asked("m", "", "", (), (), {}, typed=False)
    return codec.encode_answer(result, asked, "1")


def serve(name: str, told: Connection) -> None:
    """Run one server until its process is ended."""
    uvloop.run(_serving(name, told))


async def _serving(name: str, told: Connection) -> None:
    if name == "edgewise":
        from edgewise.server.grpc.server import serve_grpc

        ours = await serve_grpc(NoService(), ServerSettings(grpc_port=0))  # type: ignore[arg-type]
        told.send(ours.port)
    else:
        server = grpc.aio.server(options=_OPTIONS)
        handler = {"bare": _bare, "protobuf": _protobuf}[name]
        methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(handler)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        told.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
    await asyncio.Event().wait()


def measure(ports: dict[str, int], content: bytes, count: int) -> dict[str, np.ndarray]:
    """Round trips in ms, by server."""
    calls = {}
    for name, port in ports.items():
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        calls[name] = channel.unary_unary(_METHOD)
        for _ in range(_BLOCK):
            calls[name](content, timeout=30)
    taken: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(max(1, count // _BLOCK)):
        for name, call in calls.items():
            for _ in range(_BLOCK):
                began = time.perf_counter()
                call(content, timeout=30)
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: np.array(each) for name, each in taken.items()}


def main() -> None:
    shortened("20")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    context = multiprocessing.get_context("spawn")
    processes, ports = [], {}
    for name in _NAMES:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(name, theirs), daemon=True)
        process.start()
        processes.append(process)
        ports[name] = ours.recv()
    try:
        for shape in ((1, 64), _PIXELS):
            values = np.zeros(shape, np.float32)
            content = codec.encode_request("m", "", [Tensor("x", "FP32", shape, values)])
            print(f"{len(content) / 1000:.1f} kB, {count} requests each")
            for name, ms in measure(ports, content, count).items():
                print(f"  {name:9} median {np.median(ms):.3f} ms   p99 {np.quantile(ms, 0.99):.3f}")
    finally:
        for process in processes:
            process.terminate()
            process.join()


if __name__ == "__main__":
    main()
