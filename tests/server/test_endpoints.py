"""Endpoints as pools, in front of our own two servers and of servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from grpc_door import GrpcDoor
from PIL import Image
from rest_fakes import FakeService, Served

from edgewise.errors import InputError, RuntimeRefused
from edgewise.family import Preprocess, Variant
from edgewise.protocol.messages import (
    BadRequest,
    Down,
    InferenceFailed,
    ServingError,
    Tensor,
    Unavailable,
)
from edgewise.protocol.metadata import ModelMetadata, TensorMetadata
from edgewise.server.endpoints.address import parse
from edgewise.server.endpoints.pool import EndpointPool
from edgewise.server.settings import ServerSettings

X = Tensor("x", "FP32", (3,), np.array([1.5, -2.0, 3.25], np.float32))


# -- addresses -------------------------------------------------------------------------------------


def test_addresses():
    grpc = parse("grpc://gpu.example:9000/resnet")
    assert (grpc.base, grpc.model, grpc.is_grpc, grpc.slots) == (
        "gpu.example:9000", "resnet", True, 4,
    )  # fmt: skip
    http = parse("https://h/serving/team%20a?slots=7")
    assert (http.base, http.model, http.is_secure) == ("https://h:443/serving", "team a", True)
    assert http.slots == 7
    assert parse("http://[::1]:80/m").base == "http://[::1]:80"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/m", "grpc://h:1/", "grpc:///m", "grpc://h:x/m", "grpc://h:1/a/b", "http://u:p@h/m",
        "http://h/m?slots=0", "http://h/m?slots=many", "http://h/m?workers=2", "http://h/m?slots",
        "http://h:99999/m", "http://h/m#f",
    ],
)  # fmt: skip
def test_what_is_no_address_is_an_input_error(url):
    with pytest.raises(InputError, match="endpoint"):
        parse(url)


def test_a_token_comes_from_the_environment_and_shows_nowhere(monkeypatch):
    monkeypatch.setenv("GPU_TOKEN", "s3cret")
    found = parse("grpc://h:1/m?token_env=GPU_TOKEN&slots=2")
    assert (found.token, found.slots) == ("s3cret", 2)
    assert "s3cret" not in repr(found)
    for wrong in ("NOT_SET", ""):
        with pytest.raises(InputError, match="environment has no"):
            parse(f"http://h/m?token_env={wrong}")
    monkeypatch.setenv("GPU_TOKEN", "two\nlines")
    with pytest.raises(InputError, match="no word of ASCII") as raised:
        parse("http://h/m?token_env=GPU_TOKEN")
    assert "lines" not in str(raised.value)


# -- in front of our own servers -------------------------------------------------------------------


class Pool:
    """An endpoint pool on the test's own loop, with what it told."""

    def __init__(self, url, *, images=False, timeout_s=10.0, variant=None, labels=0):
        self.told = []
        self.news = asyncio.Event()
        variants = {"fam/v": variant or Variant(name="v", endpoint=url)}
        self.pool = EndpointPool(
            url, variants, images=images, timeout_s=timeout_s, on_up=self.on_up, labels=labels
        )

    def on_up(self, slot, up):
        self.told.append((slot, up))
        self.news.set()

    async def until(self, *told):
        async with asyncio.timeout(20):
            while self.told[-len(told) :] != list(told):
                self.news.clear()
                await self.news.wait()

    async def run(self, *requests, slot=0):
        outcome = asyncio.get_running_loop().create_future()
        self.pool.run(slot, "fam/v", requests, outcome.set_result)
        return await asyncio.wait_for(outcome, 20)

    async def __aenter__(self):
        await self.pool.start()
        return self

    async def __aexit__(self, *_):
        await self.pool.close()


class Door(Served):
    """The HTTP server of the fakes under the name that the gRPC one has."""

    def __init__(self, service=None):
        super().__init__()
        if service is not None:
            self.service.models = service.models
        self.base = f"http://127.0.0.1:{self.port}"


class Grpc(GrpcDoor):
    def __init__(self, service=None):
        super().__init__(ServerSettings(grpc_port=0), service)
        self.base = f"grpc://{self.address}"


@pytest.fixture(params=[Grpc, Door], ids=["grpc", "http"])
def door(request):
    with request.param() as opened:
        yield opened


def test_a_request_goes_there_and_back(door):
    async def use():
        async with Pool(f"{door.base}/echo?slots=2") as pool:
            assert pool.told == [(0, True), (1, True)]
            inputs, outputs = await pool.pool.describe("fam/v")
            assert [(p.name, p.shape, p.dtype, p.signature) for p in inputs] == [
                ("x", (1,), "float32", ("size0",))
            ]
            assert inputs == outputs
            ran = await pool.run((X,))
            ((answer,),) = ran.outputs
            np.testing.assert_array_equal(answer.values, X.values)
            assert ran.service_ms >= ran.inference_ms > 0
            assert ran.cold_ms == 0

    asyncio.run(use())


