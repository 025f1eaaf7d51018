"""What became of a job or a load, from a worker's reply."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from edgewise.errors import EdgewiseError, RuntimeRefused, WorkerFailed
from edgewise.protocol.messages import (
    BadRequest,
    InferenceFailed,
    Interrupted,
    ServingError,
    SetAside,
    Tensor,
)
from edgewise.server.pool import arena
from edgewise.server.pool.arena import Area
from edgewise.server.pool.frames import Done, Failed, Reply, plain

_log = logging.getLogger(__name__)


class JobResult(msgspec.Struct, frozen=True):
    """What a job gave. One tuple of outputs per request of the batch; empty for those that
    `failed` (by index), while others did not. Times in ms.

    `cold_ms` is the load that the job waited for, 0 where the variant was resident; the first
    inference after a load also holds what the runtime leaves to it.
    `service_ms` is the worker's occupancy without it: preprocessing, inference, postprocessing.
    `resident_bytes` is what the variant keeps in memory.
    """

    outputs: tuple[tuple[Tensor, ...], ...]
    cold_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    service_ms: float
    resident_bytes: int
    failed: Mapping[int, ServingError] = {}


def job_result(key: str, done: Done, area: Area, resident_bytes: int) -> JobResult | ServingError:
    """A batch's results, copied out of the worker's area; the error where all of it failed.

    Raises:
        ValueError: they are not where the reply says.
    """
    area.follow(done.area)
    outputs = tuple([arena.read(area, heads, copy=True) for heads in done.outputs])
    failed = {index: job_error(key, each) for index, each in done.failed.items()}
    if failed and len(failed) == len(outputs):
        return next(iter(failed.values()))
    return JobResult(
        outputs=outputs,
        cold_ms=done.cold_ms,
        preprocess_ms=done.preprocess_ms,
        inference_ms=done.inference_ms,
        postprocess_ms=done.postprocess_ms,
        service_ms=done.service_ms,
        resident_bytes=resident_bytes,
        failed=failed,
    )


def job_error(key: str, failure: Reply | WorkerFailed) -> ServingError:
    """Why a job has no result, for its caller."""
    match failure:
        case Failed("input", message, hint):
            return BadRequest(message, hint=hint)
        case Failed("runtime", message, hint):
            return InferenceFailed(_about(key, message), hint=hint)
        case Failed("load", message, hint):
            return SetAside(_about(key, f"does not load: {_last_line(message)}"), hint=hint)
        case Failed("memory", message):
            return InferenceFailed(_about(key, message))
        case Failed("defect", message):
            _log.error("a defect in the worker process, running %s:\n%s", key, message)
            return InferenceFailed(_about(key, f"a defect of ours: {_last_line(message)}"))
        case WorkerFailed():
            return Interrupted(_about(key, failure.message))
        case _:
            return InferenceFailed(_about(key, f"answered with {type(failure).__name__}"))


def load_error(key: str, failure: Reply | WorkerFailed) -> EdgewiseError:
    """Why a variant was not loaded, for whoever starts the service.

    Raises:
        RuntimeError: a defect.
    """
    match failure:
        case Failed("defect", message):
            raise RuntimeError(f"a worker process failed, loading '{plain(key)}':\n{message}")
        case Failed(_, message, hint):
            return RuntimeRefused(_about(key, message), hint=hint)
        case WorkerFailed():
            return WorkerFailed(_about(key, failure.message))
        case _:
            return WorkerFailed(_about(key, f"answered with {type(failure).__name__}"))


def _about(key: str, message: str) -> str:
    return message if f"'{plain(key)}'" in message else f"'{plain(key)}': {message}"


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
