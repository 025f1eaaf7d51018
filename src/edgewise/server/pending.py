"""A request between its arrival and its end, and what listeners are told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgewise.protocol.messages import (
    BadRequest,
    Down,
    InferRequest,
    InferResult,
    Interrupted,
    NotBegun,
    Refused,
    ServingError,
    SetAside,
    Tensor,
)
from edgewise.selection.engine.scheduling import Assignment, Plan, Rejection, Ticket
from edgewise.server import events
from edgewise.server.budget import Budget
from edgewise.server.catalogue import Served, ServedFamily
from edgewise.server.pool.outcomes import JobResult

#: A parameter: integers as the file that answers has them.
_RAW = "raw_outputs"
_WHY = {
    "late": "it could not be answered in time",
    "price": "its answer would cost other requests more than it brings",
    "full": "the queue is full",
    "expired": "its time has run out",
    "down": "no worker is up",
}


def now_ms() -> float:
    """The monotonic clock that all of the service's times are on."""
    return time.monotonic() * 1000


#: Told once, on the loop, with the result or why there is none.
Told = Callable[[InferResult | ServingError], None]


class Caller(Protocol):
    """Who waits for a result: a future of it, or a `Callback`."""

    def done(self) -> bool:
        """Whether it waits no more."""

    def set_result(self, result: InferResult, /) -> None:
        """Here it is."""

    def set_exception(self, error: ServingError, /) -> None:
        """There is none."""


class Callback:
    """A caller that is called in the loop's next round: a future and the task that awaits it take
    longer to make and to wake."""

    __slots__ = ("_told",)

    def __init__(self, told: Told) -> None:
        self._told: Told | None = told

    def done(self) -> bool:
        """As `Caller.done`."""
        return self._told is None

    def set_result(self, result: InferResult | ServingError, /) -> None:
        """As `Caller.set_result`."""
        told, self._told = self._told, None
        assert told is not None
        asyncio.get_running_loop().call_soon(told, result)

    set_exception = set_result


@dataclass(slots=True, eq=False)
class Pending:
    """A request between its arrival and its result."""

    request: InferRequest
    family: ServedFamily
    pinned: Served | None
    budget: Budget
    ticket: Ticket
    plan: Plan
    caller: Caller
    backlog_ms: float
    moved: bool = False

    def may_move(self, why: ServingError, there_are_others: bool) -> bool:
        """Whether a request may be tried elsewhere: any number of times where it was not begun,
        else once, since an inference can be done twice, but what ends workers should not go on."""
        if isinstance(why, NotBegun):
            return True
        if isinstance(why, SetAside):
            return self.pinned is None
        if self.moved or not isinstance(why, (Down, Interrupted)):
            return False
        self.moved = True
        return isinstance(why, Interrupted) or there_are_others