def test_a_batch_is_as_many_requests_and_one_bad_one_fails_alone(door):
    async def use():
        async with Pool(f"{door.base}/echo") as pool:
            wrong = Tensor("y", "FP32", (3,), X.values)
            ran = await pool.run((X,), (wrong,), (X,))
            assert [len(each) for each in ran.outputs] == [1, 0, 1]
            assert isinstance(ran.failed[1], BadRequest)
            assert isinstance(await pool.run((wrong,)), BadRequest)

    asyncio.run(use())


def test_slots_are_independent(door):
    async def use():
        async with Pool(f"{door.base}/echo?slots=3") as pool:
            ran = await asyncio.gather(*(pool.run((X,), slot=slot) for slot in range(3)))
            assert all(len(each.outputs) == 1 for each in ran)
            with pytest.raises(RuntimeError, match="second job"):
                pool.pool.run(1, "fam/v", [(X,)], lambda _: None)
                pool.pool.run(1, "fam/v", [(X,)], lambda _: None)

    asyncio.run(use())


def test_a_defect_over_there_is_a_failed_inference_and_no_end(door):
    async def use():
        async with Pool(f"{door.base}/broken") as pool:
            failed = await pool.run((X,))
            assert isinstance(failed, InferenceFailed)
            assert f"{door.base}/broken" in failed.message
            assert all(up for _, up in pool.told)

    asyncio.run(use())


def test_a_refusal_over_there_is_no_end_of_the_endpoint(door):
    async def use():
        async with Pool(f"{door.base}/busy") as pool:
            refused = await pool.run((X,))
            assert isinstance(refused, Unavailable)
            assert "could not be in time" in refused.message
            assert all(up for _, up in pool.told)

    asyncio.run(use())


def test_cancelling_passes_on(door):
    async def use():
        async with Pool(f"{door.base}/slow") as pool:
            running = asyncio.create_task(pool.run((X,)))
            await asyncio.to_thread(door.service.started.wait, 20)
            pool.pool.cancel(0)
            assert isinstance(await running, Unavailable)
            assert await asyncio.to_thread(door.service.cancelled.wait, 20)
            pool.pool.cancel(0)

    asyncio.run(use())


def test_a_timeout_is_unavailable_and_the_endpoint_comes_back(door):
    async def use():
        async with Pool(f"{door.base}/slow?slots=1", timeout_s=0.2) as pool:
            late = await pool.run((X,))
            assert isinstance(late, Unavailable)
            assert "within 0.2 s" in late.message
            await pool.until((0, True), (0, False), (0, True))

    asyncio.run(use())


def test_an_unknown_model_is_unavailable_at_the_start(door):
    async def use():
        with pytest.raises(Unavailable, match="nothing"):
            async with Pool(f"{door.base}/nothing"):
                pass

    asyncio.run(use())


def test_nobody_there_is_unavailable_at_the_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def use(scheme):
            with pytest.raises(Unavailable, match=f"{scheme}://127.0.0.1:{port}/m"):
                async with Pool(f"{scheme}://127.0.0.1:{port}/m"):
                    pass

        asyncio.run(use("grpc"))
        asyncio.run(use("http"))


# -- images ----------------------------------------------------------------------------------------


def picture():
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return values, Tensor("image", "BYTES", (1,), (content.getvalue(),))


def service_with(name, inputs, outputs):
    service = FakeService()
    service.models[name] = ModelMetadata(name, ("1",), "fake", inputs, outputs)
    return service


NET = (TensorMetadata("x", "FP32", (-1, 8, 8, 1)),)


@pytest.fixture(params=[Grpc, Door], ids=["grpc", "http"])
def vision(request):
    service = service_with("net", NET, NET)
    service.models["taken"] = ModelMetadata("taken", ("1",), "fake", (), ())
    service.models["wide"] = ModelMetadata(
        "wide", ("1",), "fake", NET, (TensorMetadata("x", "FP32", (-1, 5)),)
    )
    with request.param(service) as opened:
        yield opened


