"""The job that each worker has: one at a time, given out and ended on the event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgewise.errors import EdgewiseError
from edgewise.protocol.messages import Tensor
from edgewise.server.pool.outcomes import JobResult


@dataclass(slots=True)
class Batch:
    """Requests that are run at once. `begun_s` is None while it waits for its worker, or for
    room. Cold: its variant had to be loaded."""

    key: str
    inputs: Sequence[Sequence[Tensor]]
    done: Callable[[JobResult | EdgewiseError], None]
    since_s: float
    begun_s: float | None = None
    cold: bool = False


class Jobs:
    """By worker, with since when those without one have none."""

    def __init__(self, workers: int) -> None:
        self._of: list[Batch | None] = [None] * workers
        self._idle_since_s = [0.0] * workers

    def give(self, worker: int, job: Batch) -> None:
        """A worker's next job.

        Raises:
            RuntimeError: it has one (a defect of the caller).
        """
        if self._of[worker] is not None:
            raise RuntimeError(f"worker {worker} was given a second job")
        self._of[worker] = job

    def over(self, worker: int, job: Batch, now_s: float) -> bool:
        """A job has ended; False where it had before."""
        if self._of[worker] is not job:
            return False
        self._of[worker] = None
        self.idles_since(worker, now_s)
        return True

    def is_free(self, worker: int) -> bool:
        """Whether a worker has no job."""
        return self._of[worker] is None

    def idles_since(self, worker: int, now_s: float) -> None:
        """From when on a worker's idleness counts."""
        self._idle_since_s[worker] = now_s

    def idle_s(self, worker: int, now_s: float) -> float:
        """How long a worker has had nothing to do; 0 where it has a job."""
        return now_s - self._idle_since_s[worker] if self.is_free(worker) else 0.0

    def waits(self, worker: int) -> Batch | None:
        """A worker's job where that has not begun."""
        job = self._of[worker]
        return job if job is not None and job.begun_s is None else None

    def waiting(self) -> list[tuple[int, Batch]]:
        """All jobs that have not begun, with their workers."""
        found = ((worker, self.waits(worker)) for worker in range(len(self._of)))
        return [(worker, job) for worker, job in found if job is not None]

    def running(self) -> set[tuple[int, str]]:
        """Workers and variants of the jobs that have begun."""
        return {
            (worker, job.key) for worker, job in enumerate(self._of)
            if job is not None and job.begun_s is not None
        }  # fmt: skip
