"""The service on pools of the test's own: who is chosen, what is refused, what is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.errors import EdgewiseError, WorkerFailed
from edgewise.protocol.messages import (
    BadRequest,
    InferenceFailed,
    InferRequest,
    InferResult,
    Refused,
    RequestTiming,
    Tensor,
    UnknownModel,
)
from edgewise.records import Port, Profile
from edgewise.selection.engine.queueing import parse
from edgewise.selection.engine.scheduling import FamilyPlan, Scheduler
from edgewise.selection.profiles.table import table
from edgewise.server import events
from edgewise.server.catalogue import LOCAL, Catalogue, described, load
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.running import Pools
from edgewise.server.service import Service
from edgewise.server.warming import warm_up

_PORTS = (
    (Port(name="x", shape=(1, 4), dtype="float32"),),
    (Port(name="y", shape=(1, 2), dtype="float32"),),
)
_TIMES_MS = {"small": 2.0, "large": 20.0}
_ACCURACY = {"small": 70.0, "large": 90.0}


class Workers:
    """A pool whose jobs end when the test says, or after the variant's time."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self.started: list[str] = []
        self.held: list[tuple[str, Callable[[JobResult | EdgewiseError], None]]] | None = None

    def run(
        self,
        worker: int,
        key: str,
        inputs: Sequence[Sequence[Tensor]],
        done: Callable[[JobResult | EdgewiseError], None],
    ) -> None:
        self.started.append(key)
        if self.held is not None:
            self.held.append((key, done))
            return
        taken_ms = _TIMES_MS[key.split("/")[1]]
        asyncio.get_running_loop().call_later(taken_ms / 1000, done, ran(taken_ms, len(inputs)))


def ran(taken_ms: float, requests: int = 1) -> JobResult:
    output = Tensor("y", "FP32", (1, 2), np.array([[0.25, 0.75]], np.float32))
    return JobResult(((output,),) * requests, 0.0, 0.1, taken_ms, 0.0, taken_ms, 0)


def _catalogue(folder: Path, name: str = "f") -> Catalogue:
    folder.mkdir(parents=True, exist_ok=True)
    text = [f'name = "{name}"', "[input]", 'kind = "tensor"']
    for variant, accuracy in _ACCURACY.items():
        (folder / f"{variant}.onnx").write_bytes(b"")
        text += ["[[variant]]", f'name = "{variant}"', f'file = "{variant}.onnx"']
        text += [f"accuracy = {accuracy}", *(['role = "device"'] if variant == "small" else [])]
    path = folder / "family.toml"
    path.write_text("\n".join(text))
    found = load([path])
    return described(found, dict.fromkeys(found.variants, _PORTS))


def _scheduler(of: Catalogue, policy: str = "deadline", workers: int = 1) -> Scheduler:
    profiles = [
        Profile(model=name, accuracy=_ACCURACY[name], mean_ms=ms, std_ms=ms / 50)
        for name, ms in _TIMES_MS.items()
    ]
    plans = {
        name: FamilyPlan(
            name=name,
            profiles=table(name, profiles),
            policy=parse(policy),
            pool_of=dict.fromkeys(_TIMES_MS, LOCAL),
        )
        for name in of.families
    }
    return Scheduler(plans, {LOCAL: workers})


class Served:
    """A service, its workers, and what it told."""

    def __init__(self, folder: Path, policy: str = "deadline", workers: int = 1) -> None:
        self.catalogue = _catalogue(folder)
        # As `setup` does it: no request pays for what is compiled once after an installation.
        warm_up(_scheduler(self.catalogue, policy, workers), self.catalogue.families)
        self.workers = Workers(workers)
        pools: Any = Pools({LOCAL: self.workers}, dict.fromkeys(self.catalogue.variants, LOCAL))
        for worker in range(workers):
            pools.set_up(LOCAL, worker, True)
        self.service = Service(self.catalogue, _scheduler(self.catalogue, policy, workers), pools)
        self.told: list[events.Event] = []
        self.service.subscribe(self.told.append)

    def ask(self, sla_ms: float | None = 1000.0, model: str = "f", **stated: float) -> Any:
        return self.service.infer(request(sla_ms, model, **stated))

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


