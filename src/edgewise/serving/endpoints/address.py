"""Where an endpoint is: `grpc://host:port/model`, `http(s)://host:port/prefix/model`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from edgewise.errors import InputError

#: Requests that are sent to one endpoint at once, where its URL does not say `?slots=N`.
SLOTS = 4
_MOST_SLOTS = 256
_PORTS = {"grpc": 8001, "grpcs": 443, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's URL, taken apart. `base` is the server's own URL without a final slash, for
    gRPC its host and port.
    """

    url: str
    scheme: str
    base: str
    model: str
    slots: int = SLOTS

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
    return Address(url, parts.scheme, base, unquote(model), _slots(url, parts.query))


def _slots(url: str, query: str) -> int:
    try:
        given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise InputError(f"the endpoint '{url}': its query is malformed") from error
    if unknown := given.keys() - {"slots"}:
        raise InputError(f"the endpoint '{url}': unknown setting '{min(unknown)}'")
    (text,) = given.get("slots", [str(SLOTS)])[-1:]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_SLOTS):
        raise InputError(f"the endpoint '{url}': slots is '{text}'", hint=f"1 to {_MOST_SLOTS}")
    return int(text)
