"""What the tests of the pool share: the demo's variants as runnables, and a job to await."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.family import load_family
from edgewise.protocol.messages import Tensor
from edgewise.server.pool.pool import JobResult, Pool, Runnable

Change = tuple[int, frozenset[str] | None]


def runnables(digits: Path, *names: str) -> list[Runnable]:
    """Those variants of the demo's family, all without names."""
    return [
        Runnable(
            key=f"digits/{variant.name}",
            file=str(variant.file),
            runtime="litert" if str(variant.file).endswith("tflite") else "onnxruntime",
            delegate=None,
            threads=1,
            preprocess=variant.preprocess,
            input_kind="image",
            labels=10,
        )
        for variant in load_family(digits / "family.toml").variant
        if not names or variant.name in names
    ]


class Pooled:
    """A started pool with what it told."""

    def __init__(self, of: Sequence[Runnable], **settings: object) -> None:
        self.changes: list[Change] = []
        given: dict[str, object] = {"workers": 1, "memory_bytes": None, "timeout_s": 30.0}
        self.pool = Pool(of, on_change=self._note, **{**given, **settings})  # type: ignore[arg-type]

    def _note(self, worker: int, resident: frozenset[str] | None) -> None:
        self.changes.append((worker, resident))

    async def __aenter__(self) -> Pooled:
        await self.pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    def job(
        self, key: str, *requests: Sequence[Tensor], worker: int = 0
    ) -> asyncio.Future[JobResult | EdgewiseError]:
        """The outcome of a job; a second outcome would fail loudly."""
        future: asyncio.Future[JobResult | EdgewiseError] = (
            asyncio.get_running_loop().create_future()
        )
        self.pool.run(worker, key, requests, future.set_result)
        return future

    def pid(self, worker: int = 0) -> int:
        pid = self.pool.pids[worker]
        assert pid is not None
        return pid

    def stop(self, worker: int = 0) -> None:
        """Freeze a worker: from now on it hangs."""
        os.kill(self.pid(worker), signal.SIGSTOP)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that has to come."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_back(self, worker: int = 0) -> None:
        """Wait for the first word of a replacement."""
        await self.until(lambda: bool(self.changes) and self.changes[-1][0] == worker
                         and self.changes[-1][1] is not None)  # fmt: skip


def ran(outcome: JobResult | EdgewiseError) -> JobResult:
    assert isinstance(outcome, JobResult), outcome
    return outcome


def values(outcome: JobResult | EdgewiseError, request: int = 0) -> np.ndarray:
    """The first output of one request."""
    array = ran(outcome).outputs[request][0].values
    assert isinstance(array, np.ndarray)
    return array


def floats(name: str, *shape: int, seed: int = 0) -> Tensor:
    array = np.random.default_rng(seed).random(shape, np.float32)
    return Tensor(name, "FP32", shape, array)


def images(*encoded: bytes) -> Tensor:
    return Tensor("image", "BYTES", (len(encoded),), encoded)


def png(pixels: np.ndarray) -> bytes:
    """A grey picture, encoded without loss."""
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
