"""Answers as HTTP has them: results, errors, and the id of the request."""

from __future__ import annotations

import itertools
import math
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from edgewise.protocol.http import codec
from edgewise.protocol.messages import InferResult, Refused, ServingError, Unauthorised
from edgewise.server.http.exchange import Headers, Parts

REQUEST_ID = b"x-request-id"
JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
_SANE_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_ids = itertools.count(1)
_PROCESS = secrets.token_hex(4)


class Answer(NamedTuple):
    """Status, headers without the length, and the body in its parts."""

    status: int
    headers: Headers
    body: Parts


def of_result(result: InferResult, asked: codec.Asked) -> Answer:
    """The answer to an inference.

    Raises:
        BadRequest: as `codec.encode`.
    """
    json_bytes, parts = codec.encode(result, asked)
    if json_bytes is None:
        return Answer(200, (JSON,), parts)
    return Answer(200, (_BINARY, (codec.HEADER_LENGTH, str(json_bytes).encode())), parts)


def of_error(error: ServingError, *, browser: bool = False) -> Answer:
    """An error: `{"error": …}`, for a refusal with the time to wait and the device's variant.

    A `browser` is told to ask its user for the token.
    """
    content: dict[str, Any] = {"error": str(error)}
    headers = [JSON]
    if isinstance(error, Refused):
        content["retry_after_ms"] = round(error.retry_after_s * 1000, 3)
        if error.device:
            content["device"] = error.device
    if error.status == 503:
        wait_s = error.retry_after_s if isinstance(error, Refused) else 1.0
        headers.append((b"retry-after", str(max(1, math.ceil(wait_s))).encode()))
    if isinstance(error, Unauthorised):
        scheme = b'Basic realm="edgewise"' if browser else b'Bearer realm="edgewise"'
        headers.append((b"www-authenticate", scheme))
    return Answer(error.status, headers, [msgspec.json.encode(content)])


def of_defect() -> Answer:
    """Something that must not happen did."""
    body = b'{"error":"internal error; the service\'s log has it under this request\'s id"}'
    return Answer(500, (JSON,), [body])


def request_id(headers: Mapping[bytes, bytes]) -> bytes:
    """The caller's `X-Request-ID`, or a new one where that is missing or no plain word."""
    given = headers.get(REQUEST_ID)
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return f"{_PROCESS}-{next(_ids):x}".encode()
