"""The service: for each request choose a variant, run it, learn from it.

Everything here happens on one event loop. The scheduler says what runs where (pure, without a
clock), pools run it: worker processes of this machine, or an endpoint elsewhere. Whoever awaits
`infer` and is cancelled takes the work along, if it has not begun.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count

from edgewise.errors import EdgewiseError
from edgewise.protocol.messages import (
    Down,
    InferenceFailed,
    InferRequest,
    InferResult,
    Refused,
    ServingError,
    Tensor,
)
from edgewise.selection.engine.scheduling import Assignment, Rejection, Scheduler, Ticket
from edgewise.server import events
from edgewise.server.budget import Budget, resolve
from edgewise.server.catalogue import Catalogue, Served, ServedFamily
from edgewise.server.expiry import ExpiryTimer
from edgewise.server.offered import Offered
from edgewise.server.open_requests import OpenRequests
from edgewise.server.pending import (
    Callback,
    Caller,
    EventPublisher,
    Pending,
    Told,
    eligible,
    now_ms,
    result_of,
)
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.refits import Refits
from edgewise.server.running import Pools, note_demand

#: When it may be worth trying again after a worker was not back in time.
_AGAIN_MS = 1000.0

_Answer = tuple[Pending, InferResult]
_Outcome = JobResult | EdgewiseError


class Service(Offered):
    """Families behind one door. `setup.start` builds one; see there for what it needs."""

    def __init__(
        self,
        catalogue: Catalogue,
        scheduler: Scheduler,
        pools: Pools,
        *,
        sla_ms: float | None = None,
    ) -> None:
        super().__init__(catalogue, pools)
        self.scheduler, self.sla_ms = scheduler, sla_ms
        self.publisher = EventPublisher()
        self._open = OpenRequests()
        self._ids = count(1)
        self._held, self._refits = False, Refits()
        self._ended: deque[tuple[Assignment, _Outcome, list[_Answer], float]] = deque()
        self._expiry = ExpiryTimer(self._sweep)

    def subscribe(self, listener: events.Listener) -> None:
        """Have a listener told of everything that happens (`events`)."""
        self.publisher.listeners.append(listener)

    async def infer(self, request: InferRequest) -> InferResult:
        """Answer one request.

        Raises:
            UnknownModel, BadRequest: it does not fit.
            Refused: it cannot be in time, or costs others more than it brings.
            Unavailable, InferenceFailed: no worker could do it; or it broke one.
        """
        future: asyncio.Future[InferResult] = asyncio.get_running_loop().create_future()
        pending = self._admit(request, future)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(pending)
            raise

    def ask(self, request: InferRequest, told: Told) -> Callable[[], None]:
        """As `infer`, without a coroutine: `told` gets the result or the error later; what it
        gives is to be called where the caller goes away before that.

        Raises: as `infer`, where it is refused at once.
        """
        return partial(self._cancel, self._admit(request, Callback(told)))

    def _admit(self, request: InferRequest, caller: Caller) -> Pending:
        self._catch_up()
        arrived_ms = now_ms()
        family_name = ""
        budget: Budget | None = None
        try:
            family, pinned = self.catalogue.find(request.model)
            family_name = family.family.name
            fitting = eligible(family, pinned, request)
            variants = self.pools.runnable(family, pinned, fitting)
            budget = resolve(request.stated, self.sla_ms)
            self.publisher.arrived(request, family_name, arrived_ms)
            ticket = Ticket(
                id=next(self._ids),
                family=family_name,
                arrived_ms=arrived_ms,
                due_ms=budget.due_ms,
                sla_ms=budget.sla_ms if budget.sla_ms is not None else float("inf"),
                pinned=pinned.variant.name if pinned else None,
                eligible=variants,
                errors_ms=budget.errors_ms,
            )
            backlog_ms = self._backlog_ms(arrived_ms)
            verdict = self.scheduler.arrive(ticket, arrived_ms)
            if isinstance(verdict, Rejection):
                raise self._refusal(request, family, budget, verdict, arrived_ms)
        except ServingError as error:
            if not isinstance(error, Refused):
                self.publisher.failed(request, family_name, error, budget, arrived_ms)
            raise
        pending = Pending(request, family, pinned, budget, ticket, verdict, caller, backlog_ms)
        self._open.pending[ticket.id] = pending
        self._open.idle.clear()
        self._pump(arrived_ms)
        if self.scheduler.queue_length or self.pools.is_short:
            self._expiry.at(ticket.due_ms, arrived_ms)
        return pending

    def _cancel(self, pending: Pending) -> None:
        """The caller is gone: what has not begun is not begun."""
        if self._open.pending.pop(pending.ticket.id, None) is None:
            return
        queued = self.scheduler.cancel(pending.ticket.id, at_ms := now_ms())
        work = self._open.at_work.get(pending.ticket.id)
        if work is not None:
            self._leave(work)
        self.publisher.cancelled(pending, not queued, at_ms)
        self._open.settle()

    def pump(self) -> None:
        """Start what can start: after workers came back, or memory changed."""
        self._pump(now_ms())

    def _pump(self, at_ms: float) -> None:
        if not self._held:
            for action in self.scheduler.next(at_ms):
                if isinstance(action, Rejection):
                    self._reject(action, at_ms)
                else:
                    self._start(action)

    def _sweep(self) -> float:
        """Refuse whose time has run out before its work began; when the next one's does."""
        at_ms = now_ms()
        self._pump(at_ms)
        if not (self.scheduler.queue_length or self.pools.is_short):
            return math.inf
        for ticket_id, work in list(self._open.at_work.items()):
            pending = self._open.pending.get(ticket_id)
            if pending is None or pending.ticket.due_ms > at_ms:
                continue
            if not self.pools.has_begun(work.pool, work.worker):
                self._reject(Rejection(pending.ticket, "expired", _AGAIN_MS), at_ms)
                self._leave(work)
        return self._open.first_due_ms(after_ms=at_ms)

    def watch(self) -> None:
        """A worker was lost: look after whoever waits for it."""
        self._expiry.at(self._open.first_due_ms(), now_ms())

    def _leave(self, work: Assignment) -> None:
        """Have its worker not begin it, if nobody waits for it any more."""
        if not any(ticket.id in self._open.pending for ticket in work.tickets):
            self.pools.cancel(work.pool, work.worker)

    def _reject(self, rejection: Rejection, at_ms: float) -> None:
        pending = self._open.pending.pop(rejection.ticket.id, None)
        if pending is None:
            return
        if not pending.caller.done():
            pending.caller.set_exception(
                self._refusal(pending.request, pending.family, pending.budget, rejection, at_ms)
            )
        self._open.settle()

    def _start(self, work: Assignment) -> None:
        if work.probe:
            kept = [self._open.answered.get(ticket.id) for ticket in work.tickets]
            inputs = [(each[0], each[1]) for each in kept if each is not None]
        else:
            waiting = [self._open.pending[ticket.id] for ticket in work.tickets]
            inputs = [(each.family, each.request.inputs) for each in waiting]
        if not inputs:
            self.scheduler.failed(work, now_ms())
            return
        family = inputs[0][0]
        served = family.variants[work.variant]
        if self.pools.is_bounded:
            note_demand(self.pools, self.scheduler, work, family)
        started_ms = now_ms()
        if not work.probe:
            self._open.at_work.update((ticket.id, work) for ticket in work.tickets)
        self._open.running += 1
        self._open.idle.clear()
        self.pools.run(
            work.pool, work.worker, served.key, [served.named(each) for _, each in inputs],
            lambda outcome: self._done(work, served, started_ms, outcome),
        )  # fmt: skip

    def _done(self, work: Assignment, served: Served, started_ms: float, outcome: _Outcome) -> None:
        """On the loop, once for every start.

        Where others wait, their work starts before anything else is done; where nobody does, the
        answer is on its way (its caller is woken before) when the service learns from it.
        """
        at_ms = now_ms()
        answered: list[_Answer] = []
        for index, ticket in enumerate(() if work.probe else work.tickets):
            self._open.at_work.pop(ticket.id, None)
            failure = outcome if isinstance(outcome, EdgewiseError) else outcome.failed.get(index)
            if failure is not None:
                self._fail(work, ticket, served, failure, at_ms)
            elif isinstance(outcome, JobResult):
                outputs = outcome.outputs[index]
                answered += self._answer(work, ticket, served, outcome, outputs, started_ms, at_ms)
        if self.scheduler.queue_length:
            self._over(work, outcome, answered, at_ms)
        else:
            self._ended.append((work, outcome, answered, at_ms))
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        while self._ended:
            self._over(*self._ended.popleft())

    def _over(
        self, work: Assignment, outcome: _Outcome, answered: list[_Answer], at_ms: float
    ) -> None:
        """A worker is free: it takes the next; what it did is learned from and told."""
        self._open.running -= 1
        queued = self.scheduler.queue_length
        if isinstance(outcome, EdgewiseError):
            self.scheduler.failed(work, at_ms)
        else:
            self.scheduler.done(
                work, at_ms, inference_ms=outcome.inference_ms,
                service_ms=outcome.service_ms, cold_ms=outcome.cold_ms,
            )  # fmt: skip
        self._pump(at_ms)
        for pending, result in answered:
            self.publisher.answered(pending, work, result, queued, at_ms)
        if self.scheduler.refit_due:
            self._refits.begin(self.scheduler)
        self._open.settle()

    def _answer(
        self,
        work: Assignment,
        ticket: Ticket,
        served: Served,
        ran: JobResult,
        outputs: tuple[Tensor, ...],
        started_ms: float,
        at_ms: float,
    ) -> list[_Answer]:
        pending = self._open.pending.pop(ticket.id, None)
        if pending is None or pending.caller.done():
            return []
        self._open.keep(pending)
        result = result_of(pending, work, served, ran, outputs, started_ms, at_ms)
        pending.caller.set_result(result)
        return [(pending, result)]

    def _fail(
        self, work: Assignment, ticket: Ticket, served: Served, error: EdgewiseError, at_ms: float
    ) -> None:
        pending = self._open.pending.pop(ticket.id, None)
        if work.probe or pending is None or pending.caller.done():
            return
        told = error if isinstance(error, ServingError) else InferenceFailed(
            f"'{served.name}' could not run: {error.message}", hint=error.hint
        )  # fmt: skip
        if pending.may_move(told, self.pools.ready()):
            rest = self._move(pending, told, at_ms)
            if rest is None:
                return
            told = rest
        pending.caller.set_exception(told)
        self.publisher.failed(pending.request, ticket.family, told, pending.budget, at_ms, work)

    def _move(self, pending: Pending, why: ServingError, at_ms: float) -> ServingError | None:
        """Queue a request once more, if it can still be in time; else what to tell its caller."""
        ticket = pending.ticket
        try:
            fitting = eligible(pending.family, pending.pinned, pending.request)
            ticket.eligible = self.pools.runnable(pending.family, pending.pinned, fitting)
        except ServingError as error:
            return error
        verdict = self.scheduler.arrive(ticket, at_ms)
        if isinstance(verdict, Rejection) and not isinstance(why, Down):
            return why
        self._open.pending[ticket.id] = pending
        if isinstance(verdict, Rejection):
            self._reject(verdict, at_ms)
        else:
            pending.plan = verdict
            self._expiry.at(ticket.due_ms, at_ms)
        return None

    def _refusal(
        self,
        request: InferRequest,
        family: ServedFamily,
        budget: Budget,
        rejection: Rejection,
        at_ms: float,
    ) -> Refused:
        backlog_ms, queued = self._backlog_ms(at_ms), self.scheduler.queue_length
        return self.publisher.refused(request, family, budget, rejection, at_ms, backlog_ms, queued)

    def _backlog_ms(self, at_ms: float) -> float:
        """Unfinished work per worker."""
        is_idle = not (self._open.running or self.scheduler.queue_length)
        return 0.0 if is_idle else self.scheduler.backlog_ms(at_ms)

    @property
    def running(self) -> int:
        """Workers that are at a request now."""
        return self._open.running

    def start_draining(self, seconds: float) -> None:
        """Tell callers to go elsewhere; who comes all the same is answered."""
        self.draining = True
        self.publisher.tell(events.Draining(len(self._open.pending), seconds, now_ms()))

    async def drain(self, seconds: float) -> int:
        """Answer what is pending, at most so long; how many were not answered in time."""
        return await self._open.drain(seconds)

    async def exchange(
        self, catalogue: Catalogue, scheduler: Scheduler, switch: Callable[[], None]
    ) -> None:
        """Serve other families from now on; nothing pending is lost.

        Running work ends on the old; what is queued is put before the new scheduler. `switch` is
        called when nothing runs: pools take over their new variants there.
        """
        self._held = True
        try:
            while self._open.running:
                await asyncio.sleep(0.001)
            switch()
            self.catalogue, self.scheduler = catalogue, scheduler
            self._open.answered.clear()
            for pending in list(self._open.pending.values()):
                self._requeue(pending, now_ms())
        finally:
            self._held = False
        self.publisher.tell(events.Reloaded(tuple(catalogue.families), now_ms()))
        self.pump()

    def _requeue(self, pending: Pending, at_ms: float) -> None:
        """A queued request under the new families; its model may be gone."""
        try:
            pending.family, pending.pinned = self.catalogue.find(pending.request.model)
            fitting = eligible(pending.family, pending.pinned, pending.request)
            pending.ticket.eligible = self.pools.runnable(pending.family, pending.pinned, fitting)
        except ServingError as error:
            del self._open.pending[pending.ticket.id]
            pending.caller.set_exception(error)
            return
        self._again(pending, at_ms)

    def move(self, pool: str) -> None:
        """Put what is queued for a pool that is down where it can still run, or refuse it."""
        at_ms = now_ms()
        for ticket in self.scheduler.withdraw(pool):
            self._again(self._open.pending[ticket.id], at_ms)
        self._pump(at_ms)

    def _again(self, pending: Pending, at_ms: float) -> None:
        """Queue a request once more."""
        verdict = self.scheduler.arrive(pending.ticket, at_ms)
        if isinstance(verdict, Rejection):
            self._reject(verdict, at_ms)
        else:
            pending.plan = verdict
