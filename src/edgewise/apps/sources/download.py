"""Files over HTTP: resumed, tried again, checked, and never half under their final name."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from edgewise.errors import InputError, LimitExceeded

_STEP = 1 << 18
_SILENCE_S = 60
#: Answers after which trying again makes sense.
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_WAIT_S = 120.0
PART = ".part"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fetch. `bytes_per_s` and `pause_s` (before each file) keep a server from harm."""

    retries: int = 4
    bytes_per_s: float | None = None
    pause_s: float = 0.0
    most_bytes: int = 8 << 30
    wait: Callable[[float], None] = time.sleep


def download(
    url: str, to: Path, settings: Settings, *, sha256: str | None = None, size: int | None = None,
    shown: str | None = None,
) -> str:  # fmt: skip
    """Fetch a URL into a file; its SHA-256. What an earlier try left in `NAME.part` is continued.

    `shown` is what messages call it, for URLs that hold a key.

    Raises:
        InputError: it cannot be fetched, or is not what it should be.
        LimitExceeded: it is larger than `settings.most_bytes`.
    """
    part = to.with_name(to.name + PART)
    name = shown or url
    if settings.pause_s:
        settings.wait(settings.pause_s)
    for attempt in range(settings.retries + 1):
        try:
            _continue(url, part, settings, name, size)
            break
        except _TryAgain as again:
            if attempt == settings.retries:
                raise InputError(f"{name}: {again.reason}", hint="try again later") from again
            wait = again.after if again.after is not None else float(2**attempt)
            settings.wait(min(wait, _LONGEST_WAIT_S))
    digest = file_sha256(part)
    if sha256 is not None and digest != sha256.lower():
        part.unlink()
        raise InputError(f"{name}: its SHA-256 is {digest}, not {sha256.lower()} as stated")
    _settle(part, to)
    return digest


class _TryAgain(Exception):
    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after = reason, after


def _continue(url: str, part: Path, settings: Settings, name: str, size: int | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    if size is not None and have > size:
        part.unlink()
        have = 0
    headers = {"User-Agent": "edgewise"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with _opened(url, headers, part, name) as answer:
            if have and answer.status != 206:
                have = 0  # the whole file comes again
            _copy(answer, part, have, settings, name)
    except (OSError, HTTPException) as error:
        raise _TryAgain(f"the connection broke: {error}") from error
    found = part.stat().st_size
    if size is not None and found != size:
        if found > size:
            part.unlink()
        raise _TryAgain(f"{found:,} bytes came, not the {size:,} stated")


def _opened(url: str, headers: dict[str, str], part: Path, name: str) -> HTTPResponse:
    try:
        request = Request(url, headers=headers)
        return cast(HTTPResponse, urlopen(request, timeout=_SILENCE_S))
    except HTTPError as error:
        error.close()
        if error.code == 416 and part.exists():
            part.unlink()  # what is there is no beginning of it
            raise _TryAgain("what was fetched before does not fit") from error
        if error.code in _PASSING:
            raise _TryAgain(f"HTTP status {error.code}", _seconds(error)) from error
        raise InputError(f"{name}: HTTP status {error.code}") from error
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _seconds(error: HTTPError) -> float | None:
    stated = error.headers.get("Retry-After") if error.headers else None
    return float(stated) if stated and stated.isdecimal() else None


def _copy(answer: HTTPResponse, part: Path, have: int, settings: Settings, name: str) -> None:
    expected = answer.length
    began, came = time.monotonic(), 0
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        file.truncate()
        while chunk := answer.read(_STEP):
            came += len(chunk)
            if have + came > settings.most_bytes:
                raise LimitExceeded(f"{name}: larger than {settings.most_bytes:,} bytes")
            file.write(chunk)
            if settings.bytes_per_s:
                ahead = came / settings.bytes_per_s - (time.monotonic() - began)
                if ahead > 0:
                    settings.wait(ahead)
    if expected is not None and came < expected:
        raise _TryAgain(f"the connection ended after {came:,} of {expected:,} bytes")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _settle(part: Path, to: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(to)


def settle_bytes(data: bytes, to: Path) -> None:
    """Write a small file, whole or not at all."""
    part = to.with_name(to.name + PART)
    part.write_bytes(data)
    _settle(part, to)
