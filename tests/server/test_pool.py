"""The pool on real worker processes: what goes in, what comes out, and what stays resident."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from pool_parts import Pooled, floats, images, png, ran, runnables, values

from edgewise.family import Preprocess
from edgewise.protocol.messages import BadRequest, InferenceFailed, Tensor, UnknownModel
from edgewise.runtimes import runner
from edgewise.server.pool.pool import Runnable

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

S, M_ONNX = "digits/digits-s", "digits/digits-m-onnx"


class Do(Protocol):
    def __call__(self, work: Coroutine[Any, Any, Any]) -> Any: ...


@pytest.fixture(scope="module")
def do() -> Iterator[Do]:
    """Run a coroutine on the module's one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def pooled(do: Do, digits: Path) -> Iterator[Pooled]:
    """All variants of the demo on two workers, shared by the tests that break nothing."""

    async def started() -> Pooled:
        return await Pooled(runnables(digits), workers=2).__aenter__()

    found = do(started())
    yield found
    do(found.pool.close())


@pytest.fixture(scope="module")
def held_out(digits: Path) -> tuple[np.ndarray, np.ndarray]:
    data = np.load(digits / "heldout.npz")
    return data["images"], data["labels"]


def here(file: str, value: np.ndarray) -> np.ndarray:
    """The runtime's own answer, in this process."""
    runtime = "litert" if file.endswith("tflite") else "onnxruntime"
    session = runner.load(runtime, Path(file)).session
    (port,) = session.inputs
    session.resize({port.name: value.shape})
    session.feed({port.name: value})
    session.invoke()
    return next(iter(session.results().values()))


@pytest.mark.parametrize("name", ["digits-s.tflite", "digits-m.onnx", "digits-l-int8.tflite"])
def test_a_tensor_gives_what_the_runtime_gives(
    do: Do, pooled: Pooled, digits: Path, name: str
) -> None:
    key = {"digits-s.tflite": S, "digits-m.onnx": M_ONNX}.get(name, "digits/digits-l-int8")

    async def work() -> None:
        (port,), (output,) = await pooled.pool.describe(key)
        sizes = [s if isinstance(s, int) else 1 for s in port.signature or port.shape or ()]
        generator = np.random.default_rng(1)
        array = (generator.random(sizes) * 100).astype(port.dtype)
        sent = Tensor(port.name, "INT8" if port.dtype == "int8" else "FP32", tuple(sizes), array)
        outcome = ran(await pooled.job(key, [sent]))
        (tensor,) = outcome.outputs[0]
        expected = here(str(digits / name), array)
        assert (tensor.name, tensor.shape) == (output.name, expected.shape)
        assert tensor.datatype == ("INT8" if expected.dtype == np.int8 else "FP32")
        np.testing.assert_allclose(tensor.values, expected, atol=1e-5)
        assert outcome.service_ms >= outcome.inference_ms > 0

    do(work())