def test_images_are_prepared_here_for_an_endpoint_that_takes_tensors(vision):
    async def use():
        url = f"{vision.base}/net"
        variant = Variant(name="v", endpoint=url, preprocess=Preprocess(scale=(255.0,)))
        async with Pool(url, images=True, variant=variant) as pool:
            values, encoded = picture()
            ran = await pool.run((encoded,))
            ((answer,),) = ran.outputs
            assert answer.shape == (1, 8, 8, 1)
            np.testing.assert_allclose(answer.values[0, :, :, 0], values / 255, rtol=1e-6)
            assert ran.preprocess_ms > 0
            broken = await pool.run((Tensor("image", "BYTES", (1,), (b"no image",)),))
            assert isinstance(broken, BadRequest)

    asyncio.run(use())


def test_calibration_measures_alone_and_together(vision):
    async def use(model, **how):
        async with Pool(f"{vision.base}/{model}?slots=2", **how) as pool:
            found = await pool.pool.calibrate(["fam/v"], 5, 5.0)
            assert len(found["fam/v"].hot_ms) == 5
            assert set(found["fam/v"].by_busy) == {1, 2}
            assert min(found["fam/v"].hot_ms) > 0

    asyncio.run(use("net", images=True))
    asyncio.run(use("echo"))


def test_an_endpoint_that_takes_encoded_images_gets_them_as_they_are(door):
    async def use():
        async with Pool(f"{door.base}/image", images=True) as pool:
            _, encoded = picture()
            outcome = await pool.run((Tensor("photo", "BYTES", (1,), encoded.values),))
            # The fake's metadata promises an output 'x'; what it gives is another.
            assert isinstance(outcome, InferenceFailed)
            assert "'size'" in outcome.message
            assert "'x'" in outcome.message
            assert door.service.seen[-1].inputs[0].values == encoded.values
            assert door.service.seen[-1].inputs[0].name == "image"

    asyncio.run(use())


def test_outputs_that_are_not_as_described_are_a_failed_inference(vision):
    async def use():
        async with Pool(f"{vision.base}/wide", images=True) as pool:
            outcome = await pool.run((picture()[1],))
            assert isinstance(outcome, InferenceFailed)
            assert "[1, 8, 8, 1]" in outcome.message

    asyncio.run(use())


def test_what_does_not_fit_the_family_is_refused_at_the_start(vision):
    async def use(model, words, **how):
        async with Pool(f"{vision.base}/{model}", **how) as pool:
            with pytest.raises(RuntimeRefused, match=words):
                await pool.pool.describe("fam/v")

    asyncio.run(use("taken", "does not say"))
    asyncio.run(use("wide", "5 classes", labels=10))
    small = Variant(name="v", endpoint="x", preprocess=Preprocess(size=(16, 16)))
    asyncio.run(use("net", "preprocessing", images=True, variant=small))


# -- endpoints that die ----------------------------------------------------------------------------


def test_an_endpoint_that_dies_is_down_and_comes_back_with_its_server():
    service = FakeService()
    first = Grpc(service)
    port = first.server.port

    async def use():
        async with Pool(f"grpc://127.0.0.1:{port}/echo?slots=2") as pool:
            await pool.run((X,))
            await asyncio.to_thread(first.close)
            down = await pool.run((X,))
            assert isinstance(down, Unavailable)
            assert "is down" in down.message
            await pool.until((1, False), (0, False))
            assert isinstance(await pool.run((X,)), Unavailable)
            second = await asyncio.to_thread(GrpcDoor, ServerSettings(grpc_port=port), service)
            with contextlib.closing(second):
                await pool.until((0, True), (1, True))
                ran = await pool.run((X,))
                assert len(ran.outputs) == 1

    asyncio.run(use())


def test_an_endpoint_that_comes_back_as_something_else_stays_down(caplog):
    first = Grpc(FakeService())
    port = first.server.port
    other = FakeService()
    other.models["echo"] = ModelMetadata("echo", ("1",), "fake", NET, NET)

    async def use():
        async with Pool(f"grpc://127.0.0.1:{port}/echo?slots=1") as pool:
            await asyncio.to_thread(first.close)
            await pool.run((X,))
            second = await asyncio.to_thread(GrpcDoor, ServerSettings(grpc_port=port), other)
            with contextlib.closing(second):
                async with asyncio.timeout(20):
                    while "something else" not in caplog.text:
                        await asyncio.sleep(0.02)
            assert pool.told[-1] == (0, False)

    asyncio.run(use())


def test_a_dead_endpoint_is_noticed_without_a_request(monkeypatch):
    monkeypatch.setattr("edgewise.server.endpoints.pool._CHECK_S", 0.05)
    server = Grpc(FakeService())

    async def use():
        async with Pool(f"{server.base}/echo?slots=1") as pool:
            await asyncio.to_thread(server.close)
            await pool.until((0, True), (0, False))

    asyncio.run(use())


