"""What crosses the service's rooms: requests, results and refusals, free of any wire format."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
from numpy.typing import NDArray

from edgewise.errors import EdgewiseError

Basis = Literal["client", "proxy", "service", "default"]
#: Of the Open Inference Protocol, with the numpy dtype of each. BYTES has none.
DATATYPES: dict[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
#: The datatype of a model's type by its numpy name; `string` is what runtimes call text.
DATATYPE_OF = {numpy: datatype for datatype, numpy in DATATYPES.items()} | {"string": "BYTES"}
#: In whole µs longer times are not exact, and infinite ones not at all.
_LONG_MS = 1e12


class _Message(msgspec.Struct, frozen=True, gc=False):
    """Made in 0.3 µs, where a frozen dataclass of 15 fields takes 5. None is part of a cycle."""


class Tensor(_Message, frozen=True, gc=False):
    """A named tensor. `values` is a C-contiguous array of `shape`, read-only where it is a view
    of a request's body; for the datatype BYTES a tuple of its elements, flat.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | tuple[bytes, ...]


class RequestTiming(_Message, frozen=True, gc=False):
    """What came with a request about its time. All in ms, None: not stated.

    From the caller: `sla_ms` end to end, `elapsed_ms` already spent before sending, `rtt_ms`,
    `upload_ms` and `download_ms` what it expects of the network, `download_p90_ms` what the way
    back does not exceed in nine of ten cases, `timeout_ms` from Triton's `timeout`, `remaining_ms`
    from gRPC's own deadline. From a proxy in front: `proxy_elapsed_ms` since it got the request,
    `proxy_timeout_ms` what it waits. Seen by the service: `received_ms` from the first to the last
    byte of the body, `kernel_rtt_ms` of the connection.
    `arrived_ms` is the monotonic clock when the first byte was there.
    """

    arrived_ms: float
    sla_ms: float | None = None
    elapsed_ms: float | None = None
    rtt_ms: float | None = None
    upload_ms: float | None = None
    download_ms: float | None = None
    download_p90_ms: float | None = None
    timeout_ms: float | None = None
    remaining_ms: float | None = None
    proxy_elapsed_ms: float | None = None
    proxy_timeout_ms: float | None = None
    received_ms: float | None = None
    kernel_rtt_ms: float | None = None


class InferRequest(_Message, frozen=True, gc=False):
    """One inference. `model` is a family's or a variant's name as served.

    `wanted` are the names of the outputs to return, empty: all. `parameters` are those that the
    service does not interpret.
    """

    model: str
    inputs: tuple[Tensor, ...]
    stated: RequestTiming
    id: str = ""
    wanted: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}


class InferResult(_Message, frozen=True, gc=False):
    """The answer to one request, and why this variant gave it. Times in ms.

    `budget_ms` is what the network left of the deadline when the request had arrived, None where
    it has none; `basis` says whose word on the network it rests on. `queue_ms` is from arrival to
    the start of work. `cold_ms` is the load that this request had to wait for, 0 where resident.
    `policy` is the policy's name with the reason in words. `in_time`: whether the result was ready
    within the budget, None without one. `content` is the SHA-256 of the file that gave it, empty
    where that is not known.
    """

    model: str
    family: str
    variant: str
    accuracy: float | None
    outputs: tuple[Tensor, ...]
    budget_ms: float | None
    basis: Basis
    predicted_queue_ms: float
    queue_ms: float
    predicted_ms: float | None
    preprocess_ms: float
    inference_ms: float
    cold_ms: float
    policy: str
    probability: float
    in_time: bool | None
    id: str = ""
    content: str = ""

    def parameters(self) -> dict[str, str | float | bool]:
        """The response's parameters, as both protocols send them."""
        given: dict[str, str | float | bool] = {
            "variant": self.variant,
            "budget_basis": self.basis,
            "predicted_queue_ms": _to_us(self.predicted_queue_ms),
            "queue_ms": _to_us(self.queue_ms),
            "preprocess_ms": _to_us(self.preprocess_ms),
            "inference_ms": _to_us(self.inference_ms),
            "cold_ms": _to_us(self.cold_ms),
            "policy": self.policy,
        }
        if self.content:
            given["variant_sha256"] = self.content
        if self.accuracy is not None:
            given["accuracy"] = self.accuracy
        if self.budget_ms is not None:
            given["budget_ms"] = _to_us(self.budget_ms)
        if self.predicted_ms is not None:
            given["predicted_ms"] = _to_us(self.predicted_ms)
        if self.in_time is not None:
            given["in_time"] = self.in_time
        return given


def _to_us(ms: float) -> float:
    """A time in ms to whole µs: `round` takes three times as long."""
    return math.floor(ms * 1000 + 0.5) / 1000 if abs(ms) < _LONG_MS else ms


class ServingError(EdgewiseError):
    """A request that gets no inference. `status` is HTTP's, `code` gRPC's name for it."""

    status = 500
    code = "INTERNAL"


class BadRequest(ServingError):
    """The request is malformed, or does not fit the model: which part, and why."""

    status, code = 400, "INVALID_ARGUMENT"


class Unauthorised(ServingError):
    """No token, or a wrong one."""

    status, code = 401, "UNAUTHENTICATED"


class UnknownModel(ServingError):
    """No family or variant of that name."""

    status, code = 404, "NOT_FOUND"


class TooLarge(ServingError):
    """The body is above the limit."""

    status, code = 413, "RESOURCE_EXHAUSTED"


class Refused(ServingError):
    """The work could not be in time, or is not worth its price: not done.

    `retry_after_s` is when it may be worth trying again; `device` the variant that the caller can
    run on its device, None where the family names none.
    """

    status, code = 503, "UNAVAILABLE"

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, device: str | None = None
    ) -> None:
        hint = f"use your device: {device}" if device else None
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        self.device = device


class Unavailable(ServingError):
    """The service drains, or the model has no worker just now."""

    status, code = 503, "UNAVAILABLE"


class Down(Unavailable):
    """Where it would have run does not answer as a whole: not this request's fault."""


class NotBegun(Down):
    """Its worker went away before it began: it may go elsewhere, as if it had just come."""


class Silent(Down):
    """It did not say anything within the time that it had."""


class InferenceFailed(ServingError):
    """The runtime refused or crashed on this input; the message is its own, shortened."""

    status, code = 500, "INTERNAL"


class Interrupted(InferenceFailed):
    """The worker process ended while it was at it."""


class SetAside(InferenceFailed):
    """The variant does not load, or ended worker after worker: it is not run any more."""
