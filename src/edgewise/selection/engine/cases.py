"""What is simulated: policies as they are written for a queue, loads, deadlines; and in what parts.

All simulators rest on this, and it on none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgewise.errors import UsageError
from edgewise.selection.policies.protocol import Policy
from edgewise.selection.policies.registry import check_names
from edgewise.selection.policies.registry import parse as parse_plain
from edgewise.selection.profiles.table import LONGEST_MS
from edgewise.selection.workload.arrivals import Arrivals

#: Requests drawn at a time, without a queue and with one: memory does not grow beyond them.
UNQUEUED_BLOCK, BLOCK = 1 << 17, 32_768
#: MLPerf's floor for a 99th percentile (measuring.md).
P99_SAMPLES = 662
_KNOWING = "+queue"
_CASCADES = "+cascade"


@dataclass(frozen=True, eq=False)
class Load:
    """Arrivals and the workers that serve them, each one request at a time: in order of arrival
    (`fcfs`), or as the service's scheduler does it (`edf`)."""

    arrivals: Arrivals
    workers: int = 1
    discipline: Literal["fcfs", "edf"] = "fcfs"

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"{self.workers} workers", hint="there is at least one")


@dataclass(frozen=True)
class KnowingQueue:
    """A policy whose budget is what the expected wait leaves of it."""

    policy: Policy

    @property
    def name(self) -> str:
        """`mdinference+queue`."""
        return self.policy.name + _KNOWING


@dataclass(frozen=True)
class WithCascades:
    """A policy that may also choose cascades, each a model with the times of both of its own."""

    policy: Policy

    @property
    def name(self) -> str:
        """`deadline+cascade`."""
        return self.policy.name + _CASCADES


AnyPolicy = Policy | KnowingQueue | WithCascades


def parse(text: str) -> AnyPolicy:
    """A policy from its written form; with `+queue` at its end the same, knowing the queue, with
    `+cascade` the same, on a family that has cascades too.

    Raises:
        UsageError: as `policies.parse`.
    """
    text = text.strip()
    if text.endswith(_KNOWING):
        return KnowingQueue(parse_plain(text.removesuffix(_KNOWING)))
    if text.endswith(_CASCADES):
        return WithCascades(parse_plain(text.removesuffix(_CASCADES)))
    return parse_plain(text)


def parse_all(texts: Iterable[str]) -> tuple[AnyPolicy, ...]:
    """Several policies; the same one twice is refused.

    Raises:
        UsageError: as `policies.parse_all`.
    """
    policies = tuple(parse(text) for text in texts if text.strip())
    check_names([policy.name for policy in policies])
    return policies


def sizes(requests: int) -> Iterator[int]:
    """Requests in blocks."""
    for start in range(0, requests, BLOCK):
        yield min(BLOCK, requests - start)


def check_deadlines(deadlines_ms: Sequence[float]) -> None:
    """Refuse deadlines that are none."""
    if not deadlines_ms:
        raise UsageError("no deadline to simulate")
    for sla_ms in deadlines_ms:
        check_deadline(sla_ms)


def check_deadline(sla_ms: float) -> None:
    """Refuse a deadline that is none."""
    if not 0 <= sla_ms <= LONGEST_MS:
        raise UsageError(f"a deadline of {sla_ms} ms", hint=f"it is 0 to {LONGEST_MS:g}")
