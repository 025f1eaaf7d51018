"""The client against a small real server: what is sent, what comes back, and what it took."""

from __future__ import annotations

import asyncio
import io
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from protocol_server import CLOUD_INDEX, ProtocolServer, answers, hangs, says, serving

import edgewise
from edgewise.client.inputs import LOSSLESS_PIXELS
from edgewise.errors import InputError, UsageError
from edgewise.protocol.messages import Unavailable


@pytest.fixture
def server() -> Iterator[ProtocolServer]:
    with serving() as started:
        yield started


@pytest.fixture
def family(digits: Path) -> Path:
    return digits / "family.toml"


@pytest.fixture
def images(digits: Path) -> np.ndarray:
    return np.load(digits / "heldout.npz")["images"]


def image_sent(server: ProtocolServer) -> bytes:
    """The element of BYTES that the last request carried."""
    content = server.asked[-1].binary
    (length,) = struct.unpack_from("<I", content)
    assert length == len(content) - 4
    return content[4:]


def test_an_answer_says_what_it_is_and_where_from(
    server: ProtocolServer, family: Path, images: np.ndarray
) -> None:
    with edgewise.Client(server.url, family=family, sla_ms=5000) as client:
        answer = client.infer(images[0], id="a1")
    assert (answer.label, answer.index) == (str(CLOUD_INDEX), CLOUD_INDEX)
    assert answer.confidence == pytest.approx(0.91)
    assert answer.scores is not None
    assert answer.scores.shape == (10,)
    assert answer.outputs["scores"].shape == (1, 10)
    assert (answer.source, answer.variant, answer.accuracy) == ("cloud", "digits-xl", 99.72)
    assert answer.in_time is True
    assert answer.id == "a1"
    assert (answer.attempts, answer.retry_ms, answer.notes) == (1, 0.0, ())
    assert server.asked[0].path == "/v2/models/digits/infer"
    assert server.asked[0].head["id"] == "a1"


def test_the_phases_add_up_to_the_latency(
    server: ProtocolServer, family: Path, images: np.ndarray
) -> None:
    server.usual = answers(0.03, queue_ms=5.0, preprocess_ms=1.0, inference_ms=20.0)
    with edgewise.Client(server.url, family=family) as client:
        fresh, warm = client.infer(images[0]), client.infer(images[0])
    for answer in (fresh, warm):
        assert answer.phases is not None
        assert answer.network is not None
        assert answer.phases.total_ms == pytest.approx(answer.latency_ms)
        assert answer.phases.server_ms == 26.0
        parts = [getattr(answer.phases, name) for name in answer.phases.__dataclass_fields__]
        assert min(parts) >= 0
        assert answer.network.upload_ms == answer.phases.upload_ms
        assert answer.in_time is None
    assert fresh.phases is not None
    assert warm.phases is not None
    assert fresh.phases.connect_ms > 0
    assert warm.phases.connect_ms == 0
    assert server.connections == 1


def test_a_service_that_claims_more_time_than_passed_is_believed_only_in_part(
    server: ProtocolServer,
) -> None:
    server.usual = answers(inference_ms=1e6)
    with edgewise.Client(server.url, "digits") as client:
        answer = client.infer(b"x")
    assert answer.phases is not None
    assert answer.phases.server_ms < answer.latency_ms
    assert answer.phases.total_ms == pytest.approx(answer.latency_ms)


def test_deadline_and_network_are_stated(server: ProtocolServer) -> None:
    with edgewise.Client(server.url, "digits", sla_ms=4000) as client:
        client.infer(b"x")
        client.infer(b"x", sla_ms=3000, elapsed_ms=100)
        assert client.network.rtt_ms is not None
    first, second = (each.parameters for each in server.asked)
    assert first["sla_ms"] == 4000
    assert "rtt_ms" not in first  # nothing is known yet
    assert second["sla_ms"] == 3000
    assert 100 < second["elapsed_ms"] < 3000
    assert second["rtt_ms"] > 0
    assert second["upload_ms"] + second["download_ms"] >= second["rtt_ms"] / 4


