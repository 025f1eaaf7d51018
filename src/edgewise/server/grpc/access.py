"""Who may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgewise.protocol.messages import Unauthorised
from edgewise.server.http.security import Access

if TYPE_CHECKING:
    from grpc.aio import ServicerContext


class Gate:
    """Lets calls in that show the service's token as the metadata `authorization: Bearer TOKEN`."""

    def __init__(self, token: str | None) -> None:
        self._access = Access(token)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Let a call in.

        Raises:
            Unauthorised: it shows no token, or a wrong one.
        """
        if not self._access.allows("", headers):
            raise Unauthorised("a token is needed", hint="metadata authorization: Bearer TOKEN")


def headers_of(context: ServicerContext) -> dict[bytes, bytes]:
    """The metadata of a call by name, as HTTP has its headers."""
    return {
        key.encode(): value if isinstance(value, bytes) else value.encode()
        for key, value in context.invocation_metadata() or ()
    }
