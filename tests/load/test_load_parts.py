"""The parts of a load by themselves: inputs, encodings, schedule, estimate, intervals, timers."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgewise.errors import InputError, UsageError
from edgewise.load import intervals, timer
from edgewise.load.device import seen
from edgewise.load.schedule import plan
from edgewise.load.settings import LoadSettings
from edgewise.network.estimate import Expected, NetworkEstimate
from edgewise.protocol import inputs
from edgewise.protocol.http import prepared, target
from edgewise.protocol.http.attempt import Attempt
from edgewise.protocol.http.prepared import Port, Said
from edgewise.selection.workload.arrivals import parse as parse_arrivals
from edgewise.selection.workload.setup import generator

IMAGE = Port("image", "BYTES", [1])


def picture(path: Path, shade: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (4, 4), shade).save(path)
    return path


# -- inputs and their encoding ----------------------------------------------------------------


def test_a_folder_per_class_gives_labels(tmp_path: Path) -> None:
    for name in ("cat", "ant"):
        picture(tmp_path / name / "1.png", 1)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    read = inputs.read([tmp_path])
    assert len(read) == 2
    assert read.labels is not None
    assert read.labels.tolist() == [0, 1]  # ant, cat
    names = tmp_path / "labels.txt"
    names.write_text("bee\ncat\nant\n")
    labelled = inputs.read([tmp_path], names).labels
    assert labelled is not None
    assert labelled.tolist() == [2, 1]


def test_images_beside_each_other_have_no_labels(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{i}.png", i) for i in range(3)]
    assert inputs.read([tmp_path]).labels is None
    read = inputs.read(files)
    assert read.labels is None
    assert read.files == tuple(file.read_bytes() for file in files)


def test_the_demo_images_become_png(digits: Path) -> None:
    read = inputs.read([digits / "heldout.npz"])
    bodies = prepared.encode(read, [IMAGE], binary=True)
    (size,) = struct.unpack_from("<I", bodies[7].raw)
    assert size == len(bodies[7].raw) - 4
    with np.load(digits / "heldout.npz") as content:
        pixels = content["images"][7]
    decoded = np.asarray(Image.open(io.BytesIO(bodies[7].raw[4:])))
    assert (decoded == pixels).all()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}, "no common number of rows"),
        ({"x": np.zeros((2, 3)), "labels": np.zeros(3, int)}, "2 inputs and labels"),
    ],
)
def test_npz_files_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=words):
        inputs.read([path])


def test_nothing_to_send(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        inputs.read([tmp_path])
    with pytest.raises(InputError, match="no input at"):
        inputs.read([tmp_path / "absent.png"])
    with pytest.raises(UsageError, match="no inputs"):
        inputs.read([])


def decoded(body: prepared.Body, *, binary: bool) -> dict[str, object]:
    head = prepared.head("/p", "h", None, binary=binary, keep=True)
    sent, raw = prepared.message(head, body, b'"sla_ms":5,', binary=binary)
    top, _, text = sent.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(text) + len(raw)}" in top.decode().splitlines()
    if binary:
        assert f"Inference-Header-Content-Length: {len(text)}" in top.decode().splitlines()
    content: dict[str, object] = json.loads(text)
    return content


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_get_the_batch_dimension_that_the_model_has(binary: bool) -> None:
    values = np.arange(8, dtype=np.float64).reshape(2, 4)
    given = inputs.Inputs("x", arrays={"x": values})
    body = prepared.encode(given, [Port("x", "FP32", [-1, 4])], binary=binary)[1]
    message = decoded(body, binary=binary)
    (tensor,) = message["inputs"]  # type: ignore[misc]
    assert message["parameters"]["sla_ms"] == 5  # type: ignore[index]
    assert tensor["shape"] == [1, 4]
    sent = np.frombuffer(body.raw, np.float32) if binary else np.array(tensor["data"])
    assert sent.tolist() == [4, 5, 6, 7]


def test_several_inputs_by_name() -> None:
    given = inputs.Inputs("x", arrays={"b": np.ones((3, 2), np.int64), "a": np.ones((3, 1), "f4")})
    ports = [Port("a", "FP32", [1]), Port("b", "INT64", [2])]
    body = prepared.encode(given, ports, binary=True)[0]
    assert body.raw == np.ones(1, "f4").tobytes() + np.ones(2, "i8").tobytes()


@pytest.mark.parametrize(
    ("given", "port", "words"),
    [
        (inputs.Inputs("x", files=(b"png",)), Port("x", "FP32", [1, 3]), "no encoded images"),
        (inputs.Inputs("x", arrays={"x": np.zeros((2, 3), np.uint8)}), Port("x", "FP32", [1, 3]),
         "values of uint8"),
        (inputs.Inputs("x", arrays={"x": np.zeros((2, 3), "f4")}), Port("x", "FP32", [1, 4]),
         r"rows of shape \[3\]"),
        (inputs.Inputs("x", arrays={"x": np.zeros((2, 3), "f4")}), IMAGE, "are no images"),
        (inputs.Inputs("x", arrays={"a": np.zeros(2), "b": np.zeros(2)}), IMAGE, "name one"),
    ],
)  # fmt: skip
def test_inputs_that_the_model_does_not_take(given: inputs.Inputs, port: Port, words: str) -> None:
    with pytest.raises(InputError, match=words):
        prepared.encode(given, [port], binary=True)


@pytest.mark.parametrize(
    ("outputs", "raw", "found"),
    [
        ([{"datatype": "FP32", "shape": [1, 3], "data": [0.1, 0.2, 0.7]}], b"", 2),
        ([{"datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": 12}}],
         np.array([0, 9, 1], "f4").tobytes(), 1),
        ([{"datatype": "INT64", "shape": [1], "data": [7]}], b"", 7),
        ([{"datatype": "BYTES", "shape": [1], "data": ["seven"]}], b"", None),
        ([], b"", None),
    ],
)  # fmt: skip
def test_the_class_of_an_answer(outputs: list[object], raw: bytes, found: int | None) -> None:
    text = json.dumps({"outputs": outputs}).encode()
    assert prepared.chosen_class(text + raw, len(text)) == found


def test_addresses() -> None:
    here = target.parse("localhost:8080")
    assert (here.host, here.port, here.tls, here.authority) == (
        "localhost", 8080, False, "localhost:8080",
    )  # fmt: skip
    away = target.parse("https://me:word@example.org/proxy/")
    assert (away.port, away.tls, away.authority) == (443, True, "example.org")
    assert "word" not in away.url
    assert away.infer_path("a b") == "/proxy/v2/models/a%20b/infer"
    for wrong in ("ftp://x", "http://", "http://x:port", "http://gerät:80"):
        with pytest.raises(UsageError, match="no address"):
            target.parse(wrong)
    with pytest.raises(UsageError, match="over HTTP"):
        target.parse("grpc://x:8081")
    for token in ("two\nlines", "€"):
        with pytest.raises(UsageError, match="no header can carry"):
            target.parse("http://x", token)


# -- when what is sent --------------------------------------------------------------------------


def settings(**more: object) -> LoadSettings:
    given = {"url": "u", "model": "m", "inputs": (), "requests": 100}
    return LoadSettings(**given | more)  # type: ignore[arg-type]


def test_the_gaps_are_the_simulators() -> None:
    schedule = plan(settings(arrivals="poisson:80", seed=3, requests=9000), 5)
    gaps = parse_arrivals("poisson:80").gaps_ms(0, 9000, generator(3, "arrivals", 0))
    assert np.allclose(np.diff(schedule.due_ms, prepend=0), gaps)


def test_every_input_comes_as_often_as_any_other() -> None:
    schedule = plan(settings(requests=95, clients=4), 10)
    counts = np.bincount(schedule.input, minlength=10)
    assert counts.min() >= 9
    assert counts.max() <= 10
    assert set(schedule.client) == {0, 1, 2, 3}


def test_a_time_without_a_request_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="falls into"):
        plan(settings(requests=None, seconds=0.001, arrivals="gamma:1,0"), 5)


# -- what a client learns of its network ----------------------------------------------------------


def exchange(size: int, sent: float, uploaded: float, first: float, last: float) -> Attempt:
    return Attempt(0, 0, 0, size, 0.0, 0.0, sent, uploaded, first, last, status=200)


def test_what_a_client_saw_of_its_network_is_without_the_service() -> None:
    done = exchange(10_000, sent=0, uploaded=10, first=95, last=100)
    done.said = Said(queue_ms=20, inference_ms=15)
    estimate = NetworkEstimate()
    estimate.learn(seen(done))  # 65 ms of network: 10 up, 5 down, 50 there and back
    assert estimate.expect(10_000) == Expected(50, 35, 30)
    refused = exchange(10_000, sent=0, uploaded=10, first=95, last=95)
    refused.server_ms = 35
    assert seen(refused).network_ms == 60


# -- intervals ------------------------------------------------------------------------------------


def test_few_requests_have_no_interval() -> None:
    assert intervals.of_mean(np.ones(intervals.FEWEST - 1), 1.0) is None


def test_an_interval_is_never_certain() -> None:
    low, high = intervals.of_mean(np.ones(1000), 1.0) or (0, 0)
    assert 0.99 < low < 0.999
    assert high == 1.0


def test_intervals_hold_for_requests_that_resemble_their_neighbours() -> None:
    """Runs of equal outcomes, 20 long on average: 95 % intervals cover the mean."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        changes = rng.random(4000) < 0.05
        draws = rng.random(4000) < 0.7
        place = np.maximum.accumulate(np.where(changes, np.arange(4000), 0))
        low, high = intervals.of_mean(draws[place].astype(float), 1.0) or (0, 0)
        covered += low <= 0.7 <= high
    assert covered >= 180


# -- timers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["here", "spinning"])
def test_a_timer_rings_when_it_is_due_and_not_before(kind: str) -> None:
    async def rings() -> tuple[float, float]:
        rang = asyncio.get_running_loop().create_future()
        make = timer.SpinningTimer if kind == "spinning" else timer.precise_timer
        one = make(lambda: rang.set_result(time.monotonic() * 1000))
        due_ms = time.monotonic() * 1000 + 20
        one.call_at(due_ms)
        at_ms = await rang
        one.close()
        return due_ms, at_ms

    due_ms, at_ms = asyncio.run(rings())
    assert at_ms >= due_ms - 0.01


def test_a_timer_in_the_past_rings_at_once() -> None:
    async def rings() -> None:
        rang = asyncio.Event()
        one = timer.precise_timer(rang.set)
        one.call_at(0.0)
        await asyncio.wait_for(rang.wait(), 5)
        one.close()

    asyncio.run(rings())
