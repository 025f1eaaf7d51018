"""Variants as replicas on a Ray cluster (Ray Serve), each variant a pool that scales on its own.

The service stays the door: it chooses, and knows how many replicas a variant has and how long
their real queues are. Ray Serve starts, scales and replaces the replicas. A replica runs one
inference at a time; what other routers have sent to it counts as occupied here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from edgewise.errors import EdgewiseError, MissingExtra, WorkerFailed
from edgewise.protocol.messages import InferenceFailed, Tensor
from edgewise.records import Port
from edgewise.server import main as server
from edgewise.server.main import Say
from edgewise.server.pool.calibration import Calibration
from edgewise.server.pool.frames import Runnable
from edgewise.server.pool.hosted import Hosted, Times
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.settings import ServerSettings

#: How often replicas and their queues are counted.
_COUNT_SECONDS = 0.5
#: A replica that died takes its request along; another is asked, at most so often.
_TRIES = 3
_UP = Callable[[int, bool], None]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Replicas of one variant: bounds, the share of a core each is granted, and how busy they are
    meant to be: one is added above `target` requests at work per replica on average.
    """

    least: int = 1
    most: int = 4
    cpus: float = 0.25
    target: float = 0.7


def connect(address: str | None) -> None:
    """Join a Ray cluster, or start one on this machine.

    Raises:
        MissingExtra: Ray is not installed.
        WorkerFailed: no cluster at that address.
    """
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "serving on a cluster") from error
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    if ray.is_initialized():
        return
    try:
        ray.init(
            address=address,
            include_dashboard=False if address is None else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WorkerFailed(f"no Ray cluster at {address or 'this machine'}: {error}") from error


def disconnect() -> None:
    """Leave the cluster; a local one ends."""
    import ray

    ray.shutdown()


class Replica:
    """A variant in a Ray actor. `content` is its file, since replicas may be on other machines."""

    def __init__(self, runnable: Runnable, content: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgewise-")
        path = Path(self._folder.name) / Path(runnable.file).name
        path.write_bytes(content)
        started = perf_counter()
        self._hosted = Hosted(replace(runnable, file=str(path)))
        self._hosted.try_out()
        self._load_ms = 1e3 * (perf_counter() - started)

    def describe(self) -> tuple[tuple[Port, ...], tuple[Port, ...], int]:
        """Inputs, outputs, and the process id."""
        return self._hosted.session.inputs, self._hosted.session.outputs, os.getpid()

    def calibrate(self, runs: int, seconds: float) -> tuple[list[float], float]:
        """Service times on synthetic inputs, and the load's, in ms."""
        tensors = self._hosted.synthetic_inputs(seed=0)
        taken_ms: list[float] = []
        end = perf_counter() + seconds
        while tensors is not None and len(taken_ms) < runs and (began := perf_counter()) < end:
            self._hosted.run([tensors], Times())
            taken_ms.append(1e3 * (perf_counter() - began))
        return taken_ms, self._load_ms

    def run(self, requests: Sequence[Sequence[Tensor]]) -> JobResult | EdgewiseError:
        """One batch. What a request did wrong comes back, it is not raised: Ray would wrap it."""
        times = Times()
        started = perf_counter()
        answers = self._hosted.run(requests, times)
        if (failed := next((a for a in answers if isinstance(a, EdgewiseError)), None)) is not None:
            return failed
        return JobResult(
            outputs=tuple(a for a in answers if not isinstance(a, EdgewiseError)),
            cold_ms=0.0,
            preprocess_ms=times.preprocess_ms,
            inference_ms=times.inference_ms,
            postprocess_ms=times.postprocess_ms,
            service_ms=1e3 * (perf_counter() - started),
            resident_bytes=0,
        )


class Fleet:
    """The replicas of all variants, deployed together: that takes as long as one.

    `is_guest`: the cluster was there before, and stays.
    """

    def __init__(self, runnables: Sequence[Runnable], scaling: Scaling, *, is_guest: bool) -> None:
        self.scaling = scaling
        self.is_guest = is_guest
        self._runnables = runnables
        self._deployed: asyncio.Task[dict[str, Any]] | None = None

    async def handle(self, name: str) -> Any:
        """The handle of a variant, once everything is deployed.

        Raises:
            WorkerFailed: it cannot be.
        """
        if self._deployed is None:
            work = asyncio.to_thread(self._deploy)
            self._deployed = asyncio.get_running_loop().create_task(work)
        return (await asyncio.shield(self._deployed))[name]

    def _deploy(self) -> dict[str, Any]:
        import ray
        from ray import serve

        cluster: Any = ray
        cores = cluster.cluster_resources().get("CPU", 1.0)
        cpus = min(self.scaling.cpus, round(0.9 * cores / len(self._runnables), 3))
        targets = [
            serve.RunTarget(
                self._application(each, cpus),
                name=_name(each),
                route_prefix=None,
                logging_config={"log_level": "ERROR", "enable_access_log": False},
            )
            for each in self._runnables
        ]
        try:
            handles = serve.run_many(targets)
        except RuntimeError as error:
            raise WorkerFailed(f"the variants do not start on Ray: {error}") from error
        return dict(zip(map(_name, self._runnables), handles, strict=True))

    def _application(self, runnable: Runnable, cpus: float) -> Any:
        from ray import serve

        scaling = self.scaling
        decorated: Any = serve.deployment(Replica)
        deployment = decorated.options(
            name=_name(runnable),
            # One runs; a second waits there, so that a foreign router's request is seen in its
            # queue and not only in that router.
            max_ongoing_requests=2,
            ray_actor_options={"num_cpus": cpus},
            health_check_period_s=2,
            autoscaling_config={
                "min_replicas": scaling.least,
                "max_replicas": scaling.most,
                "target_ongoing_requests": scaling.target,
                "upscale_delay_s": 2,
                "downscale_delay_s": 60,
                "metrics_interval_s": 1,
                "look_back_period_s": 4,
            },
        )
        return deployment.bind(runnable, Path(runnable.file).read_bytes())


class RayPool:
    """Replicas of one variant. `size` is the most there may be; `on_up` says which places have one
    that is free for this router: at first none has.
    """

    def __init__(self, runnable: Runnable, fleet: Fleet, on_up: _UP) -> None:
        self.size = fleet.scaling.most
        self.name = _name(runnable)
        self._runnable = runnable
        self._fleet = fleet
        self._on_up = on_up
        self._up = 0
        self._running = 0
        self._handle: Any = None
        self._watch: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Deploy, with all others at once, and wait until a replica is up.

        Raises:
            WorkerFailed: none comes up; with what Ray says.
        """
        self._handle = await self._fleet.handle(self.name)
        self._set_up(1)
        self._watch = asyncio.get_running_loop().create_task(self._count())

    async def describe(self, key: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """Inputs and outputs; `key` is the one variant of this pool."""
        inputs, outputs, _ = await self._handle.describe.remote()
        return inputs, outputs

    async def calibrate(
        self, keys: Sequence[str], samples: int, seconds: float
    ) -> dict[str, Calibration]:
        """Service times on synthetic inputs, measured on a replica; `keys` is the one variant."""
        hot_ms, cold_ms = await self._handle.calibrate.remote(samples, seconds)
        return {keys[0]: Calibration(tuple(hot_ms), cold_ms, 0, {1: tuple(hot_ms)})}

    def run(
        self,
        worker: int,
        key: str,
        inputs: Sequence[Sequence[Tensor]],
        done: Callable[[JobResult | EdgewiseError], None],
    ) -> None:
        """Run one batch on whichever replica Ray's router finds least busy."""
        job = asyncio.get_running_loop().create_task(self._run(inputs, done))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _run(
        self, inputs: Sequence[Sequence[Tensor]], done: Callable[[JobResult | EdgewiseError], None]
    ) -> None:
        self._running += 1
        try:
            outcome = await self._asked(inputs)
        finally:
            self._running -= 1
        done(outcome)

    async def _asked(self, inputs: Sequence[Sequence[Tensor]]) -> JobResult | EdgewiseError:
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        last: Exception | None = None
        requests = [tuple(each) for each in inputs]
        for _ in range(_TRIES):
            try:
                outcome: JobResult | EdgewiseError = await self._handle.run.remote(requests)
            except (RayError, RayServeException) as error:
                # Inference changes nothing: a replica's death makes asking another one safe.
                last = error
                continue
            return outcome
        return InferenceFailed(
            f"'{self._runnable.key}': replicas died {_TRIES} times: {_first_line(last)}"
        )

    # -- how many there are, and what they have to do --------------------------------------------

    async def _count(self) -> None:
        from ray.exceptions import RayError

        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            # A controller that restarts does not answer for a while: what was known holds.
            with contextlib.suppress(RayError, RuntimeError, KeyError):
                queues = await asyncio.to_thread(self._queues)
                foreign = max(0, sum(queues) - self._running)
                self._set_up(min(self.size, max(len(queues) - foreign, 0)))

    def _queues(self) -> list[int]:
        """Requests at work or waiting at each replica that runs."""
        import ray
        from ray.serve.context import _get_global_client

        client: Any = _get_global_client()
        details = client.get_serve_details()
        application = details["applications"].get(self.name, {})
        replicas = [
            each["actor_name"]
            for deployment in application.get("deployments", {}).values()
            for each in deployment["replicas"]
            if each["state"] == "RUNNING"
        ]
        asked: list[Any] = []
        for actor in replicas:
            with contextlib.suppress(ValueError):
                handle = ray.get_actor(actor, namespace="serve")
                asked.append(handle.get_num_ongoing_requests.remote())
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=1.0) if asked else ([], [])
        return [ray.get(each) for each in answered]

    def _set_up(self, up: int) -> None:
        for worker in range(self._up, up):
            self._on_up(worker, True)
        for worker in range(up, self._up):
            self._on_up(worker, False)
        self._up = up

    async def close(self) -> None:
        """Take the deployment down; one on a cluster that was started for it ends with that."""
        if self._watch is not None:
            self._watch.cancel()
        for job in list(self._jobs):
            job.cancel()
        if self._handle is not None and self._fleet.is_guest:
            await asyncio.to_thread(self._delete)

    def _delete(self) -> None:
        from ray import serve

        serve.delete(self.name, _blocking=False)


def _first_line(error: Exception | None) -> str:
    return str(error).strip().splitlines()[0][:200] if error and str(error).strip() else "no reason"


def _name(runnable: Runnable) -> str:
    return "edgewise-" + runnable.key.replace("/", "-")


def pools(
    runnables: Mapping[str, Runnable],
    scaling: Scaling,
    on_up: Callable[[str, int, bool], None],
    *,
    is_guest: bool,
) -> dict[str, RayPool]:
    """One pool per variant, by its key."""
    fleet = Fleet(list(runnables.values()), scaling, is_guest=is_guest)

    def of(key: str) -> _UP:
        return lambda worker, up: on_up(key, worker, up)

    return {key: RayPool(runnable, fleet, of(key)) for key, runnable in runnables.items()}


def run(
    families: Sequence[Path], settings: ServerSettings, say: Say, *, address: str | None = None
) -> None:
    """As `server.run`, with the variants on a Ray cluster.

    Raises:
        MissingExtra, WorkerFailed: as `connect`.
    """
    connect(address)
    scaling = Scaling(most=max(1, settings.worker_count))
    try:
        server.run(
            families,
            settings,
            say,
            lambda runnables, up: pools(runnables, scaling, up, is_guest=address is not None),
        )
    finally:
        disconnect()
