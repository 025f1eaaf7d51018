"""`tritonclient` works unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rest_fakes import Served

triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
from tritonclient.utils import InferenceServerException, np_to_triton_dtype  # noqa: E402


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as it:
        yield it
        for kept in _KEPT:
            kept.close()


#: A client collected in another thread (the server's here) complains: gevent is bound to its own.
_KEPT: list[Any] = []


def a_client(served: Served, **options: Any) -> Any:
    _KEPT.append(triton.InferenceServerClient(f"127.0.0.1:{served.port}", **options))
    return _KEPT[-1]


@pytest.fixture(scope="module")
def client(served: Served) -> Any:
    return a_client(served)


def an_input(values: np.ndarray, name: str = "x", *, binary: bool = True) -> Any:
    made = triton.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_metadata_and_health(served: Served, client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    assert not client.is_model_ready("echo", "2")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "edgewise"
    assert client.get_model_metadata("echo", "1")["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1]}
    ]
    assert client.get_model_config("image")["input"][0]["data_type"] == "TYPE_STRING"
    states = {each["name"]: each["state"] for each in client.get_model_repository_index()}
    assert states["echo"] == "READY"
    assert client.get_inference_statistics()["model_stats"][0]["name"] == "echo"


def test_not_ready_is_told(served: Served, client: Any) -> None:
    served.service.is_ready = False
    try:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("echo")
        assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    finally:
        served.service.is_ready = True


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "uint64", "int64", "float32", "float64"]
)
def test_numbers_there_and_back(client: Any, dtype: str, binary_in: bool, binary_out: bool) -> None:
    values = np.arange(6).reshape(1, 2, 3).astype(dtype)
    wanted = [triton.InferRequestedOutput("x", binary_data=binary_out)]
    result = client.infer("echo", [an_input(values, binary=binary_in)], outputs=wanted)
    assert np.array_equal(result.as_numpy("x"), values)
    assert result.as_numpy("x").dtype == dtype
    assert ("data" in result.get_output("x")) != binary_out


def test_half_precision_is_binary(client: Any) -> None:
    values = np.array([0.5, -2], np.float16)
    assert np.array_equal(client.infer("echo", [an_input(values)]).as_numpy("x"), values)
    with pytest.raises(InferenceServerException, match="FP16"):
        client.infer("echo", [an_input(values, binary=False)])


@pytest.mark.parametrize("binary", [True, False])
def test_bytes(client: Any, binary: bool) -> None:
    values = np.array(["grüße".encode(), b"", b"3"], object)
    wanted = [triton.InferRequestedOutput("x", binary_data=binary)]
    got = client.infer("echo", [an_input(values, binary=binary)], outputs=wanted).as_numpy("x")
    assert [x if isinstance(x, bytes) else x.encode() for x in got] == list(values)


def test_an_image_as_bytes(client: Any) -> None:
    image = np.array([bytes(range(256)) * 4000], object)
    result = client.infer("image", [an_input(image, "image")])
    assert result.as_numpy("size").tolist() == [1_024_000]


def test_several_inputs_and_no_elements(client: Any) -> None:
    one, two = np.ones((2, 2), np.float32), np.zeros((0, 3), np.int32)
    result = client.infer("echo", [an_input(one, "a"), an_input(two, "b", binary=False)])
    assert np.array_equal(result.as_numpy("a"), one)
    assert result.as_numpy("b").shape == (0, 3)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_compression_both_ways(client: Any, algorithm: str, size: int) -> None:
    values = np.arange(size, dtype=np.float32)
    result = client.infer(
        "echo",
        [an_input(values)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert np.array_equal(result.as_numpy("x"), values)


def test_parameters_ids_and_deadlines(served: Served, client: Any) -> None:
    values = np.ones(1, np.float32)
    result = client.infer(
        "echo",
        [an_input(values)],
        request_id="mine",
        timeout=250_000,
        parameters={"sla_ms": 300, "rtt_ms": 20.5, "tenant": "a"},
        headers={"X-Request-Start": "t=12"},
    )
    assert result.get_response()["id"] == "mine"
    assert result.get_response()["parameters"]["variant"] == "small"
    request = served.service.seen[-1]
    assert (request.stated.sla_ms, request.stated.rtt_ms) == (300, 20.5)
    assert request.stated.timeout_ms == 250
    assert request.stated.kernel_rtt_ms is None
    assert request.stated.proxy_elapsed_ms is None
    assert request.parameters == {"tenant": "a"}
    client.infer("echo", [an_input(values)])
    stated = served.service.seen[-1].stated
    assert stated.received_ms is not None
    assert stated.kernel_rtt_ms is None or 0 < stated.kernel_rtt_ms < 1000


def test_errors_arrive_as_they_are(client: Any) -> None:
    values = np.ones(1, np.float32)
    with pytest.raises(InferenceServerException, match="no model 'nothing'") as caught:
        client.infer("nothing", [an_input(values)])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="version '7'"):
        client.infer("echo", [an_input(values)], model_version="7")
    with pytest.raises(InferenceServerException, match="use your device: tiny") as caught:
        client.infer("busy", [an_input(values)])
    assert caught.value.status() == "503"


@pytest.mark.parametrize("binary", [True, False])
def test_no_number_is_lost(client: Any, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    result = client.infer("nan", [an_input(np.ones(1, np.float32))], outputs=wanted)
    assert np.array_equal(result.as_numpy("y"), np.array([1, np.nan], np.float32), equal_nan=True)


def test_many_at_once(served: Served) -> None:
    made = a_client(served, concurrency=8)
    inputs = [np.full(1000, i, np.float32) for i in range(40)]
    pending = [made.async_infer("echo", [an_input(each)]) for each in inputs]
    for waiting, sent in zip(pending, inputs, strict=True):
        assert np.array_equal(waiting.get_result().as_numpy("x"), sent)
