"""Endpoints in packed bytes: a script, the data of a library."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgewise.apps.evidence.patterns import Index
from edgewise.apps.evidence.signatures import Signature

#: Bytes before a host that may be part of it, and of an address that are shown.
_BEFORE, _SHOWN = 96, 200
_ADDRESS = re.compile(rb"[\x21\x23-\x26\x28-\x3b\x3d\x3f-\x5b\x5d-\x5f\x61-\x7e]+")


def endpoints(data: memoryview | bytes, hosts: Index) -> Iterator[tuple[Signature, str]]:
    """The endpoints in some bytes, each address once."""
    seen: set[tuple[int, str]] = set()
    for pattern, start in hosts.patterns.find(data):
        rule = hosts.rules[pattern]
        if rule.accepts is None:
            continue
        address = address_at(data, start, rule.accepts)
        if address is not None and (pattern, address) not in seen:
            seen.add((pattern, address))
            yield rule.signature, address


def address_at(data: memoryview | bytes, start: int, accepts: re.Pattern[bytes]) -> str | None:
    """The address that the literal of a host at `start` is part of, if it is one."""
    before = max(0, start - _BEFORE)
    part = bytes(data[before : start + _SHOWN])
    for match in accepts.finditer(part):
        if match.start() <= start - before < match.end() and _bounded(part, match.start()):
            address = _ADDRESS.match(part, match.start())
            return address[0].decode() if address else None
    return None


def _bounded(part: bytes, start: int) -> bool:
    """Whether an address without a scheme begins its text."""
    return b"://" in part[start : start + 9] or start == 0 or part[start - 1] in b"\0\"' "