def test_how_sure_the_network_is_is_stated_once_enough_was_seen(server: ProtocolServer) -> None:
    with edgewise.Client(server.url, "digits", sla_ms=4000) as client:
        for _ in range(10):
            client.infer(b"x")
    *few, last = (each.parameters for each in server.asked)
    assert not any("download_p90_ms" in each for each in few)
    assert last["download_p90_ms"] >= last["download_ms"]


def test_a_refusal_that_says_its_time_corrects_what_is_known(server: ProtocolServer) -> None:
    """Else one bad guess would have everything refused for ever."""
    server.script += [answers(0.3), *[says(503, Server_Timing="total;dur=0.1")] * 12]
    with edgewise.Client(server.url, "digits", sla_ms=4000, retries=0) as client:
        client.infer(b"x")
        assert (client.network.rtt_ms or 0) > 250
        for _ in range(12):
            with pytest.raises(Unavailable):
                client.infer(b"x")
        assert (client.network.rtt_ms or 0) < 250
    assert server.asked[-1].parameters["rtt_ms"] < server.asked[1].parameters["rtt_ms"]


def test_elapsed_time_holds_the_attempt_that_failed(server: ProtocolServer) -> None:
    server.script.append(says(503, {"error": "later"}, Retry_After="0.05"))
    with edgewise.Client(server.url, "digits", sla_ms=5000) as client:
        answer = client.infer(b"x")
    first, second = (each.parameters["elapsed_ms"] for each in server.asked)
    assert second >= first + 50
    assert answer.attempts == 2
    assert answer.retry_ms >= 50
    assert answer.phases is not None
    assert answer.phases.prepare_ms >= 50


def test_a_large_request_teaches_the_rate_and_a_ping_the_round_trip(
    server: ProtocolServer,
) -> None:
    with edgewise.Client(server.url, "digits") as client:
        client.infer(np.zeros((200, 500), dtype=np.float32))
        for _ in range(200):
            if client.network.rtt_ms is not None:
                break
            threading.Event().wait(0.01)
        assert len(server.pings) == 1
        assert client.network.rtt_ms is not None
        client.infer(np.zeros((200, 500), dtype=np.float32))
        assert len(server.pings) == 1  # it is fresh enough
        assert client.network.upload_mbps is not None
        assert client.ping() > 0


def test_files_and_bytes_are_sent_as_they_are(server: ProtocolServer, tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    path.write_bytes(b"\x00encoded\xff")
    with edgewise.Client(server.url, "digits") as client:
        for given in (path, str(path), b"\x00encoded\xff", bytearray(b"\x00encoded\xff")):
            client.infer(given)
            assert image_sent(server) == b"\x00encoded\xff"
            assert server.asked[-1].head["inputs"][0]["shape"] == [1]
        with pytest.raises(InputError, match=r"nowhere\.jpg cannot be read"):
            client.infer(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3), (8, 8, 4)])
def test_small_arrays_are_sent_without_loss(server: ProtocolServer, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with edgewise.Client(server.url, "digits") as client:
        client.infer(pixels)
    sent = Image.open(io.BytesIO(image_sent(server)))
    assert sent.format == "PNG"
    assert np.array_equal(np.asarray(sent), pixels.squeeze())


def test_large_pictures_go_as_jpeg_unless_told_otherwise(server: ProtocolServer) -> None:
    photo = Image.effect_noise((400, 300), 40).convert("RGB")
    assert photo.width * photo.height > LOSSLESS_PIXELS
    formats = {}
    for encoding in ("auto", "png", "jpeg"):
        with edgewise.Client(server.url, "digits", encoding=encoding) as client:
            client.infer(photo)
        formats[encoding] = Image.open(io.BytesIO(image_sent(server))).format
    assert formats == {"auto": "JPEG", "png": "PNG", "jpeg": "JPEG"}
    with edgewise.Client(server.url, "digits") as client:
        client.infer(photo.convert("RGBA"))  # transparency has no JPEG
    assert Image.open(io.BytesIO(image_sent(server))).format == "PNG"


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "F", "YCbCr"])
@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_every_mode_of_a_picture_can_be_sent(
    server: ProtocolServer, mode: str, encoding: str
) -> None:
    with edgewise.Client(server.url, "digits", encoding=encoding) as client:
        client.infer(Image.new(mode, (9, 7)))
    assert Image.open(io.BytesIO(image_sent(server))).size == (9, 7)