def test_an_endpoint_that_hangs_holds_nobody(door, monkeypatch):
    monkeypatch.setattr("edgewise.server.endpoints.pool._CHECK_S", 0.05)
    monkeypatch.setattr("edgewise.server.endpoints.pool._ANSWER_S", 0.2)

    async def use():
        async with Pool(f"{door.base}/slow?slots=1", timeout_s=60) as at:
            running = asyncio.create_task(at.run((X,)))
            await asyncio.to_thread(door.service.started.wait, 20)
            hanging = threading.Event()
            door.loop.call_soon_threadsafe(hanging.wait, 20)
            try:
                outcome = await asyncio.wait_for(running, 10)
                assert isinstance(outcome, Down)
                assert "did not answer within" in outcome.message
                assert at.told[-1] == (0, False)
            finally:
                hanging.set()
            await at.until((0, False), (0, True))

    asyncio.run(use())


def test_closing_fails_what_runs(door):
    async def use():
        pool = Pool(f"{door.base}/slow")
        await pool.pool.start()
        running = asyncio.create_task(pool.run((X,)))
        await asyncio.to_thread(door.service.started.wait, 20)
        await pool.pool.close()
        assert isinstance(await running, Unavailable)

    asyncio.run(use())


# -- a server that speaks JSON only, and others that talk nonsense ---------------------------------


class Plain:
    """An HTTP server that answers inferences with the given body."""

    def __init__(self, answer, status=200):
        outer = self
        self.bodies = []
        port = {"name": "x", "datatype": "FP32", "shape": [-1]}
        pages = {"/v2": {"name": "plain", "extensions": []}, "/v2/models/m/ready": {},
                 "/v2/models/m": {"name": "m", "inputs": [port], "outputs": [port]}}  # fmt: skip

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.say(200, json.dumps(pages[self.path]).encode())

            def do_POST(self):
                outer.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.say(status, answer)

            def say(self, status, body):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/m"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def output(**changes):
    given = {"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2.5, 3], **changes}
    return json.dumps({"model_name": "m", "outputs": [given]}).encode()


def test_a_server_without_the_binary_extension_gets_json():
    async def use():
        with Plain(output(data=[[1], [2.5], [3]])) as server:
            async with Pool(server.url) as pool:
                ((answer,),) = (await pool.run((X,))).outputs
                np.testing.assert_array_equal(answer.values, np.array([1, 2.5, 3], np.float32))
            (body,) = server.bodies
            assert json.loads(body)["inputs"] == [
                {"name": "x", "datatype": "FP32", "shape": [3], "data": [1.5, -2.0, 3.25]}
            ]

    asyncio.run(use())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"<html>", 200),
        (b"{}", 200),
        (output(data=[1]), 200),
        (output(shape=[-3]), 200),
        (output(datatype="FP99"), 200),
        (output(datatype="FP64"), 200),
        (output(name="y"), 200),
        (json.dumps({"outputs": []}).encode(), 200),
        (b'{"error": "a shape you do not know"}', 400),
        (b"\xff\xfe", 500),
    ],
)
def test_an_answer_that_cannot_be_used_is_a_failed_inference(answer, status):
    async def use():
        with Plain(answer, status) as server:
            async with Pool(server.url) as pool:
                outcome = await pool.run((X,))
                assert isinstance(outcome, InferenceFailed)
                assert server.url in outcome.message
                assert all(up for _, up in pool.told)

    asyncio.run(use())


def test_a_gateway_with_nobody_behind_it_is_down():
    async def use():
        with Plain(b"bad gateway", 502) as server:
            async with Pool(f"{server.url}?slots=1") as pool:
                outcome = await pool.run((X,))
                assert isinstance(outcome, Unavailable)
                await pool.until((0, False), (0, True))

    asyncio.run(use())


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_endpoint_that_asks_for_a_token_gets_it(scheme, monkeypatch):
    settings = ServerSettings(port=0, grpc_port=0, token="s3cret")
    if scheme == "grpc":
        door = GrpcDoor(settings)
        base = f"grpc://{door.address}"
    else:
        door = Served(settings)
        base = f"http://127.0.0.1:{door.port}"

    async def use():
        with pytest.raises(ServingError, match=r"\?token_env=NAME"):
            await Pool(f"{base}/echo").pool.start()
        async with Pool(f"{base}/echo?token_env=GPU_TOKEN") as at:
            ran = await at.run((X,))
            assert ran.outputs[0][0].values.tolist() == [1.5, -2.0, 3.25]

    monkeypatch.setenv("GPU_TOKEN", "s3cret")
    try:
        asyncio.run(use())
    finally:
        door.close()
