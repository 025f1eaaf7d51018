"""Tensors that other services stumble over, through a running service and a client of others:
none at all along a free dimension, and strings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
for _module in ("onnxruntime", "tritonclient", "uvloop"):
    pytest.importorskip(_module)

import tritonclient.grpc as over_grpc  # noqa: E402
import tritonclient.http as over_http  # noqa: E402
from serving_process import Serving, serving  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

STRINGS = ["plain", "Zürich 東京", "", "a\0b"]
_FAMILY = """
name = "{name}"
task = "test"
[input]
kind = "tensor"
[[variant]]
name = "{name}-v"
file = "{name}.onnx"
accuracy = 90.0
accuracy_source = "made up"
"""


def _model(name: str, kind: int, ends: list[str], nodes: list[Any]) -> Any:
    from onnx import helper

    shape = ["n", 4] if name == "numbers" else ["n", "k"]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(end, kind, None) for end in ends],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("shapes")
    strings = _model(
        "strings", TensorProto.STRING, ["y"], [helper.make_node("Identity", ["x"], ["y"])]
    )
    numbers = _model(
        "numbers",
        TensorProto.FLOAT,
        ["twice", "sum"],
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        ],
    )
    for name, model in (("strings", strings), ("numbers", numbers)):
        onnx.save(model, str(folder / f"{name}.onnx"))
        (folder / f"{name}.toml").write_text(_FAMILY.format(name=name))
    profiles = folder / "profiles.csv"
    profiles.write_text("model,accuracy,mean_ms,std_ms\nstrings-v,90,1,0.1\nnumbers-v,90,1,0.1\n")
    options = ["--profiles", str(profiles), "--grpc-port", "0", "--workers", "1"]
    with serving(folder / "strings.toml", str(folder / "numbers.toml"), *options) as found:
        yield found


WAYS = ["http-binary", "http-json", "grpc"]


def _ask(running: Serving, way: str, model: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs that tritonclient reads, by name."""
    module: Any = over_grpc if way == "grpc" else over_http
    address = running.grpc if way == "grpc" else running.http.removeprefix("http://")
    kind = "BYTES" if values.dtype == object else "FP32"
    tensor = module.InferInput("x", list(values.shape), kind)
    names = ["y"] if model == "strings" else ["twice", "sum"]
    if way == "grpc":
        tensor.set_data_from_numpy(values)
        wanted = [module.InferRequestedOutput(name) for name in names]
    else:
        binary = way == "http-binary"
        tensor.set_data_from_numpy(values, binary_data=binary)
        wanted = [module.InferRequestedOutput(name, binary_data=binary) for name in names]
    with module.InferenceServerClient(address) as client:
        result = client.infer(model, [tensor], outputs=wanted)
    return {name: result.as_numpy(name) for name in names}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", [0, 2])
def test_no_rows_along_a_free_dimension_are_a_request(
    running: Serving, way: str, rows: int
) -> None:
    given = _ask(running, way, "numbers", np.ones((rows, 4), np.float32))
    assert given["twice"].shape == (rows, 4)
    assert (given["twice"] == 2).all()
    assert given["sum"] == rows * 4


@pytest.mark.parametrize("way", WAYS)
def test_no_columns_where_the_model_has_four_are_refused(running: Serving, way: str) -> None:
    with pytest.raises(InferenceServerException, match=r"\[2, 0\]"):
        _ask(running, way, "numbers", np.ones((2, 0), np.float32))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (2, 2), (0, 2)])
def test_strings_go_through_a_model(running: Serving, way: str, shape: tuple[int, ...]) -> None:
    texts = STRINGS[: int(np.prod(shape))]
    values = np.array([each.encode() for each in texts], dtype=object).reshape(shape)
    given = _ask(running, way, "strings", values)["y"]
    assert given.shape == shape
    read = [each if isinstance(each, str) else each.decode() for each in given.ravel()]
    assert read == texts


def test_bytes_that_are_no_text_are_the_callers_fault(running: Serving) -> None:
    with pytest.raises(InferenceServerException, match="no UTF-8"):
        _ask(running, "grpc", "strings", np.array([[b"\xff"]], dtype=object))
    assert _ask(running, "grpc", "strings", np.array([[b"a"]], dtype=object))["y"][0, 0] == b"a"


def test_what_is_written_for_nan_is_read(running: Serving) -> None:
    """Flat, and nested as the shape is."""
    special = ["NaN", "Infinity", "-Infinity", 1.5]
    for data in (special, [special]):
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": data}
        url = f"{running.http}/v2/models/numbers/infer"
        answer = httpx.post(url, json={"inputs": [tensor]}).json()
        assert answer["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity", 3.0]
    tensor["data"] = ["nan", 1, 1, 1]
    answer = httpx.post(url, content=json.dumps({"inputs": [tensor]}).encode())
    assert (answer.status_code, "data" in answer.json()["error"]) == (400, True)


def test_classification_is_refused_by_both(running: Serving) -> None:
    refusals = []
    values = np.ones((1, 4), np.float32)
    for module, address in (
        (over_http, running.http.removeprefix("http://")),
        (over_grpc, running.grpc),
    ):
        tensor = module.InferInput("x", [1, 4], "FP32")
        tensor.set_data_from_numpy(values)
        wanted = module.InferRequestedOutput("twice", class_count=2)
        with (
            module.InferenceServerClient(address) as client,
            pytest.raises(InferenceServerException) as caught,
        ):
            client.infer("numbers", [tensor], outputs=[wanted])
        refusals.append(caught.value.message())
    assert refusals[0] == refusals[1]
    assert "'classification' is not offered" in refusals[0]
