"""The gRPC port, seen by tritonclient and by calls that no client makes."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_door import GrpcDoor, door_with

triton = pytest.importorskip("tritonclient.grpc")
triton_aio = pytest.importorskip("tritonclient.grpc.aio")

from tritonclient.grpc import service_pb2  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

from edgewise.errors import UsageError  # noqa: E402
from edgewise.protocol.grpc import codec  # noqa: E402
from edgewise.protocol.messages import Tensor  # noqa: E402
from edgewise.server.settings import ServerSettings  # noqa: E402

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def door():
    with GrpcDoor() as opened:
        yield opened


@pytest.fixture
def client(door):
    door.service.seen.clear()
    with triton.InferenceServerClient(door.address) as made:
        yield made


def tensor(name, values, datatype=None):
    kinds = {"f": "FP32", "i": "INT64", "O": "BYTES", "b": "BOOL", "e": "FP16"}
    given = triton.InferInput(
        name, list(values.shape), datatype or kinds.get(values.dtype.char, "FP32")
    )
    given.set_data_from_numpy(values)
    return given


X = np.array([1.5, -2.0, 3.25], np.float32)


# -- questions -------------------------------------------------------------------------------------


def test_health_and_metadata(door, client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    server = client.get_server_metadata()
    assert (server.name, list(server.extensions)) == ("edgewise", ["binary_tensor_data"])
    model = client.get_model_metadata("image", "1")
    assert list(model.versions) == ["1"]
    assert [(p.name, p.datatype, list(p.shape)) for p in model.inputs] == [("image", "BYTES", [1])]
    assert [(p.name, p.datatype, list(p.shape)) for p in model.outputs] == [("x", "FP32", [-1])]


def test_a_server_that_drains_is_live_but_not_ready(door, client):
    door.service.is_ready = False
    try:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("echo")
        states = {each.name: each.state for each in client.get_model_repository_index().models}
        assert set(states.values()) == {"UNAVAILABLE"}
    finally:
        door.service.is_ready = True


def test_config_statistics_and_index_answer_as_tritons(client):
    config = client.get_model_config("image").config
    assert config.name == "image"
    assert config.input[0].data_type == 13
    assert list(config.output[0].dims) == [-1]
    statistics = client.get_inference_statistics("echo").model_stats
    assert [each.name for each in statistics] == ["echo"]
    assert len(client.get_inference_statistics().model_stats) > 1
    assert "echo" in {each.name for each in client.get_model_repository_index().models}


@pytest.mark.parametrize("ask", ["is_model_ready", "get_model_metadata", "get_model_config"])
def test_an_unknown_model_is_not_found(client, ask):
    with pytest.raises(InferenceServerException, match="no model 'nothing'") as caught:
        getattr(client, ask)("nothing")
    assert caught.value.status() == "StatusCode.NOT_FOUND"


# -- inference -------------------------------------------------------------------------------------


def test_raw_tensors_go_there_and_back(client):
    result = client.infer("echo", [tensor("x", X)], request_id="r7")
    np.testing.assert_array_equal(result.as_numpy("x"), X)
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("r7", "echo", "1")
    parameters = response.parameters
    assert parameters["variant"].string_param == "small"
    assert parameters["accuracy"].double_param == 0.9
    assert parameters["in_time"].bool_param is True


@pytest.mark.parametrize(
    "values",
    [
        np.array([[1, -2], [3, 4]], np.int8),
        np.array([1, 65535], np.uint16),
        np.array([2**63], np.uint64),
        np.array([1.5, 2], np.float16),
        np.array([[True], [False]]),
        np.zeros((0, 4), np.float32),
        np.array([1.0, np.nan, np.inf]),
    ],
)
def test_every_datatype_comes_back_as_it_went(client, values):
    kinds = {"int8": "INT8", "uint16": "UINT16", "uint64": "UINT64", "float16": "FP16",
             "bool": "BOOL", "float32": "FP32", "float64": "FP64"}  # fmt: skip
    result = client.infer("echo", [tensor("x", values, kinds[values.dtype.name])])
    got = result.as_numpy("x")
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values)


def test_bytes_go_there_and_back(client, door):
    sent = np.array([b"\xff\xd8 jpeg", b"", "größer".encode()], dtype=object)
    result = client.infer("echo", [tensor("x", sent, "BYTES")])
    assert list(result.as_numpy("x")) == list(sent)
    assert door.service.seen[-1].inputs[0].values == tuple(sent)


def test_a_received_tensor_is_a_view_of_the_message(client, door):
    client.infer("echo", [tensor("x", X)])
    values = door.service.seen[-1].inputs[0].values
    assert not values.flags.owndata
    assert not values.flags.writeable


def test_only_wanted_outputs_come(client):
    inputs = [tensor("a", X), tensor("b", X + 1)]
    result = client.infer("echo", inputs, outputs=[triton.InferRequestedOutput("b")])
    assert [each.name for each in result.get_response().outputs] == ["b"]
    np.testing.assert_array_equal(result.as_numpy("b"), X + 1)


def test_parameters_state_the_time(client, door):
    client.infer(
        "echo",
        [tensor("x", X)],
        timeout=250_000,
        client_timeout=9,
        parameters={"sla_ms": 80, "rtt_ms": 20, "mine": "yes"},
    )
    request = door.service.seen[-1]
    stated = request.stated
    assert (stated.sla_ms, stated.rtt_ms, stated.timeout_ms) == (80, 20, 250)
    assert 8000 < stated.remaining_ms < 9500
    assert request.parameters == {"mine": "yes"}


def test_without_a_deadline_none_remains(client, door):
    client.infer("echo", [tensor("x", X)])
    assert door.service.seen[-1].stated.remaining_ms is None


def test_every_kind_of_parameter_is_read(door, client):
    request = raw_request("echo", X)
    request.parameters["sla_ms"].double_param = 12.5
    request.parameters["upload_ms"].uint64_param = 3
    request.parameters["flag"].bool_param = True
    request.parameters["empty"].SetInParent()
    call(door, request)
    seen = door.service.seen[-1]
    assert (seen.stated.sla_ms, seen.stated.upload_ms) == (12.5, 3)
    assert seen.parameters == {"flag": True}


def test_a_large_body_tells_how_long_it_took(client, door):
    client.infer("echo", [tensor("x", np.zeros(500_000, np.float32))])
    assert door.service.seen[-1].stated.received_ms > 0
    client.infer("echo", [tensor("x", X)])
    assert door.service.seen[-1].stated.received_ms is None


def test_a_proxys_metadata_is_read(client, door):
    began = f"t={time.time() - 0.5:.6f}"
    client.infer("echo", [tensor("x", X)], headers={"x-request-start": began})
    assert 400 < door.service.seen[-1].stated.proxy_elapsed_ms < 20_000


# -- typed contents --------------------------------------------------------------------------------


def raw_request(model, values, name="x", datatype="FP32"):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype=datatype, shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    return request


def call(door, request, **options):
    content = request if isinstance(request, bytes) else request.SerializeToString()
    with grpc.insecure_channel(door.address) as channel:
        answer = channel.unary_unary(INFER)(content, timeout=20, **options)
    return service_pb2.ModelInferResponse.FromString(answer)


TYPED = [
    ("BOOL", "bool_contents", [True, False]),
    ("INT8", "int_contents", [-128, 127]),
    ("INT64", "int64_contents", [-(2**63), 5]),
    ("UINT16", "uint_contents", [65535]),
    ("UINT64", "uint64_contents", [2**64 - 1]),
    ("FP32", "fp32_contents", [1.5, 2.5]),
    ("FP64", "fp64_contents", [1e300]),
    ("BYTES", "bytes_contents", [b"a", b""]),
]


@pytest.mark.parametrize(("datatype", "field", "elements"), TYPED)
def test_typed_contents_are_answered_typed(door, datatype, field, elements):
    request = service_pb2.ModelInferRequest(model_name="echo")
    given = request.inputs.add(name="x", datatype=datatype, shape=[len(elements)])
    getattr(given.contents, field).extend(elements)
    response = call(door, request)
    assert not response.raw_output_contents
    assert list(getattr(response.outputs[0].contents, field)) == elements


def refused(door, request, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(door, request, **options)
    return caught.value


def test_empty_typed_contents_beside_raw_ones_are_none(door):
    request = raw_request("echo", X)
    request.inputs[0].contents.SetInParent()
    response = call(door, request)
    assert response.raw_output_contents == [X.tobytes()]


def test_typed_contents_that_do_not_fit_are_refused(door):
    request = service_pb2.ModelInferRequest(model_name="echo")
    given = request.inputs.add(name="x", datatype="INT8", shape=[1])
    given.contents.int_contents.append(128)
    error = refused(door, request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "'x'" in error.details()
    del given.contents.int_contents[:]
    given.contents.fp32_contents.append(1)
    assert "fp32_contents" in refused(door, request).details()


# -- what is wrong ---------------------------------------------------------------------------------


def bad(change):
    request = raw_request("echo", X)
    change(request)
    return request


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"\xff\xff\xff", "ModelInferRequest"),
        (b"\x3a\x7f", "ModelInferRequest"),
        (b"\x0a\x02\xff\xfe", "ModelInferRequest"),
        (bad(lambda r: r.inputs[0].shape.append(2)), "'x' has 12 bytes"),
        (bad(lambda r: r.inputs[0].shape.__setitem__(0, -1)), "shape"),
        (bad(lambda r: r.inputs[0].ClearField("datatype")), "datatype"),
        (bad(lambda r: r.raw_input_contents.append(b"")), "2 raw contents"),
        (bad(lambda r: r.inputs[0].contents.fp32_contents.append(1)), "typed contents"),
        (bad(lambda r: r.inputs.add(name="x", datatype="FP32")), "'x' is given twice"),
        (bad(lambda r: r.ClearField("inputs")), "no inputs"),
        (bad(lambda r: r.parameters["sla_ms"].__setattr__("string_param", "x")), "sla_ms"),
        (bad(lambda r: r.parameters["sla_ms"].__setattr__("double_param", -1)), "sla_ms"),
        (
            bad(
                lambda r: (
                    r.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "a")
                )
            ),
            "shared memory",
        ),
    ],
)
def test_a_malformed_request_is_an_invalid_argument(door, request_, words):
    error = refused(door, request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.details()


def test_an_unknown_version_is_not_found(client):
    with pytest.raises(InferenceServerException, match="version '7'"):
        client.infer("echo", [tensor("x", X)], model_version="7")


def test_a_refusal_says_when_to_try_again_and_what_runs_on_the_device(door):
    error = refused(door, raw_request("busy", X))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "could not be in time" in error.details()
    trailing = dict(error.trailing_metadata())
    assert (trailing["retry-after-ms"], trailing["edgewise-device"]) == ("250", "tiny")


def test_a_defect_is_one_calls_and_the_next_is_answered(door, client):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("broken", [tensor("x", X)])
    assert caught.value.status() == "StatusCode.INTERNAL"
    client.infer("echo", [tensor("x", X)])


def test_an_unknown_method_is_unimplemented(door):
    with grpc.insecure_channel(door.address) as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")
        with pytest.raises(grpc.RpcError) as caught:
            method(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_body_above_the_limit_is_refused():
    with door_with(body_bytes=100_000) as door:
        call(door, raw_request("echo", np.zeros(20_000, np.float32)))
        error = refused(door, raw_request("echo", np.zeros(30_000, np.float32)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "ModelStreamInfer"])
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_message_that_inflates_without_end_is_one_calls_fault(method, compression):
    """50 MB that travel as 50 kB, over a connection on which others' calls go on."""
    with door_with(body_bytes=100_000) as small, grpc.insecure_channel(small.address) as channel:
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        bomb = bytes(50_000_000)
        path = f"/inference.GRPCInferenceService/{method}"
        before = live.future(b"", timeout=10)
        if method == "ModelStreamInfer":
            call = channel.stream_stream(path)(iter([bomb]), compression=compression)
            assert b"above the limit" in next(call)
        else:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(bomb, compression=compression, timeout=10)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert before.result() == live(b"", timeout=10) == b"\x08\x01"