@pytest.mark.parametrize("name", ["digits-s", "digits-m-onnx", "digits-l-int8", "digits-xl"])
def test_encoded_images_are_prepared_as_the_family_says(
    do: Do, pooled: Pooled, held_out: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    pictures, labels = held_out

    async def work() -> float:
        right = 0
        for picture, label in zip(pictures[:40], labels[:40], strict=True):
            outcome = await pooled.job(f"digits/{name}", [images(png(picture))])
            right += int(values(outcome).argmax()) == int(label)
        return right / 40

    assert do(work()) >= 0.9


@pytest.mark.parametrize("key", [S, M_ONNX])
def test_a_batch_gives_each_request_its_own(
    do: Do, pooled: Pooled, held_out: tuple[np.ndarray, np.ndarray], key: str
) -> None:
    encoded = [png(picture) for picture in held_out[0][:5]]

    async def work() -> None:
        alone = [values(await pooled.job(key, [images(each)])) for each in encoded]
        together = await pooled.job(
            key, [images(encoded[0])], [images(*encoded[1:4])], [images(encoded[4])]
        )
        assert [values(together, i).shape for i in range(3)] == [(1, 10), (3, 10), (1, 10)]
        np.testing.assert_allclose(values(together, 0), alone[0], atol=1e-4)
        np.testing.assert_allclose(values(together, 1), np.concatenate(alone[1:4]), atol=1e-4)
        np.testing.assert_allclose(values(together, 2), alone[4], atol=1e-4)
        # and back to one, after the input was resized
        np.testing.assert_allclose(
            values(await pooled.job(key, [images(encoded[0])])), alone[0], atol=1e-4
        )

    do(work())


def test_one_bad_request_of_a_batch_fails_alone(
    do: Do, pooled: Pooled, held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    good = png(held_out[0][0])

    async def work() -> None:
        outcome = ran(await pooled.job(S, [images(good)], [images(b"no image")], [images(good)]))
        assert list(outcome.failed) == [1]
        assert isinstance(outcome.failed[1], BadRequest)
        assert outcome.outputs[1] == ()
        np.testing.assert_allclose(values(outcome, 0), values(outcome, 2), atol=1e-6)

    do(work())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "is missing"),
        ([floats("nonsense", 1, 16, 16, 1)], "has no input 'nonsense'"),
        ([images(b"GIF89a is how it starts")], "no image that can be decoded"),
        ([Tensor("image", "BYTES", (0,), ())], "has no image"),
    ],
)
def test_what_does_not_fit_is_the_callers_fault(
    do: Do, pooled: Pooled, inputs: list[Tensor], words: str
) -> None:
    outcome = do(_awaited(pooled, S, inputs))
    assert isinstance(outcome, BadRequest)
    assert words in str(outcome)
    assert "digits-s" in str(outcome)


async def _awaited(pooled: Pooled, key: str, inputs: list[Tensor]) -> object:
    return await pooled.job(key, inputs)


