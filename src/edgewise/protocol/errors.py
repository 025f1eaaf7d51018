"""What can go wrong between a client and its service.

::

    EdgewiseError
    ├── ServingError          (serving.messages) the service said no: the same types as it raises
    └── ClientError           the service did not get to say anything usable
        ├── Unreachable       no connection, or it broke before an answer
        ├── Late              the deadline or the timeout passed without an answer
        └── MalformedAnswer   what came back is no answer of the protocol, or too large
"""

from __future__ import annotations

from edgewise.errors import EdgewiseError
from edgewise.protocol.messages import (
    BadRequest,
    InferenceFailed,
    Refused,
    ServingError,
    TooLarge,
    Unauthorised,
    Unavailable,
    UnknownModel,
)


class ClientError(EdgewiseError):
    """A request without an answer that can be used."""


class Unreachable(ClientError):
    """No connection to the service, or it broke before the answer was complete."""


class Late(ClientError):
    """The deadline (or, without one, the timeout) passed without an answer."""


class MalformedAnswer(ClientError):
    """What came back is not the protocol's, does not fit itself, or is above the limit."""


class OtherStatus(ServingError):
    """The service, or something in front of it, answered with an HTTP status of its own."""

    def __init__(self, message: str, status: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


#: Statuses that mean one thing. 503 is told apart by what the service says.
_BY_STATUS: dict[int, type[ServingError]] = {
    400: BadRequest,
    401: Unauthorised,
    403: Unauthorised,
    404: UnknownModel,
    413: TooLarge,
    500: InferenceFailed,
}
_HINTS = {
    401: "give the client the service's token",
    403: "give the client the service's token",
    404: "check the URL and the model's name",
}


def from_status(
    status: int, message: str, *, retry_after_ms: float | None = None, device: str | None = None
) -> ServingError:
    """The error that an HTTP status and the body's words stand for.

    A 503 that names a time or a variant for the device in its body is a refusal of this work; any
    other says that there is nobody to do it.
    """
    if status == 503 and (retry_after_ms is not None or device is not None):
        # The service's own message ends with the hint that the error adds.
        message = message.removesuffix(f" (use your device: {device})")
        return Refused(message, retry_after_s=(retry_after_ms or 0.0) / 1000, device=device)
    if status == 503:
        return Unavailable(message)
    if (known := _BY_STATUS.get(status)) is not None:
        return known(message, hint=None if message.endswith(")") else _HINTS.get(status))
    return OtherStatus(message, status)
