"""Who may ask: everyone, or whoever has the token."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

#: A probe of a load balancer has no token, and learns nothing but whether we work.
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})


class Access:
    """The service's token, if it has one.

    It comes as `Authorization: Bearer TOKEN`, or as the password of HTTP's basic scheme with any
    user name: that is what a browser asks for and keeps, so no token ever stands in an address.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return self._token is None

    def allows(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request may be answered; health is open to everyone."""
        if self._token is None or path in _OPEN:
            return True
        scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            return hmac.compare_digest(credentials.strip(), self._token)
        if scheme.lower() == b"basic":
            return hmac.compare_digest(_password(credentials), self._token)
        return False


def _password(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