class EventPublisher:
    """Tells listeners what happens to requests."""

    def __init__(self) -> None:
        self.listeners: list[events.Listener] = []

    def tell(self, event: events.Event) -> None:
        """Every listener, in the order they came."""
        for listener in self.listeners:
            listener(event)

    def arrived(self, request: InferRequest, family: str, at_ms: float) -> None:
        """A request is whole and its model known."""
        self.tell(events.Arrived(request.id, request.model, family, request.stated, at_ms))

    def answered(
        self, pending: Pending, work: Assignment, result: InferResult, queued: int, at_ms: float
    ) -> None:
        """It has its result."""
        budget, ticket = pending.budget, pending.ticket
        self.tell(
            events.Answered(
                request_id=pending.request.id,
                model=pending.request.model,
                family=ticket.family,
                result=result,
                probabilities=work.probabilities,
                sla_ms=budget.sla_ms,
                upload_ms=budget.upload_ms,
                download_ms=budget.download_ms,
                total_ms=at_ms - ticket.arrived_ms,
                at_ms=at_ms,
                backlog_ms=pending.backlog_ms,
                queue_length=queued,
                probe=work.probe,
                batch=len(work.tickets),
            )
        )

    def refused(
        self,
        request: InferRequest,
        family: ServedFamily,
        budget: Budget,
        rejection: Rejection,
        at_ms: float,
        backlog_ms: float,
        queued: int,
    ) -> Refused:
        """It is not worked on; the error for its caller."""
        self.tell(
            events.RefusedEvent(
                request_id=request.id,
                model=request.model,
                family=family.family.name,
                reason=rejection.reason,
                sla_ms=budget.sla_ms,
                budget_ms=budget.budget_ms,
                basis=budget.basis,
                retry_after_ms=rejection.retry_after_ms,
                at_ms=at_ms,
                waited_ms=at_ms - rejection.ticket.arrived_ms,
                backlog_ms=backlog_ms,
                queue_length=queued,
            )
        )
        device = family.family.fallback()
        return Refused(
            _WHY.get(rejection.reason, rejection.reason),
            retry_after_s=rejection.retry_after_ms / 1000,
            device=device.name if device else None,
        )

    def failed(
        self,
        request: InferRequest,
        family: str,
        error: ServingError,
        budget: Budget | None,
        at_ms: float,
        work: Assignment | None = None,
    ) -> None:
        """It ends in an error that is no refusal."""
        self.tell(
            events.Failed(
                request_id=request.id,
                model=request.model,
                family=family,
                variant=work.variant if work else None,
                kind=type(error).__name__,
                status=error.status,
                message=error.message,
                at_ms=at_ms,
                sla_ms=budget.sla_ms if budget else None,
                budget_ms=budget.budget_ms if budget else None,
                basis=budget.basis if budget else "default",
                total_ms=at_ms - request.stated.arrived_ms,
                probability=work.probability if work else 1.0,
                probabilities=work.probabilities if work else events.NO_CHOICE,
            )
        )

    def cancelled(self, pending: Pending, running: bool, at_ms: float) -> None:
        """Its caller went away."""
        budget, ticket = pending.budget, pending.ticket
        self.tell(
            events.Cancelled(
                request_id=pending.request.id,
                model=pending.request.model,
                family=ticket.family,
                running=running,
                at_ms=at_ms,
                sla_ms=budget.sla_ms,
                budget_ms=budget.budget_ms,
                basis=budget.basis,
                waited_ms=at_ms - ticket.arrived_ms,
            )
        )


def wanted(pending: Pending, served: Served, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The outputs under the names of the model that was asked for, those that were wanted."""
    like = pending.pinned.answers if pending.pinned else pending.family.outputs
    given = served.answer(outputs, like, raw=pending.request.parameters.get(_RAW) is True)
    names = pending.request.wanted
    if not names:
        return given
    by_name = {tensor.name: tensor for tensor in given}
    if missing := [name for name in names if name not in by_name]:
        raise BadRequest(f"no output '{missing[0]}'")
    return tuple(by_name[name] for name in names)


def eligible(
    family: ServedFamily, pinned: Served | None, request: InferRequest
) -> frozenset[str] | None:
    """The variants that a request fits, None: all of what it asks for.

    Raises:
        BadRequest: it fits none.
    """
    if not isinstance(raw := request.parameters.get(_RAW, False), bool):
        raise BadRequest(f"the parameter '{_RAW}' is {raw!r:.40}", hint="true or false")
    if pinned is None:
        return family.eligible(request.inputs, request.wanted)
    pinned.check(request.inputs, request.wanted, images=family.family.input.kind == "image")
    return None


def result_of(
    pending: Pending,
    work: Assignment,
    served: Served,
    ran: JobResult,
    outputs: tuple[Tensor, ...],
    started_ms: float,
    at_ms: float,
) -> InferResult:
    """A request's answer, from what its work gave; it began and ended at these times."""
    request, budget = pending.request, pending.budget
    return InferResult(
        model=request.model,
        family=pending.ticket.family,
        variant=work.variant,
        accuracy=served.variant.accuracy,
        outputs=wanted(pending, served, outputs),
        budget_ms=budget.budget_ms,
        basis=budget.basis,
        predicted_queue_ms=pending.plan.predicted_queue_ms,
        queue_ms=started_ms - pending.ticket.arrived_ms,
        predicted_ms=work.predicted_ms,
        preprocess_ms=ran.preprocess_ms,
        inference_ms=ran.inference_ms,
        cold_ms=ran.cold_ms,
        policy=work.why,
        probability=work.probability,
        in_time=None if budget.budget_ms is None else at_ms <= budget.due_ms,
        id=request.id,
        content=served.content,
    )