def test_other_arrays_are_tensors(server: ProtocolServer) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    with edgewise.Client(server.url, "digits") as client:
        client.infer(values.T)
        head = server.asked[-1].head["inputs"][0]
        assert (head["datatype"], head["shape"]) == ("FP32", [3, 2])
        assert server.asked[-1].binary == np.ascontiguousarray(values.T).tobytes()
        client.infer({"a": values.astype(np.int64), "b": np.array([b"x", b"yz"])})
    first, second = server.asked[-1].head["inputs"]
    assert (first["name"], first["datatype"], first["shape"]) == ("a", "INT64", [2, 3])
    assert (second["name"], second["datatype"], second["shape"]) == ("b", "BYTES", [2])
    assert server.asked[-1].binary[48:] == b"\x01\x00\x00\x00x\x02\x00\x00\x00yz"


@pytest.mark.parametrize("given", [object(), 3, None, np.zeros(3, dtype=np.complex64)])
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    server: ProtocolServer, given: object
) -> None:
    with edgewise.Client(server.url, "digits") as client, pytest.raises(UsageError):
        client.infer(given)
    assert server.asked == []


def test_token_path_and_wanted_outputs(server: ProtocolServer) -> None:
    with edgewise.Client(f"{server.url}/below/", "a b/c", token="s3cret") as client:
        client.infer(b"x", outputs=["scores"], parameters={"mine": 1})
        assert "s3cret" not in repr(client)
    asked = server.asked[0]
    assert asked.path == "/below/v2/models/a%20b%2Fc/infer"
    assert asked.headers["authorization"] == "Bearer s3cret"
    assert asked.head["outputs"][0]["name"] == "scores"
    assert asked.parameters["mine"] == 1


def test_one_client_serves_several_threads(server: ProtocolServer) -> None:
    server.usual = answers(0.02)
    with edgewise.Client(server.url, "digits", connections=4) as client:
        client.infer(b"x")
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda n: client.infer(b"x", id=str(n)), range(24)))
    assert [answer.index for answer in done] == [CLOUD_INDEX] * 24
    assert {each.head.get("id") for each in server.asked[1:]} == {str(n) for n in range(24)}
    assert server.connections <= 4


def test_an_output_without_one_best_class_has_no_label(server: ProtocolServer) -> None:
    from protocol_server import message, sends

    body = (
        b'{"outputs":[{"name":"mask","datatype":"FP32","shape":[1,2,2],"data":[[1,2],[3,4]]},'
        b'{"name":"words","datatype":"BYTES","shape":[2],"data":["a","bc"]}]}'
    )
    server.script.append(sends(message(200, body), then_close=False))
    with edgewise.Client(server.url, "digits") as client:
        answer = client.infer(b"x")
    assert answer.outputs["mask"].tolist() == [[[1, 2], [3, 4]]]
    assert answer.outputs["words"].tolist() == [b"a", b"bc"]
    assert (answer.scores, answer.index, answer.label, answer.confidence) == (None,) * 4
    # Such a service does not say what it took: its time is not taken for the network's.
    assert "does not say" in answer.notes[0]


