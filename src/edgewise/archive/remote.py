"""URLs: fetched into a temporary file without a name, as far as the limits allow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from edgewise.archive.held import Held
from edgewise.archive.limits import Limits
from edgewise.archive.region import Region
from edgewise.errors import InputError, LimitExceeded, MissingExtra

_STEP = 1 << 20
_SILENCE_S = 60
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(path: str) -> bool:
    """Whether a path as users write it is a URL (`https://…`, `s3://…`)."""
    return _URL.match(path) is not None


class RemoteFile(Held):
    """A file fetched from a URL. It stands alone: nothing is known of what is beside it."""

    __slots__ = ()

    def __init__(self, url: str, limits: Limits) -> None:
        """Fetch it.

        Raises:
            InputError: it cannot be fetched, or a package for this kind of URL is not installed.
            LimitExceeded: it is larger than `limits.download_bytes`.
        """
        name = urlsplit(url).path.rpartition("/")[2]
        super().__init__(url, name, _fetch(url, limits.download_bytes))


def _fetch(url: str, limit: int) -> Region:
    import tempfile

    digest = hashlib.sha256()
    fetched = 0
    with _opened(url) as stream, tempfile.TemporaryFile(prefix="edgewise-") as spool:
        for chunk in _chunks(url, stream):
            fetched += len(chunk)
            if fetched > limit:
                raise LimitExceeded(f"{url}: larger than {limit:,} bytes (limit download_bytes)")
            digest.update(chunk)
            spool.write(chunk)
        spool.flush()
        return Region.of_file(cast(BinaryIO, spool), digest.hexdigest())


def _chunks(url: str, stream: BinaryIO) -> Iterator[bytes]:
    from http.client import HTTPException

    try:
        while chunk := stream.read(_STEP):
            yield chunk
    except (OSError, HTTPException) as error:
        raise InputError(f"{url}: the connection broke: {error}", hint="try again") from error


def _opened(url: str) -> BinaryIO:
    if url.lower().startswith(("http://", "https://")):
        return _opened_web(url)
    return _opened_elsewhere(url)


def _opened_web(url: str) -> BinaryIO:
    # The standard library rather than fsspec, whose HTTP part needs two packages more.
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    request = Request(url, headers={"User-Agent": "edgewise"})
    try:
        return cast(BinaryIO, urlopen(request, timeout=_SILENCE_S))
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(f"{url}: cannot be fetched: {error}") from error


def storage() -> Any:
    """The library for URLs that are not of the web.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise MissingExtra("store", "a URL that is not http or https") from error
    return fsspec


def _opened_elsewhere(url: str) -> BinaryIO:
    fsspec = storage()
    try:
        return cast(BinaryIO, fsspec.open(url, "rb").open())
    except ImportError as error:
        raise InputError(
            f"{url}: {error}", hint="install the package that fsspec needs for this kind of URL"
        ) from error
    except Exception as error:
        raise InputError(f"{url}: cannot be opened: {error}") from error
