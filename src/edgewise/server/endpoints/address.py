"""Where an endpoint is: `grpc://host:port/model`, `http(s)://host:port/prefix/model`.

Settings follow as a query: `?slots=8&token_env=GPU_TOKEN`. A token itself is no part of a URL, as
URLs stand in family files, logs and errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from edgewise.errors import InputError

#: Requests that are sent to one endpoint at once, where its URL does not say `?slots=N`.
SLOTS = 4
_MOST_SLOTS = 256
_PORTS = {"grpc": 8001, "grpcs": 443, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's URL, taken apart. `base` is the server's own URL without a final slash, for
    gRPC its host and port. `token` is what it is shown as `Authorization: Bearer`.
    """

    url: str
    scheme: str
    base: str
    model: str
    slots: int = SLOTS
    token: str | None = field(default=None, repr=False)

    @property
    def is_grpc(self) -> bool:
        """Whether it speaks gRPC, else HTTP."""
        return self.scheme in ("grpc", "grpcs")

    @property
    def is_secure(self) -> bool:
        """Whether it is reached through TLS."""
        return self.scheme in ("grpcs", "https")


def parse(url: str) -> Address:
    """The parts of an endpoint's URL.

    Raises:
        InputError: it is none: which part.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"the endpoint '{url}': {error}") from error
    if parts.scheme not in _PORTS:
        raise InputError(
            f"the endpoint '{url}' has the scheme '{parts.scheme}'",
            hint=f"there are: {', '.join(_PORTS)}",
        )
    prefix, _, model = parts.path.strip("/").rpartition("/")
    if not host or not model:
        raise InputError(f"the endpoint '{url}' names no host or no model", hint="grpc://h:p/model")
    if parts.username is not None or parts.fragment:
        raise InputError(
            f"the endpoint '{parts.scheme}://{host}' carries credentials or a fragment"
        )
    bracketed = f"[{host}]" if ":" in host else host
    where = f"{bracketed}:{port or _PORTS[parts.scheme]}"
    if parts.scheme.startswith("grpc"):
        if prefix:
            raise InputError(f"the endpoint '{url}' has a path before its model")
        base = where
    else:
        base = f"{parts.scheme}://{where}{f'/{prefix}' if prefix else ''}"
    given = _settings(url, parts.query)
    slots, token = _slots(url, given), _token(url, given)
    return Address(url, parts.scheme, base, unquote(model), slots, token)


def _settings(url: str, query: str) -> dict[str, str]:
    try:
        given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise InputError(f"the endpoint '{url}': its query is malformed") from error
    if unknown := given.keys() - {"slots", "token_env"}:
        raise InputError(
            f"the endpoint '{url}': unknown setting '{min(unknown)}'",
            hint="there are: slots, token_env",
        )
    return {name: values[-1] for name, values in given.items()}


def _token(url: str, given: dict[str, str]) -> str | None:
    """From the environment variable that the URL names."""
    name = given.get("token_env")
    if name is None:
        return None
    token = os.environ.get(name)
    if not token:
        raise InputError(
            f"the endpoint '{url}': the environment has no '{name}'", hint="set it to the token"
        )
    if not (token.isascii() and token.isprintable()):
        raise InputError(f"the endpoint '{url}': the token in '{name}' is no word of ASCII")
    return token


def _slots(url: str, given: dict[str, str]) -> int:
    text = given.get("slots", str(SLOTS))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_SLOTS):
        raise InputError(f"the endpoint '{url}': slots is '{text}'", hint=f"1 to {_MOST_SLOTS}")
    return int(text)