def test_settings_that_are_half_given_are_refused(server: ProtocolServer, family: Path) -> None:
    for options in (
        {},
        {"model": "digits", "device": "duplicate"},
        {"family": family, "device": "sometimes"},
        {"family": family, "cascade": 0.9},
        {"family": family, "device": "cascade", "cascade": 1.5},
        {"model": "digits", "timeout_s": 0},
        {"model": "digits", "encoding": "gif"},
        {"model": "digits", "verify": "nowhere.pem"},
    ):
        with pytest.raises(UsageError):
            edgewise.Client(server.url, **options)  # type: ignore[arg-type]
    for url in ("grpc://127.0.0.1:1", "127.0.0.1:80", "http://", "http://[::1"):
        with pytest.raises(UsageError, match="no URL"):
            edgewise.Client(url, "digits")
    with edgewise.Client(server.url, "digits") as client:
        for wrong in (0.0, -5.0, float("nan")):
            with pytest.raises(UsageError, match="deadline"):
                client.infer(b"x", sla_ms=wrong)


def test_a_closed_client_says_so_and_ends_calls_in_other_threads(
    server: ProtocolServer,
) -> None:
    server.usual = hangs
    client = edgewise.Client(server.url, "digits")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.infer, b"x")
        while not server.asked:
            threading.Event().wait(0.005)
        client.close()
        with pytest.raises(edgewise.client.Unreachable, match="closed during the call"):
            waiting.result(5)
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.infer(b"x")


def test_the_same_from_asyncio(server: ProtocolServer, images: np.ndarray, family: Path) -> None:
    server.usual = answers(0.01)

    async def several() -> list[edgewise.Answer]:
        async with edgewise.AsyncClient(server.url, family=family, sla_ms=5000) as client:
            return await asyncio.gather(*(client.infer(image) for image in images[:10]))

    done = asyncio.run(several())
    assert [answer.index for answer in done] == [CLOUD_INDEX] * 10
    assert all(answer.in_time for answer in done)


def test_cancelling_a_call_closes_its_request(server: ProtocolServer) -> None:
    server.usual = answers(10.0)

    async def leave() -> None:
        async with edgewise.AsyncClient(server.url, "digits") as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.infer(b"x")
            assert await asyncio.to_thread(server.someone_left.wait, 5)

    asyncio.run(leave())


def test_closing_ends_calls_with_an_error_not_a_cancellation(server: ProtocolServer) -> None:
    server.usual = hangs

    async def close_meanwhile() -> None:
        client = edgewise.AsyncClient(server.url, "digits")
        waiting = asyncio.create_task(client.infer(b"x"))
        while not server.asked:
            await asyncio.sleep(0.005)
        await client.close()
        with pytest.raises(edgewise.client.Unreachable, match="closed during the call"):
            await waiting

    asyncio.run(close_meanwhile())


@pytest.mark.parametrize("turns", range(8))
def test_a_second_cancellation_does_not_lose_the_connection(
    server: ProtocolServer, turns: int
) -> None:
    """As when a deadline passes just after the device's answer was taken; at any turn of the loop
    between the two."""
    server.usual = hangs

    async def cancel_twice() -> None:
        async with edgewise.AsyncClient(server.url, "digits", connections=1) as client:
            call = asyncio.create_task(client.infer(b"x"))
            while not server.asked:
                await asyncio.sleep(0.005)
            call.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            assert await asyncio.to_thread(server.someone_left.wait, 5)
            server.usual = answers()
            answer = await client.infer(b"x", sla_ms=20_000)  # its place in the pool is free
            assert answer.index == CLOUD_INDEX

    asyncio.run(cancel_twice())


def test_the_names_cost_nothing_until_they_are_asked_for() -> None:
    code = (
        "import sys, edgewise; assert 'Client' in dir(edgewise);"
        "assert not {'httpx', 'numpy', 'edgewise.server'} & sys.modules.keys();"
        "edgewise.Client, edgewise.AsyncClient, edgewise.Answer; assert 'httpx' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Clients'"):
        edgewise.Clients  # type: ignore[attr-defined]  # noqa: B018
