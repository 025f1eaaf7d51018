"""What a request says of its time: parameters of the caller, headers of a proxy in front."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgewise.protocol.messages import BadRequest

#: In milliseconds, as `Stated` names them.
_OF_CALLER = ("sla_ms", "elapsed_ms", "rtt_ms", "upload_ms", "download_ms", "download_p90_ms")
#: Of the service's own; everything else is passed on.
_KNOWN = frozenset((*_OF_CALLER, "timeout", "binary_data_output"))
#: Triton's `timeout` is in microseconds.
_US_PER_MS = 1000.0
#: A proxy that got a request longer ago than this, or in the future, has another clock.
_LONGEST_ELAPSED_MS = 60_000.0
#: An epoch of at least this is in milliseconds, microseconds, nanoseconds instead of seconds.
_EPOCH_UNITS = ((1e17, 1e6), (1e14, 1e3), (1e11, 1.0), (0.0, 1e-3))


def of_caller(parameters: Mapping[str, Any]) -> dict[str, float]:
    """The caller's statements by their name in `Stated`, in ms.

    Raises:
        BadRequest: one of them is no number, negative or infinite.
    """
    given = {name: _number(name, parameters[name]) for name in _OF_CALLER if name in parameters}
    if "timeout" in parameters and (timeout := _number("timeout", parameters["timeout"])):
        given["timeout_ms"] = timeout / _US_PER_MS
    return given


def others(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the service does not interpret."""
    return {name: value for name, value in parameters.items() if name not in _KNOWN}


def of_proxy(headers: Mapping[bytes, bytes], wall_ms: float) -> dict[str, float]:
    """A proxy's statements by their name in `Stated`, in ms; implausible ones are ignored.

    `X-Request-Start` and `X-Queue-Start` say when the proxy got the request, since the epoch, in
    seconds, ms, µs or ns, with or without `t=`; `wall_ms` is the wall clock when all of it was
    here. Envoy's `x-envoy-expected-rq-timeout-ms` says how long it waits.
    """
    given = {}
    start = headers.get(b"x-request-start") or headers.get(b"x-queue-start")
    if start is not None and (elapsed_ms := _elapsed_ms(start, wall_ms)) is not None:
        given["proxy_elapsed_ms"] = elapsed_ms
    patience = headers.get(b"x-envoy-expected-rq-timeout-ms")
    if patience is not None and (timeout_ms := _plain(patience)):
        given["proxy_timeout_ms"] = timeout_ms
    return given


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"the parameter '{name}' is {value!r:.40}", hint="it takes a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0 <= number < math.inf:
        raise BadRequest(f"the parameter '{name}' is {number}", hint="from 0, and finite")
    return number


def _elapsed_ms(start: bytes, wall_ms: float) -> float | None:
    epoch = _plain(start.removeprefix(b"t="))
    if epoch is None:
        return None
    per_ms = next(per_ms for least, per_ms in _EPOCH_UNITS if epoch >= least)
    elapsed_ms = wall_ms - epoch / per_ms
    return elapsed_ms if 0 <= elapsed_ms <= _LONGEST_ELAPSED_MS else None


def _plain(text: bytes) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