def request(sla_ms: float | None = 1000.0, model: str = "f", **stated: float) -> InferRequest:
    values = np.zeros((1, 4), np.float32)
    return InferRequest(
        model,
        (Tensor("x", "FP32", values.shape, values),),
        RequestTiming(arrived_ms=time.monotonic() * 1000, sla_ms=sla_ms, **stated),
        id="one",
    )


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_the_budget_decides_between_variants(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        roomy: InferResult = await served.ask(500.0)
        tight: InferResult = await served.ask(500.0, upload_ms=470.0, download_ms=20.0)
        assert (roomy.variant, tight.variant) == ("large", "small")
        assert (roomy.accuracy, roomy.in_time, roomy.basis) == (90.0, True, "default")
        assert tight.basis == "client"
        assert tight.budget_ms == pytest.approx(10.0)
        assert roomy.parameters()["policy"]
        await asyncio.sleep(0)  # listeners are told after the caller
        assert served.kinds() == ["Arrived", "Answered", "Arrived", "Answered"]

    run(work)


def test_who_is_called_back_is_called_once(tmp_path: Path) -> None:
    """With the result, with the error, or not at all where it left before."""

    async def work() -> None:
        # It lets the hopeless in, to be shed in the queue; `deadline` refuses them at once.
        served = Served(tmp_path, "static:small")
        told: list[object] = []
        served.workers.held = []
        served.service.ask(request(), told.append)
        leave_running = served.service.ask(request(), told.append)
        leave_queued = served.service.ask(request(), told.append)
        leave_queued()
        (_, first), served.workers.held = served.workers.held[0], []
        first(ran(1.0))
        assert told == []  # in the loop's next round
        await asyncio.sleep(0.01)
        assert [type(each) for each in told] == [InferResult]
        (_, second), served.workers.held = served.workers.held[0], []
        leave_running()
        leave_running()
        second(ran(1.0))
        served.service.ask(request(), told.append)
        (_, third), served.workers.held = served.workers.held[0], []
        third(InferenceFailed("it broke"))
        await asyncio.sleep(0.01)
        served.service.ask(request(100.0, upload_ms=60.0, download_ms=50.0), told.append)
        assert await served.service.drain(1.0) == 0
        await asyncio.sleep(0.01)
        assert [type(each) for each in told] == [InferResult, InferenceFailed, Refused]
        cancelled = [e for e in served.told if isinstance(e, events.Cancelled)]
        assert [e.running for e in cancelled] == [False, True]

    run(work)


def test_a_variant_can_be_pinned(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        answer: InferResult = await served.ask(1000.0, model="small")
        assert (answer.variant, answer.probability) == ("small", 1.0)

    run(work)


def test_what_cannot_be_in_time_is_not_done(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        with pytest.raises(Refused, match=r"time.*use your device: small") as refusal:
            await served.ask(100.0, upload_ms=60.0, download_ms=50.0)
        assert refusal.value.status == 503
        assert refusal.value.retry_after_s >= 0
        assert served.workers.started == []
        assert served.kinds() == ["Arrived", "RefusedEvent"]

    run(work)


def test_a_request_whose_time_runs_out_in_the_queue_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        first = asyncio.ensure_future(served.ask(None))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(served.ask(60.0))
        with pytest.raises(Refused):
            await asyncio.wait_for(waiting, 5)
        assert len(served.workers.started) == 1
        served.workers.held[0][1](ran(20.0))
        assert (await first).in_time is None

    run(work)


def test_who_goes_away_takes_queued_work_along(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        running = asyncio.ensure_future(served.ask(None))
        queued = asyncio.ensure_future(served.ask(None))
        await asyncio.sleep(0.01)
        queued.cancel()
        running.cancel()
        await asyncio.gather(queued, running, return_exceptions=True)
        cancelled = [e for e in served.told if isinstance(e, events.Cancelled)]
        assert sorted(e.running for e in cancelled) == [False, True]
        served.workers.held.pop()[1](ran(20.0))
        assert len(served.workers.started) == 1
        assert await served.service.drain(1.0) == 0

    run(work)


def test_a_dying_worker_fails_its_own_request_only(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        victim = asyncio.ensure_future(served.ask(None))
        other = asyncio.ensure_future(served.ask(None))
        await asyncio.sleep(0.01)
        served.workers.held.pop()[1](WorkerFailed("killed by SIGSEGV"))
        with pytest.raises(InferenceFailed, match="killed by SIGSEGV"):
            await victim
        served.workers.held.pop()[1](ran(20.0))
        assert (await other).variant == "large"
        failed = next(e for e in served.told if isinstance(e, events.Failed))
        assert (failed.kind, failed.status, failed.variant) == ("InferenceFailed", 500, "large")

    run(work)


def test_bad_requests_are_told_apart(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        with pytest.raises(UnknownModel):
            await served.ask(model="g")
        wrong = InferRequest(
            "f", (Tensor("x", "FP32", (1, 3), np.zeros((1, 3), np.float32)),), RequestTiming(0.0)
        )
        with pytest.raises(BadRequest, match=r"\[1, 3\]"):
            await served.service.infer(wrong)
        assert [e.status for e in served.told if isinstance(e, events.Failed)] == [404, 400]

    run(work)


def test_draining_answers_what_is_pending(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        waiting = [asyncio.ensure_future(served.ask(5000.0)) for _ in range(5)]
        await asyncio.sleep(0)
        served.service.start_draining(5.0)
        assert not served.service.ready()
        assert await served.service.drain(5.0) == 0
        assert all(each.result().in_time for each in waiting)

    run(work)


def test_a_reload_loses_nothing_that_waits(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path / "old")
        served.workers.held = []
        running = asyncio.ensure_future(served.ask(None))
        queued = asyncio.ensure_future(served.ask(None))
        gone = asyncio.ensure_future(served.ask(None, model="large"))
        await asyncio.sleep(0.01)
        text = (tmp_path / "old" / "family.toml").read_text()
        new = tmp_path / "new"
        new.mkdir()
        (new / "small.onnx").write_bytes(b"")
        kept, _ = text.split('[[variant]]\nname = "large"')
        (new / "family.toml").write_text(kept)
        found = load([new / "family.toml"])
        catalogue = described(found, dict.fromkeys(found.variants, _PORTS))
        profile = Profile(model="small", accuracy=70.0, mean_ms=2.0, std_ms=0.1)
        plan = FamilyPlan("f", table("f", [profile]), parse("deadline"), {"small": LOCAL})
        switched: list[bool] = []
        exchange = asyncio.ensure_future(
            served.service.exchange(
                catalogue, Scheduler({"f": plan}, {LOCAL: 1}), lambda: switched.append(True)
            )
        )
        await asyncio.sleep(0.01)
        assert not switched, "running work ends first"
        served.workers.held.pop()[1](ran(20.0))
        served.workers.held = None
        assert (await running).variant == "large"
        await exchange
        assert (await queued).variant == "small"
        with pytest.raises(UnknownModel):
            await gone
        assert served.service.model_names() == ["f", "small"]

    run(work)


def test_published_policies_serve_too(tmp_path: Path) -> None:
    async def work() -> None:
        for policy in ("mdinference", "cnnselect", "fastest", "random", "mdinference+queue"):
            served = Served(tmp_path / policy, policy)
            answer: InferResult = await served.ask(800.0)
            assert answer.variant in _TIMES_MS
            assert 0 < answer.probability <= 1
        assert answer.policy.startswith("mdinference")

    run(work)


def test_a_refusal_takes_no_longer_with_a_full_queue(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        waiting = [asyncio.ensure_future(served.ask(None)) for _ in range(200)]
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await served.ask(1.0)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert served.service.scheduler.queue_length == 0

    run(work)
