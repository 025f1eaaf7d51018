"""A real MLServer as an endpoint, and a family with one of its variants there."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from peers import MlServer, free_ports, means, mlserver, needs
from serving_process import DIGITS, family, serving

from edgewise.family import Preprocess, Variant
from edgewise.protocol.messages import BadRequest, InferenceFailed, Tensor, Unavailable
from edgewise.server.endpoints.pool import EndpointPool

Image = pytest.importorskip("PIL.Image", reason="the extra 'images' is not installed")
pytestmark = needs("mlserver")

GREY = Preprocess(size=(8, 8), colour="grey", scale=(255.0,))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlServer]:
    with mlserver(tmp_path_factory.mktemp("mlserver"), free_ports(3)) as running:
        yield running


def picture(index: int) -> tuple[np.ndarray, bytes]:
    pixels = np.load(DIGITS / "heldout.npz")["images"][index]
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return pixels, content.getvalue()


def expected(pixels: np.ndarray) -> np.ndarray:
    return -((pixels.reshape(1, 64) / np.float32(255) - means()) ** 2).sum(1)


async def run(pool: EndpointPool, *requests: tuple[Tensor, ...]) -> object:
    outcome = asyncio.get_running_loop().create_future()
    pool.run(0, "digits/far", requests, outcome.set_result)
    return await asyncio.wait_for(outcome, 30)


def pool_at(url: str, told: list[tuple[int, bool]] | None = None) -> EndpointPool:
    seen = [] if told is None else told
    return EndpointPool(
        url,
        {"digits/far": Variant(name="far", endpoint=url, preprocess=GREY)},
        images=True,
        timeout_s=20,
        on_up=lambda slot, up: seen.append((slot, up)),
        labels=10,
    )


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_images_are_classified_there(remote: MlServer, protocol: str) -> None:
    async def use() -> None:
        pool = pool_at(f"{getattr(remote, protocol)}/nearest")
        await pool.start()
        try:
            inputs, outputs = await pool.describe("digits/far")
            assert (inputs[0].name, inputs[0].dtype) == ("pixels", "float32")
            assert inputs[0].signature == ("size0", 8, 8, 1)
            assert outputs[0].shape == (1, 10)
            pictures = [picture(index) for index in range(3)]
            ran = await run(
                pool, *((Tensor("image", "BYTES", (1,), (each,)),) for _, each in pictures)
            )
            for (pixels, _), (scores,) in zip(pictures, ran.outputs, strict=True):
                assert scores.shape == (1, 10)
                np.testing.assert_allclose(scores.values[0], expected(pixels), rtol=1e-4)
            values = np.zeros((2, 8, 8, 1), np.float32)
            ran = await run(pool, (Tensor("pixels", "FP32", values.shape, values),))
            assert ran.outputs[0][0].shape == (2, 10)
            wrong = await run(pool, (Tensor("pixels", "FP32", (1, 4), values[:1, 0, :4, 0]),))
            assert isinstance(wrong, BadRequest)
        finally:
            await pool.close()

    asyncio.run(use())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_model_it_does_not_have_is_a_typed_error(remote: MlServer, protocol: str) -> None:
    async def use() -> None:
        with pytest.raises((Unavailable, InferenceFailed), match="unknown"):
            await pool_at(f"{getattr(remote, protocol)}/unknown").start()

    asyncio.run(use())


def test_it_is_killed_and_comes_back(tmp_path: Path) -> None:
    ports = free_ports(3)

    async def use() -> None:
        told: list[tuple[int, bool]] = []
        pool = pool_at(f"grpc://127.0.0.1:{ports[1]}/nearest?slots=1", told)
        request = (Tensor("image", "BYTES", (1,), (picture(0)[1],)),)
        with mlserver(tmp_path / "first", ports) as first:
            await pool.start()
            assert len((await run(pool, request)).outputs) == 1
            first.process.kill()
            first.process.wait()
        try:
            down = await run(pool, request)
            assert isinstance(down, Unavailable)
            assert "is down" in down.message
            assert told == [(0, True), (0, False)]
            starting = mlserver(tmp_path / "second", ports)
            await asyncio.to_thread(starting.__enter__)
            try:
                async with asyncio.timeout(30):
                    while told[-1] != (0, True):
                        await asyncio.sleep(0.05)
                assert len((await run(pool, request)).outputs) == 1
            finally:
                await asyncio.to_thread(starting.__exit__, None, None, None)
        finally:
            await pool.close()

    asyncio.run(use())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_family_with_a_variant_there(remote: MlServer, protocol: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra 'litert' is not installed")
    pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
    path = family(tmp_path / "family", ("digits-xs",))
    url = f"{getattr(remote, protocol)}/nearest?slots=2"
    path.write_text(
        f"""{path.read_text()}
[[variant]]
name = "far"
endpoint = "{url}"
accuracy = 99.0
accuracy_source = "made up, so that it is chosen"
output = "logits"
[variant.preprocess]
size = [8, 8]
colour = "grey"
scale = [255.0]
"""
    )
    pixels, encoded = picture(1)
    with serving(path, "--workers", "1") as running:
        for model in ("digits", "far"):
            answer = httpx.post(
                f"{running.http}/v2/models/{model}/infer",
                **_body(encoded, {"sla_ms": 5000}),
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
            found = answer.json()
            assert found["parameters"]["variant"] == "far"
            scores = np.array(found["outputs"][0]["data"])
            np.testing.assert_allclose(scores, expected(pixels), rtol=1e-4)


def _body(encoded: bytes, parameters: dict[str, float]) -> dict[str, object]:
    size = len(encoded) + 4
    head = {
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [1],
             "parameters": {"binary_data_size": size}}
        ],
        "parameters": parameters,
    }  # fmt: skip
    text = json.dumps(head).encode()
    return {
        "content": text + len(encoded).to_bytes(4, "little") + encoded,
        "headers": {"inference-header-content-length": str(len(text))},
    }
