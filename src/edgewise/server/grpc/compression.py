"""Compressed messages, inflated to no more than the limit.

gRPC itself inflates a message whole before it looks at its size: a few MB that inflate to
gigabytes end the process, and with it everybody's calls. It is told to leave messages as they come
(`SETTING`); they are known by their first bytes, with which no message of this protocol begins.
"""

from __future__ import annotations

import asyncio

from edgewise.server.http.compression import DEFLATE, GZIP, INLINE_BYTES, inflate

SETTING = ("grpc.per_message_decompression", 0)
#: As a message, a field 3 of a type that there is none of.
_GZIP = b"\x1f\x8b"
#: As a message, a number in field 15, which no request has. A zlib header is a multiple of 31.
_ZLIB, _CHECK = 0x78, 31


async def inflated(content: bytes, limit_bytes: int) -> bytes:
    """A message as its caller made it.

    Raises:
        BadRequest: it is cut off or damaged.
        TooLarge: inflated it is above the limit.
    """
    if content[:2] == _GZIP:
        window = GZIP
    elif content[:1] and content[0] == _ZLIB and int.from_bytes(content[:2]) % _CHECK == 0:
        window = DEFLATE
    else:
        return content
    if len(content) <= INLINE_BYTES:
        return inflate(content, window, limit_bytes)
    return await asyncio.to_thread(inflate, content, window, limit_bytes)
