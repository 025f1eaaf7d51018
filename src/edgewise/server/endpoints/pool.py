"""An endpoint as a pool: so many requests at once, up or down as a whole.

The scheduler treats a slot as it treats a worker process. An endpoint that does not answer is down
with all its slots; it is then asked ever less often whether it is ready, and is up again when it
is and still takes and gives what it did.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from edgewise.errors import EdgewiseError
from edgewise.family import Variant
from edgewise.protocol.messages import ServingError, Tensor, Unavailable
from edgewise.records import Port
from edgewise.server.endpoints import address
from edgewise.server.endpoints.address import Address
from edgewise.server.endpoints.model import RemoteModel
from edgewise.server.endpoints.transport import Described, Down, Silent, Transport
from edgewise.server.pool.calibration import Calibration, busy_counts
from edgewise.server.pool.outcomes import JobResult

_log = logging.getLogger("edgewise.server.endpoints")

Ports = tuple[tuple[Port, ...], tuple[Port, ...]]
Done = Callable[[JobResult | EdgewiseError], None]
#: How often an endpoint that is up is asked whether it is ready, and one that is down, at first
#: and at last; and what it has for the answer.
_CHECK_S = 2.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_ANSWER_S = 5.0
_THREADS = 4


class EndpointPool:
    """One endpoint, for one or several variants by key that differ in how they prepare input.

    `images`: callers send encoded images, which are decoded here unless the endpoint takes them so.
    `labels` is how many classes its first output must have, 0: unchecked. A request that takes
    longer than `timeout_s` fails. `on_up` is told when a slot comes (True) or goes. Everything is
    to be called on the loop that `start` ran on.

    Raises (from the constructor):
        InputError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        variants: Mapping[str, Variant],
        *,
        images: bool,
        timeout_s: float,
        on_up: Callable[[int, bool], None],
        labels: int = 0,
    ) -> None:
        self._address = address.parse(url)
        self.size = self._address.slots
        self._variants = dict(variants)
        self._images = images
        self._labels = labels
        self._timeout_s = timeout_s
        self._on_up = on_up
        self._up = [False] * self.size
        self._jobs: list[asyncio.Task[None] | None] = [None] * self.size
        self._models: dict[str, RemoteModel] = {}
        self._described: Described | None = None
        self._cause: Down | None = Down(f"the endpoint {url} was not asked yet")
        self._fell = asyncio.Event()
        self._closed = False
        self._watch: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "endpoint")
        self._transport: Transport

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect and ask what it takes and gives.

        Raises:
            Unavailable: it does not answer.
            InferenceFailed: it answers malformed.
        """
        self._loop = asyncio.get_running_loop()
        self._transport = connect(self._address)
        try:
            await self._ask()
        except BaseException:
            await self.close()
            raise
        self._rise()
        self._watch = self._loop.create_task(self._watching(), name="endpoint")

    async def close(self) -> None:
        """End its connections. Jobs that have not ended fail."""
        self._closed = True
        self._cause = Down("the service shuts down")
        begun = [task for task in (self._watch, *self._jobs) if task is not None]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        if hasattr(self, "_transport"):
            await self._transport.close()
        self._threads.shutdown(wait=False)

    # -- variants --------------------------------------------------------------------------------

    async def describe(self, key: str) -> Ports:
        """Inputs and outputs of a variant, as the endpoint says them.

        Raises:
            RuntimeRefused: they do not fit what the family says.
        """
        model = self._model(key)
        return model.inputs, model.outputs

    async def calibrate(
        self, keys: Sequence[str], samples: int, seconds: float
    ) -> dict[str, Calibration]:
        """Measure variants on synthetic inputs, network and preprocessing included: alone and with
        several slots busy. `samples` requests for each, and about `seconds` for everything.

        Raises:
            Unavailable, InferenceFailed: it does not answer, or refuses.
        """
        counts = busy_counts(self.size)
        share_s = seconds / max(1, len(keys) * len(counts))
        found = {}
        for key in keys:
            by_busy = {n: await self._together(key, n, samples, share_s) for n in counts}
            found[key] = Calibration(by_busy[1], 0.0, 0, by_busy)
        return found

    def _model(self, key: str) -> RemoteModel:
        if (known := self._models.get(key)) is not None:
            return known
        assert self._described is not None, "described before the start"
        made = RemoteModel(
            key,
            self._variants[key],
            self._described,
            takes_images=self._images,
            labels=self._labels,
        )
        return self._models.setdefault(key, made)

    async def _together(
        self, key: str, busy: int, samples: int, share_s: float
    ) -> tuple[float, ...]:
        model = self._model(key)
        tensors = model.synthetic_inputs(seed=0)
        if tensors is None:
            return ()
        await self._ran(model, [tensors])  # connects, and has the server load what it may
        end_s = self._loop.time() + share_s
        taken_ms: list[float] = []

        async def one_after_another() -> None:
            while len(taken_ms) < samples and (not taken_ms or self._loop.time() < end_s):
                taken_ms.append((await self._ran(model, [tensors])).service_ms)

        await asyncio.gather(*(one_after_another() for _ in range(busy)))
        return tuple(taken_ms)

    # -- jobs ------------------------------------------------------------------------------------

    def run(self, worker: int, key: str, inputs: Sequence[Sequence[Tensor]], done: Done) -> None:
        """Send one batch (the inputs of each request, each a call of its own, so that the endpoint
        may batch them as it likes); `done` is called once, on the loop, later. It gets

        - `BadRequest`: the inputs do not fit
        - `InferenceFailed`: the endpoint refused, or gave what its metadata does not say
        - `Unavailable`: it is down, did not answer in time, or is too busy.

        Raises:
            RuntimeError: the slot has a job (a defect of the caller).
        """
        if self._jobs[worker] is not None:
            raise RuntimeError(f"slot {worker} was given a second job")
        self._jobs[worker] = self._loop.create_task(self._job(worker, key, inputs, done))

    def cancel(self, worker: int) -> None:
        """End a slot's job, if it has one: its calls are cancelled at the endpoint, `done` gets
        `Unavailable`."""
        if (job := self._jobs[worker]) is not None:
            job.cancel()

    async def _job(
        self, worker: int, key: str, inputs: Sequence[Sequence[Tensor]], done: Done
    ) -> None:
        outcome: JobResult | EdgewiseError = Unavailable("cancelled")
        try:
            outcome = await self._ran(self._model(key), inputs)
        except EdgewiseError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = self._cause or outcome
            raise
        finally:
            self._jobs[worker] = None
            if self._cause is not None:
                self._tell(worker, False)
            done(outcome)

    async def _ran(self, model: RemoteModel, inputs: Sequence[Sequence[Tensor]]) -> JobResult:
        """One batch. Its error where all of it failed.

        Raises: as `run` hands to `done`.
        """
        if self._cause is not None:
            raise Down(self._cause.message)
        began = perf_counter()
        prepared = await asyncio.gather(
            *(self._prepared(model, each) for each in inputs), return_exceptions=True
        )
        sent = perf_counter()
        answers = await asyncio.gather(
            *(self._answer(model, each) for each in prepared), return_exceptions=True
        )
        ended = perf_counter()
        failed: dict[int, ServingError] = {}
        outputs: list[tuple[Tensor, ...]] = []
        for index, answer in enumerate(answers):
            if isinstance(answer, ServingError):
                failed[index] = answer
            elif isinstance(answer, BaseException):
                raise answer
            outputs.append(() if isinstance(answer, BaseException) else answer)
        if len(failed) == len(outputs):
            raise failed[0]
        return JobResult(
            outputs=tuple(outputs),
            cold_ms=0.0,
            preprocess_ms=1e3 * (sent - began),
            inference_ms=1e3 * (ended - sent),
            postprocess_ms=0.0,
            service_ms=1e3 * (ended - began),
            resident_bytes=0,
            failed=failed,
        )

    async def _prepared(self, model: RemoteModel, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if all(tensor.datatype != "BYTES" for tensor in tensors):
            return model.prepare(tensors)  # nothing to decode: not worth a thread
        return await self._loop.run_in_executor(self._threads, model.prepare, tensors)

    async def _answer(
        self, model: RemoteModel, prepared: tuple[Tensor, ...] | BaseException
    ) -> tuple[Tensor, ...]:
        if isinstance(prepared, BaseException):
            raise prepared
        try:
            return model.checked(await self._transport.infer(prepared, self._timeout_s))
        except Down as error:
            self._fall(error)
            raise

    # -- up and down -----------------------------------------------------------------------------

    async def _ask(self) -> None:
        """Return if it is ready, and takes and gives what it did.

        Raises:
            Unavailable: it is not, or it changed.
            InferenceFailed: it answers malformed.
        """
        await self._transport.check(_ANSWER_S)
        described = await self._transport.describe(_ANSWER_S)
        if self._described is not None and described != self._described:
            raise Down(
                f"the endpoint {self._address.url} takes or gives something else than before",
                hint="restart the service to use it",
            )
        self._described = described

    def _rise(self) -> None:
        self._cause = None
        self._fell.clear()
        for slot in range(self.size):
            self._tell(slot, True)

    def _fall(self, cause: Down) -> None:
        """It is down. Slots that have a job are told of when that ends."""
        if self._cause is not None:
            return
        _log.warning("%s", cause)
        self._cause = cause
        self._fell.set()
        for slot, job in enumerate(self._jobs):
            if job is None:
                self._tell(slot, False)

    def _tell(self, slot: int, up: bool) -> None:
        if self._up[slot] != up:
            self._up[slot] = up
            self._on_up(slot, up)

    async def _watching(self) -> None:
        # Not for ever: a cancellation that comes with the end of a wait is lost (bpo-37658).
        while not self._closed:
            try:
                await asyncio.wait_for(self._fell.wait(), _CHECK_S)
            except TimeoutError:
                await self._check()
            else:
                await self._recover()

    async def _check(self) -> None:
        """Whether it is still there, though nobody may ask it anything just now."""
        try:
            await self._transport.check(_ANSWER_S)
        except Silent as error:
            self._fall(error)
            # One that says that it is not ready may still end what it has begun; this one hangs.
            for job in self._jobs:
                if job is not None:
                    job.cancel()
        except Down as error:
            self._fall(error)
        except ServingError as error:
            self._fall(Down(error.message))

    async def _recover(self) -> None:
        pause_s = _FIRST_RETRY_S
        told = ""
        while self._cause is not None and not self._closed:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)
            try:
                await self._ask()
            except ServingError as error:
                if error.message not in (told, self._cause.message):
                    _log.warning("%s", error)
                told = error.message
                continue
            _log.warning("the endpoint %s is back", self._address.url)
            self._rise()


def connect(address: Address) -> Transport:
    """The way to an endpoint that its URL's scheme asks for. Within an event loop."""
    if address.is_grpc:
        from edgewise.server.endpoints.over_grpc import GrpcTransport

        return GrpcTransport(address)
    from edgewise.server.endpoints.over_http import HttpTransport

    return HttpTransport(address)