def test_compressed_messages_are_read_and_damaged_ones_refused(door):
    body = codec.encode_request("echo", "", [Tensor("x", "FP32", (4096,), np.ones(4096, "f4"))])
    with grpc.insecure_channel(door.address) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            answer = codec.decode_answer(infer(body, compression=compression, timeout=10))
            assert (answer.outputs[0].values == 1).all()
        for damaged in (gzip.compress(body)[:-9], b"\x1f\x8b" + bytes(100), b"\x78\x9c\xff"):
            with pytest.raises(grpc.RpcError) as caught:
                infer(damaged, timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_body_that_does_not_arrive_is_given_up():
    with door_with(body_seconds=0.2) as door, grpc.insecure_channel(door.address) as channel:
        gate = threading.Event()

        def never():
            gate.wait(20)
            yield b""

        answer = channel.stream_unary(INFER).future(never(), timeout=20)
        assert "did not arrive" in answer.exception().details()
        gate.set()


# -- time and leaving ------------------------------------------------------------------------------


def wait_for(event):
    assert event.wait(20)


def test_a_client_that_cancels_cancels_the_work(door, client):
    door.service.started.clear()
    door.service.cancelled.clear()
    ended = threading.Event()
    running = client.async_infer("slow", [tensor("x", X)], lambda result, error: ended.set())
    wait_for(door.service.started)
    running.cancel()
    wait_for(door.service.cancelled)
    wait_for(ended)


def test_a_deadline_that_passes_cancels_the_work(door, client):
    door.service.cancelled.clear()
    with pytest.raises(InferenceServerException) as caught:
        client.infer("slow", [tensor("x", X)], client_timeout=0.2)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    wait_for(door.service.cancelled)


def test_a_closed_connection_cancels_the_work(door):
    door.service.started.clear()
    door.service.cancelled.clear()
    channel = grpc.insecure_channel(door.address)
    running = channel.unary_unary(INFER).future(raw_request("slow", X).SerializeToString())
    wait_for(door.service.started)
    channel.close()
    wait_for(door.service.cancelled)
    assert running.cancelled() or running.exception() is not None


def test_draining_answers_what_came_and_takes_nothing_new():
    with GrpcDoor() as door, triton.InferenceServerClient(door.address) as client:
        answers = []
        ended = threading.Event()

        def keep(result, error):
            answers.append((result, error))
            ended.set()

        client.async_infer("slow", [tensor("x", X)], keep)
        wait_for(door.service.started)
        drained = door.submit(door.server.drain(20))
        deadline = time.monotonic() + 20
        while not _is_refused(door) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not drained.done()
        door.release()
        wait_for(ended)
        drained.result(20)
        ((result, error),) = answers
        assert error is None
        np.testing.assert_array_equal(result.as_numpy("x"), X)


def _is_refused(door):
    with grpc.insecure_channel(door.address) as channel:
        try:
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


# -- streams ---------------------------------------------------------------------------------------


def test_a_stream_answers_in_order_and_survives_a_bad_request(door, client):
    got, ended = [], threading.Event()

    def keep(result, error):
        got.append((result, error))
        if len(got) == 4:
            ended.set()

    client.start_stream(keep)
    client.async_stream_infer("echo", [tensor("x", X)], request_id="0")
    client.async_stream_infer("nothing", [tensor("x", X)], request_id="1")
    client.async_stream_infer("busy", [tensor("x", X)], request_id="2")
    client.async_stream_infer("echo", [tensor("x", X + 1)], request_id="3")
    wait_for(ended)
    client.stop_stream()
    np.testing.assert_array_equal(got[0][0].as_numpy("x"), X)
    assert "no model 'nothing'" in str(got[1][1])
    assert "could not be in time" in str(got[2][1])
    assert got[3][0].get_response().id == "3"
    np.testing.assert_array_equal(got[3][0].as_numpy("x"), X + 1)


def test_a_defect_does_not_end_the_stream(door, client):
    got, ended = [], threading.Event()

    def keep(result, error):
        got.append((result, error))
        if len(got) == 2:
            ended.set()

    client.start_stream(keep)
    client.async_stream_infer("broken", [tensor("x", X)])
    client.async_stream_infer("echo", [tensor("x", X)])
    wait_for(ended)
    client.stop_stream()
    assert got[0][1] is not None
    assert got[1][1] is None


def test_leaving_a_stream_cancels_its_work(door, client):
    door.service.started.clear()
    door.service.cancelled.clear()
    client.start_stream(lambda result, error: None)
    client.async_stream_infer("slow", [tensor("x", X)])
    wait_for(door.service.started)
    client.stop_stream(cancel_requests=True)
    wait_for(door.service.cancelled)


# -- asyncio's client ------------------------------------------------------------------------------


def test_the_asyncio_client(door):
    async def use():
        async with triton_aio.InferenceServerClient(door.address) as client:
            assert await client.is_server_ready()
            answers = await asyncio.gather(
                *(client.infer("echo", [tensor("x", X + i)]) for i in range(20))
            )
            for i, answer in enumerate(answers):
                np.testing.assert_array_equal(answer.as_numpy("x"), X + i)
            with pytest.raises(InferenceServerException, match="no model"):
                await client.infer("nothing", [tensor("x", X)])

            async def requests():
                for i in range(3):
                    yield {"model_name": "echo", "inputs": [tensor("x", X)], "request_id": str(i)}

            ids = [
                result.get_response().id
                async for result, error in client.stream_infer(requests())
                if error is None
            ]
            assert ids == ["0", "1", "2"]

    asyncio.run(use())


# -- who may call ----------------------------------------------------------------------------------


def test_without_the_token_only_health_is_told():
    settings = ServerSettings(grpc_port=0, token="s3cret")
    with GrpcDoor(settings) as door, triton.InferenceServerClient(door.address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        right = {"authorization": "Bearer s3cret"}
        for wrong in ({}, {"authorization": "Bearer other"}, {"authorization": "s3cret"}):
            with pytest.raises(InferenceServerException) as caught:
                client.infer("echo", [tensor("x", X)], headers=wrong)
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
            with pytest.raises(InferenceServerException):
                client.get_server_metadata(headers=wrong)
        client.infer("echo", [tensor("x", X)], headers=right)
        assert client.get_server_metadata(headers=right).name == "edgewise"


def test_tls(tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("localhost")
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(tmp_path / "root.pem")
    settings = ServerSettings(grpc_port=0, certificate=certificate, key=key)
    with GrpcDoor(settings) as door:
        assert door.server.url.startswith("grpcs://")
        with triton.InferenceServerClient(
            f"localhost:{door.server.port}", ssl=True, root_certificates=str(tmp_path / "root.pem")
        ) as client:
            np.testing.assert_array_equal(client.infer("echo", [tensor("x", X)]).as_numpy("x"), X)


def test_an_unreadable_certificate_is_one_clear_error(tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense")
    settings = ServerSettings(
        grpc_port=0, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"
    )
    with pytest.raises(UsageError, match="certificate"):
        GrpcDoor(settings)


def test_a_port_in_use_is_one_clear_error(door):
    with pytest.raises(UsageError, match="cannot listen"):
        GrpcDoor(ServerSettings(grpc_port=door.server.port))


def test_connections_above_the_limit_are_turned_away():
    with door_with(connections=2) as door:
        channels = [
            grpc.insecure_channel(door.address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(3)
        ]
        live = "/inference.GRPCInferenceService/ServerLive"
        for channel in channels[:2]:
            channel.unary_unary(live)(b"", timeout=20)
        with pytest.raises(grpc.RpcError):
            channels[2].unary_unary(live)(b"", timeout=1)
        for channel in channels:
            channel.close()
