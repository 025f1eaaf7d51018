"""Errors of the service as gRPC's statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from edgewise.protocol.messages import Refused, ServingError

if TYPE_CHECKING:
    from typing import NoReturn

    from grpc.aio import ServicerContext

RETRY_AFTER = "retry-after-ms"
DEVICE = "edgewise-device"
#: Details travel in a header, whose size clients limit to 8 KiB.
_MOST_DETAILS = 1000


async def refuse(context: ServicerContext, error: ServingError) -> NoReturn:
    """End a call with an error; a refusal says when to try again and what runs on the device (its
    name percent-encoded where it is not plain ASCII)."""
    from grpc import StatusCode

    trailing: list[tuple[str, str]] = []
    if isinstance(error, Refused):
        trailing.append((RETRY_AFTER, str(round(1000 * error.retry_after_s))))
        if error.device:
            trailing.append((DEVICE, quote(error.device)))
    await context.abort(StatusCode[error.code], details(error), tuple(trailing))
    raise AssertionError("abort raises")


def details(error: ServingError) -> str:
    """An error in words."""
    return str(error)[:_MOST_DETAILS]
