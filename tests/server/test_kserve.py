"""kserve's clients, unchanged, against our two servers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from grpc_door import GrpcDoor
from peers import needs, run_script
from rest_fakes import FakeService, Served

pytestmark = needs("kserve")

#: Prints what the clients made of the answers, for the test to judge.
SCRIPT = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

X = np.array([[1.5, -2.0], [3.25, 4.0]], np.float32)

def tensor(how):
    given = InferInput("x", list(X.shape), "FP32")
    if how == "list":
        given = InferInput("x", list(X.shape), "FP32", data=X.flatten().tolist())
    else:
        given.set_data_from_numpy(X, binary_data=how == "binary")
    return given

def words(name):
    return InferInput(name, [2], "BYTES", data=["one", "zw\\u00f6lf"])

async def infer(client, *where, inputs, model="echo", **options):
    request = InferRequest(model, inputs, request_id="r1", parameters={"sla_ms": 5000})
    if where:
        return await client.infer(*where, request, model_name=model, **options)
    return await client.infer(request, **options)

async def look(client, *where):
    found = {
        "live": await client.is_server_live(*where),
        "ready": await client.is_server_ready(*where),
        "model": await client.is_model_ready(*where, "echo"),
    }
    for how in ("list", "json", "binary"):
        if how == "json" and not where:
            continue
        answer = await infer(client, *where, inputs=[tensor(how)])
        found[how] = answer.outputs[0].as_numpy().tolist()
        found["id"] = answer.id
    answer = await infer(client, *where, inputs=[words("x")])
    found["words"] = [w.decode() if isinstance(w, bytes) else str(w)
                      for w in answer.outputs[0].as_numpy().tolist()]
    try:
        await infer(client, *where, inputs=[tensor("list")], model="nothing")
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
    try:
        await infer(client, *where, inputs=[tensor("list")], model="busy")
    except Exception as error:
        found["busy"] = f"{type(error).__name__}: {error}"
    return found

async def main(kind, address):
    if kind == "rest":
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
        found = await look(client, address)
    else:
        client = InferenceGRPCClient(address, retries=0)
        found = await look(client)
    await client.close()
    print(json.dumps(found))

asyncio.run(main(*sys.argv[1:]))
"""
X = [[1.5, -2.0], [3.25, 4.0]]


@pytest.fixture(scope="module", params=["rest", "grpc"])
def looked(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, object], FakeService]]:
    if request.param == "rest":
        with Served() as door:
            said = run_script(SCRIPT, "rest", f"http://127.0.0.1:{door.port}")
            yield json.loads(said.splitlines()[-1]), door.service
    else:
        with GrpcDoor() as opened:
            said = run_script(SCRIPT, "grpc", opened.address)
            yield json.loads(said.splitlines()[-1]), opened.service


def test_health(looked):
    found, _ = looked
    assert found["live"] is found["ready"] is found["model"] is True


def test_tensors_come_back_however_they_went(looked):
    found, service = looked
    sent = [how for how in ("list", "json", "binary") if how in found]
    assert "list" in sent
    assert "binary" in sent
    assert all(found[how] == X for how in sent)
    assert found["id"] == "r1"
    assert service.seen[0].stated.sla_ms == 5000


def test_strings_come_back(looked):
    found, service = looked
    assert found["words"] == ["one", "zwölf"]
    assert service.seen[-2].inputs[0].values == (b"one", "zwölf".encode())


def test_errors_are_the_clients_own(looked):
    found, _ = looked
    assert "no model 'nothing'" in found["error"]
    assert found["error"].startswith(("HTTPStatusError", "AioRpcError"))
    assert "could not be in time" in found["busy"]
