"""What the network leaves of a request's deadline, and whose word that rests on.

T_U = T_sla − elapsed − (t_up + t_down), at the moment when the whole request has arrived. What the
caller states of the network wins, then a proxy's header, then what the service sees itself: behind
a buffering proxy the service sees the proxy's network, not the caller's.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import numpy as np

from edgewise.protocol.messages import Basis, RequestTiming
from edgewise.selection.engine.jobs import CERTAIN
from edgewise.selection.profiles.table import Floats

#: Normal scores of equally likely values, the 90th percentile's being 1.
_SCORES = np.array(
    [NormalDist().inv_cdf((k + 0.5) / len(CERTAIN)) for k in range(len(CERTAIN))]
) / NormalDist().inv_cdf(0.9)


class Budget(msgspec.Struct, frozen=True, gc=False):
    """Of one request. `due_ms` is on the monotonic clock: the result has to be ready by then;
    infinite without a deadline, where `sla_ms` and `budget_ms` are None. `errors_ms`: see `Ticket`.
    All in ms.
    """

    sla_ms: float | None
    budget_ms: float | None
    due_ms: float
    upload_ms: float
    download_ms: float
    basis: Basis
    errors_ms: Floats = msgspec.field(default_factory=lambda: CERTAIN)


def resolve(stated: RequestTiming, default_sla_ms: float | None) -> Budget:
    """The budget of a request.

    Several deadlines may come with it: `sla_ms` counts from when its caller began, gRPC's from when
    it was sent, Triton's `timeout` and a proxy's from when it arrived here. The earliest counts.
    """
    upload_ms, download_ms, basis = _network(stated)
    complete_ms = stated.arrived_ms + (stated.received_ms or 0.0)
    sla_ms = stated.sla_ms
    others = (stated.timeout_ms, stated.remaining_ms, stated.proxy_timeout_ms)
    if sla_ms is None and all(other is None for other in others):
        sla_ms = default_sla_ms
    due_ms = math.inf
    if sla_ms is not None:
        due_ms = complete_ms + sla_ms - (stated.elapsed_ms or 0.0) - upload_ms - download_ms
    if stated.remaining_ms is not None:
        # gRPC sends a duration: its clock here starts when the call arrives, the caller's when it
        # was sent, half a round trip earlier.
        due_ms = min(due_ms, complete_ms + stated.remaining_ms - upload_ms - download_ms)
    if stated.timeout_ms is not None:
        due_ms = min(due_ms, stated.arrived_ms + stated.timeout_ms)
    if stated.proxy_timeout_ms is not None:
        due_ms = min(due_ms, stated.arrived_ms + stated.proxy_timeout_ms)
    if due_ms == math.inf:
        return Budget(None, None, math.inf, upload_ms, download_ms, basis)
    if sla_ms is None:
        sla_ms = min(other for other in others if other is not None)
    budget_ms, errors_ms = due_ms - complete_ms, _errors(stated)
    return Budget(sla_ms, budget_ms, due_ms, upload_ms, download_ms, basis, errors_ms)


def _errors(stated: RequestTiming) -> Floats:
    """By how much the way back may take longer than expected. A median and a 90th percentile are
    completed as profiles with few quantiles are: the log of the time is linear in the score."""
    expected_ms, most_ms = stated.download_ms, stated.download_p90_ms
    if not expected_ms or most_ms is None or most_ms <= expected_ms:
        return CERTAIN
    return np.asarray(expected_ms * ((most_ms / expected_ms) ** _SCORES - 1))


def _network(stated: RequestTiming) -> tuple[float, float, Basis]:
    """Expected upload and download, and whose word it is.

    Where only the round trip is known, each way takes half of it, and the upload what its bytes
    took to come in. Where the download is unknown it is taken equal to the upload.
    """
    received_ms = stated.received_ms or 0.0
    if stated.upload_ms is not None or stated.rtt_ms is not None:
        half_ms = (stated.rtt_ms or 0.0) / 2
        upload_ms = stated.upload_ms if stated.upload_ms is not None else half_ms + received_ms
        if stated.download_ms is not None:
            return upload_ms, stated.download_ms, "client"
        return upload_ms, half_ms if stated.rtt_ms is not None else upload_ms, "client"
    if stated.proxy_elapsed_ms is not None:
        upload_ms = stated.proxy_elapsed_ms
        download_ms = stated.download_ms
        return upload_ms, upload_ms if download_ms is None else download_ms, "proxy"
    if stated.kernel_rtt_ms is not None:
        half_ms = stated.kernel_rtt_ms / 2
        download_ms = stated.download_ms
        return half_ms + received_ms, half_ms if download_ms is None else download_ms, "service"
    if stated.received_ms is not None:
        download_ms = stated.download_ms
        return received_ms, received_ms if download_ms is None else download_ms, "service"
    return 0.0, stated.download_ms or 0.0, "default"
