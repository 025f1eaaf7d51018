"""Variants come and go: what is refused at start, the memory budget, reload and the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pool_parts import Pooled, floats, images, png, ran, runnables, values

from edgewise.errors import RuntimeRefused, UsageError
from edgewise.protocol.messages import InferenceFailed, Unavailable, UnknownModel

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")


def test_labels_must_match_the_output(digits: Path) -> None:
    wrong = [replace(each, labels=7) for each in runnables(digits, "digits-xs")]

    async def work() -> None:
        async with Pooled(wrong) as pooled:
            with pytest.raises(RuntimeRefused, match=r"'digits/digits-xs'.* 10 classes.* 7 labels"):
                await pooled.pool.describe("digits/digits-xs")

    asyncio.run(work())


def test_a_broken_file_is_refused_at_start_and_in_a_job(tmp_path: Path, digits: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"\x18\x00\x00\x00TFL3" + bytes(100))
    (one,) = runnables(digits, "digits-xs")
    broken = replace(one, file=str(tmp_path / "broken.tflite"))

    async def work() -> None:
        async with Pooled([broken]) as pooled:
            with pytest.raises(RuntimeRefused, match="digits-xs"):
                await pooled.pool.describe(one.key)
            assert isinstance(await pooled.job(one.key, [images(b"")]), InferenceFailed)
            assert isinstance(await pooled.job(one.key, [images(b"")]), InferenceFailed)
            assert pooled.changes == [(0, frozenset())]

    asyncio.run(work())


def test_the_memory_budget_is_kept_by_evicting(digits: Path) -> None:
    picture = images(png(np.zeros((8, 8), "uint8")))
    keys = [f"digits/digits-{name}" for name in ("l", "xl", "xl-fp16", "xl-onnx")]

    async def work() -> None:
        of = runnables(digits, *(key.split("/")[1] for key in keys))
        async with Pooled(of, workers=2, memory_bytes=4_000_000) as pooled:
            for key in keys:
                await pooled.pool.describe(key)
            cold = []
            for key in keys * 3:
                outcomes = await asyncio.gather(
                    *(pooled.job(key, [picture], worker=worker) for worker in range(2))
                )
                cold += [ran(outcome).cold_ms > 0 for outcome in outcomes]
                # A copy that turns out larger than the one before is given back at once.
                async with asyncio.timeout(5):
                    while pooled.pool.used_bytes > 4_000_000:
                        await asyncio.sleep(0.001)
            assert any(cold)

    asyncio.run(work())


def test_a_variant_larger_than_the_budget_is_named(digits: Path) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xl"), memory_bytes=200_000) as pooled:
            with pytest.raises(UsageError, match=r"'digits/digits-xl' takes .* budget is 0\.2 MB"):
                await pooled.pool.describe("digits/digits-xl")
            await pooled.until(lambda: pooled.pool.used_bytes == 0)

    asyncio.run(work())


def test_reload_takes_the_new_file_and_keeps_what_did_not_change(
    tmp_path: Path, digits: Path
) -> None:
    small, large = runnables(digits, "digits-xs", "digits-s")
    file = tmp_path / "model.tflite"
    shutil.copy(small.file, file)
    changing = replace(small, key="digits/changing", file=str(file))

    async def work() -> None:
        async with Pooled([changing, large]) as pooled:
            (port,), _ = await pooled.pool.describe(changing.key)
            await pooled.pool.describe(large.key)
            assert port.shape == (1, 8, 8, 1)
            running = pooled.job(changing.key, [floats(port.name, 1, 8, 8, 1)])
            shutil.copy(large.file, file)
            pooled.pool.replace([replace(changing, preprocess=large.preprocess), large])
            assert values(await running).shape == (1, 10)
            (port,), _ = await pooled.pool.describe(changing.key)
            assert port.shape == (1, 16, 16, 1)
            assert all(large.key in (held or ()) for _, held in pooled.changes[2:])
            pooled.pool.replace([large])
            assert isinstance(await pooled.job(changing.key, []), UnknownModel)
            await pooled.until(lambda: pooled.changes[-1] == (0, frozenset({large.key})))

    asyncio.run(work())


def test_close_ends_the_processes_and_fails_what_runs(digits: Path) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            pid = pooled.pid()
            pooled.stop()
            running = pooled.job("digits/digits-xs", [images(b"")])
            await pooled.pool.close()
            assert isinstance(await running, Unavailable)
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
            assert isinstance(await pooled.job("digits/digits-xs", []), Unavailable)

    asyncio.run(work())


def test_what_a_worker_does_next_leaves_the_outputs_that_are_not_read_yet(digits: Path) -> None:
    """Commands queue up at a worker: it may be at the next before its last reply was seen."""
    from edgewise.server.pool import arena, frames
    from edgewise.server.pool.worker import _Worker

    (of,) = runnables(digits, "digits-xs")
    requests, replies = arena.Area.create("requests"), arena.Area.create("replies")
    worker = _Worker(requests, replies)

    def does(command: frames.Command) -> frames.Reply:
        return worker.answer(frames.encode(command)[4:])

    name = does(frames.Load(of)).inputs[0].name  # type: ignore[union-attr]
    heads = arena.write(requests, [[floats(name, 1, 8, 8, 1)]])
    done = does(frames.Run(of.key, heads, requests.size))
    assert isinstance(done, frames.Done)
    before = [arena.read(replies, each, copy=True)[0].values for each in done.outputs]
    assert len(does(frames.Calibrate(of.key, 3, 5.0, 7)).hot_ms) == 3  # type: ignore[union-attr]
    assert isinstance(does(frames.Load(of)), frames.Loaded)
    does(frames.Evict(of.key))
    after = [arena.read(replies, each, copy=True)[0].values for each in done.outputs]
    np.testing.assert_array_equal(before, after)
    requests.close()
    replies.close()