def test_wrong_type_and_shape_name_both_sides(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        (port,), _ = await pooled.pool.describe(S)
        double = Tensor(port.name, "FP64", (1, 16, 16, 1), np.zeros((1, 16, 16, 1)))
        assert "FP64, not FP32" in str(await pooled.job(S, [double]))
        flat = await pooled.job(S, [floats(port.name, 1, 256)])
        assert "[1, 256], not [dim0, 16, 16, 1]" in str(flat)
        empty = await pooled.job(S, [floats(port.name, 0, 16, 16, 1)])
        assert isinstance(empty, InferenceFailed)  # LiteRT's own words
        assert (await pooled.job(S, [floats(port.name, 1, 16, 16, 1)])).outputs
        twice = await pooled.job(S, [floats(port.name, 1, 16, 16, 1)] * 2)
        assert "given twice" in str(twice)

    do(work())


def test_tensors_larger_than_the_area_make_it_grow(do: Do, pooled: Pooled) -> None:
    """6 MB in and 240 kB out, then small again: both areas grow, nothing is mixed up."""

    async def work() -> None:
        (port,), _ = await pooled.pool.describe(S)
        many = floats(port.name, 6000, 16, 16, 1)
        first = Tensor(port.name, "FP32", (1, 16, 16, 1), np.asarray(many.values)[:1])
        large = values(await pooled.job(S, [many]))
        small = values(await pooled.job(S, [first]))
        assert large.shape == (6000, 10)
        np.testing.assert_allclose(large[:1], small, atol=1e-5)
        np.testing.assert_allclose(large.sum(axis=1), 1, atol=1e-3)

    do(work())


@pytest.mark.parametrize("key", [S, M_ONNX])
def test_jobs_of_one_shape_are_each_their_own(
    do: Do, pooled: Pooled, digits: Path, key: str
) -> None:
    """The worker remembers where inputs of this shape lie, and no more than that."""
    file = "digits-s.tflite" if key == S else "digits-m.onnx"

    async def work() -> None:
        (port,), _ = await pooled.pool.describe(key)
        sizes = [s if isinstance(s, int) else 1 for s in port.signature or port.shape or ()]

        async def check(batch: int, seed: int) -> None:
            sent = floats(port.name, batch, *sizes[1:], seed=seed)
            assert isinstance(sent.values, np.ndarray)
            expected = here(str(digits / file), sent.values)
            outcome = await pooled.job(key, [sent])
            np.testing.assert_allclose(values(outcome), expected, atol=1e-5)

        for seed in range(3):
            await check(1, seed)
        await check(2, 3)
        await check(1, 4)
        await pooled.job(key, [floats(port.name, 1, 3)])  # refused, between two that are not
        await check(1, 5)
        await check(400, 6)  # the area may have to grow
        await check(1, 7)
        await pooled.pool.evict(0, key)
        await check(1, 8)
        await check(1, 9)

    do(work())


def test_outputs_stay_when_the_worker_goes_on(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        (port,), _ = await pooled.pool.describe(S)
        first = values(await pooled.job(S, [floats(port.name, 1, 16, 16, 1, seed=1)]))
        before = first.copy()
        await pooled.job(S, [floats(port.name, 1, 16, 16, 1, seed=2)])
        np.testing.assert_array_equal(first, before)

    do(work())


def test_a_worker_takes_one_job_at_a_time(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        (port,), _ = await pooled.pool.describe(S)
        running = pooled.job(S, [floats(port.name, 1, 16, 16, 1)])
        with pytest.raises(RuntimeError, match="second job"):
            pooled.job(S, [floats(port.name, 1, 16, 16, 1)])
        ran(await running)

    do(work())


def test_an_unknown_variant_is_told_and_frees_the_worker(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        assert isinstance(await pooled.job("digits/none", []), UnknownModel)
        assert isinstance(await pooled.job("digits/none", []), UnknownModel)

    do(work())


def test_idle_workers_load_what_there_is_room_for(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        def all_resident() -> bool:
            last = dict(pooled.changes)
            return all(len(last.get(worker) or ()) == 11 for worker in range(2))

        await pooled.until(all_resident)
        assert ran(await pooled.job(S, [images(png(np.zeros((8, 8), "uint8")))])).cold_ms == 0

    do(work())


def test_calibration_measures_every_variant(do: Do, pooled: Pooled) -> None:
    async def work() -> None:
        found = await pooled.pool.calibrate([S, M_ONNX], samples=5, seconds=5)
        assert set(found) == {S, M_ONNX}
        for each in found.values():
            assert len(each.hot_ms) == 5
            assert min(each.hot_ms) > 0
            assert each.cold_ms > 0
            assert set(each.by_busy) == {1, 2}
            assert len(each.by_busy[2]) >= 5

    do(work())


@pytest.fixture
def sum_of_two(tmp_path: Path) -> Runnable:
    """A model of two inputs with a free size each, which have to agree: nothing says so."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "sum",
        [
            helper.make_tensor_value_info(name, kind, [size])
            for name, size in (("a", "n"), ("b", "m"))
        ],
        [helper.make_tensor_value_info("sum", kind, ["k"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "sum.onnx"))
    file = str(tmp_path / "sum.onnx")
    return Runnable("two/sum", file, "onnxruntime", None, 1, Preprocess(), "tensor")


def test_what_the_runtime_refuses_leaves_the_worker_in_order(do: Do, sum_of_two: Runnable) -> None:
    def inputs(a: int, b: int) -> list[Tensor]:
        return [
            Tensor(name, "INT64", (size,), np.arange(size)) for name, size in (("b", b), ("a", a))
        ]

    async def work() -> None:
        async with Pooled([sum_of_two]) as pooled:
            assert values(await pooled.job("two/sum", inputs(4, 4))).tolist() == [0, 2, 4, 6]
            refused = await pooled.job("two/sum", inputs(4, 3))
            assert isinstance(refused, InferenceFailed)
            assert "'two/sum'" in str(refused)
            batch = ran(await pooled.job("two/sum", inputs(2, 2), inputs(2, 3), inputs(3, 3)))
            assert isinstance(batch.failed[1], InferenceFailed)
            assert values(batch, 0).tolist() == [0, 2]
            assert values(batch, 2).tolist() == [0, 2, 4]
            assert pooled.changes[-1] == (0, frozenset({"two/sum"}))

    do(work())
