"""Compressed bodies: gzip and deflate, inflated to no more than the limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from edgewise.protocol.messages import BadRequest, ServingError
from edgewise.server.http.exchange import too_large

#: What zlib calls the format: gzip's header, zlib's header.
GZIP, DEFLATE = 31, 15
_FORMATS = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": DEFLATE}
#: Above this the work is done in a thread: zlib works without the interpreter's lock. A kilobyte
#: may inflate to a megabyte.
INLINE_BYTES, _INLINE_PLAIN_BYTES = 1024, 64 * 1024


class UnknownEncoding(ServingError):
    """The body's encoding is not one of those that are taken."""

    status, code = 415, "INVALID_ARGUMENT"


async def inflated(
    body: bytes | memoryview, headers: Mapping[bytes, bytes], limit_bytes: int
) -> bytes | memoryview:
    """A body without its `Content-Encoding`.

    Raises:
        UnknownEncoding: it is neither gzip nor deflate.
        BadRequest: the body is not what the encoding says.
        TooLarge: inflated it is above the limit.
    """
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in (b"", b"identity"):
        return body
    window = _FORMATS.get(encoding)
    if window is None:
        raise UnknownEncoding(
            f"the body is encoded as '{encoding.decode('latin-1'):.40}'", hint="gzip or deflate"
        )
    if len(body) <= INLINE_BYTES:
        return inflate(body, window, limit_bytes)
    return await asyncio.to_thread(inflate, body, window, limit_bytes)


def wanted(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The encoding that the caller wants for its answer.

    Only one that is asked for by itself counts: most clients offer to take every encoding, while
    the outputs of a network are small or hardly shrink, and the time would be the deadline's.
    """
    accepted = headers.get(b"accept-encoding", b"").strip().lower()
    return accepted if accepted in (b"gzip", b"deflate") else None


async def compressed(body: bytes, encoding: bytes) -> bytes:
    """A body in an encoding of `wanted`."""
    if len(body) <= _INLINE_PLAIN_BYTES:
        return _compress(body, _FORMATS[encoding])
    return await asyncio.to_thread(_compress, body, _FORMATS[encoding])


def inflate(body: bytes | memoryview, window: int, limit_bytes: int) -> bytes:
    """A body out of one of the two formats.

    Raises: BadRequest, TooLarge: as `inflated`.
    """
    inflater = zlib.decompressobj(window)
    try:
        content = inflater.decompress(body, limit_bytes)
        # At the limit exactly, the end of the stream may still be unread.
        if not inflater.eof and inflater.decompress(inflater.unconsumed_tail, 1):
            raise too_large(limit_bytes)
    except zlib.error as error:
        raise BadRequest(f"the body cannot be inflated: {error}") from error
    if not inflater.eof:
        raise BadRequest("the body cannot be inflated: it ends too soon")
    if inflater.unused_data:
        raise BadRequest("the body has bytes after its compressed data")
    return content


def _compress(body: bytes, window: int) -> bytes:
    compressor = zlib.compressobj(level=1, wbits=window)
    return compressor.compress(body) + compressor.flush()
