"""Inflating entries: their heads, whole into memory, or to an anonymous temporary file.

libdeflate is the fastest where a whole entry of known size is wanted (2.3 times zlib on the
corpus), ISA-L where it is streamed (1.9 times); zlib starts as fast as either for a head.
"""

from __future__ import annotations

import hashlib
import zlib
from queue import Queue
from threading import Thread
from typing import IO

from edgewise.archive.region import Region
from edgewise.errors import MalformedArchive

_RAW = -15
#: Bytes put into and taken out of a stream at once.
_FED, _TAKEN = 1 << 18, 1 << 20
#: Pieces that hashing may be behind.
_BEHIND = 8


def inflate_head(compressed: memoryview, count: int) -> bytes:
    """The first `count` bytes of a deflate stream, or all where there are fewer.

    Raises:
        MalformedArchive: it is no deflate stream, or ends before its end.
    """
    stream = zlib.decompressobj(_RAW)
    head = b""
    step = max(1024, count)
    try:
        for start in range(0, len(compressed), step):
            pending = compressed[start : start + step]
            head += stream.decompress(pending, count - len(head))
            if len(head) == count or stream.eof:
                return head
    except zlib.error as error:
        raise MalformedArchive(f"cannot be inflated: {error}") from error
    raise MalformedArchive("cannot be inflated: the compressed data ends too early")


def inflate_whole(compressed: memoryview, size: int, crc: int) -> Region:
    """A deflate stream of exactly `size` bytes, into memory.

    Raises:
        MalformedArchive: it is no deflate stream, has another size or another checksum.
    """
    import deflate

    try:
        content = deflate.deflate_decompress(compressed, size)
    except deflate.DeflateError as error:
        raise MalformedArchive(f"cannot be inflated to its {size:,} bytes: damaged") from error
    if len(content) != size:
        raise MalformedArchive(f"inflates to {len(content):,} bytes, not the {size:,} it states")
    check(deflate.crc32(content), crc)
    return Region(memoryview(content).toreadonly())


def inflate_to_spool(compressed: Region, size: int, crc: int) -> Region:
    """The same for a large stream: into a temporary file without a name, mapped.

    The SHA-256 is taken on the way, so that nobody has to read the spool for it, and on another
    thread: it takes half as long as inflating.

    Raises:
        MalformedArchive: as `inflate_whole`.
    """
    import tempfile

    from isal import isal_zlib

    checksum = written = 0
    stream = isal_zlib.decompressobj(_RAW)
    with tempfile.TemporaryFile(prefix="edgewise-") as spool, _Hashing() as hashing:
        try:
            for chunk in compressed.chunks(_FED):
                pending: bytes | memoryview = chunk
                while len(pending) and not stream.eof:
                    piece = stream.decompress(pending, _TAKEN)
                    pending = stream.unconsumed_tail
                    written += len(piece)
                    _within(written, size)
                    hashing.update(piece)
                    checksum = isal_zlib.crc32(piece, checksum)
                    spool.write(piece)
        except isal_zlib.error as error:  # type: ignore[misc]  # the stub has an instance
            raise MalformedArchive(f"cannot be inflated: {error}") from error
        if written != size or not stream.eof:
            raise MalformedArchive(f"inflates to {written:,} bytes, not the {size:,} it states")
        check(checksum, crc)
        return _mapped(spool, hashing.hexdigest())


class _Hashing:
    """SHA-256 on another thread, at most a few pieces behind: memory stays bounded."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: Queue[bytes | None] = Queue(_BEHIND)
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Hashing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def update(self, piece: bytes) -> None:
        """Hash a piece, later."""
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """Of all pieces."""
        self._finish()
        return self._digest.hexdigest()

    def _finish(self) -> None:
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)


def check(found: int, stated: int) -> None:
    """Compare checksums. Raises `MalformedArchive` where they differ."""
    if found != stated:
        raise MalformedArchive(
            f"damaged: its checksum is {found:08x}, the archive states {stated:08x}"
        )


def _within(written: int, size: int) -> None:
    if written > size:
        raise MalformedArchive(f"inflates to more than the {size:,} bytes it states")


def _mapped(spool: IO[bytes], digest: str) -> Region:
    spool.flush()
    return Region.of_file(spool, digest)  # type: ignore[arg-type]
