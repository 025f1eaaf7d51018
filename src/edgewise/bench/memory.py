"""A worker's own memory, and which of a model's files are in the page cache (Linux).

The high-water mark is `VmHWM`, set back by writing 5 to `clear_refs` (proc(5)). Not `ru_maxrss`:
a child inherits its parent's.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the process held when the high-water mark was set back, in bytes."""

    resident: int
    anonymous: int


def start_over() -> Baseline | None:
    """Set the high-water mark back to what is resident now. None where the system cannot."""
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return None
    resident, anonymous = _bytes("status", "VmRSS"), _bytes("smaps_rollup", "Anonymous")
    return Baseline(resident, anonymous) if resident is not None and anonymous is not None else None


def above(baseline: Baseline | None) -> tuple[int | None, int | None]:
    """High-water mark, and anonymous memory now, above the baseline; None where unknown."""
    if baseline is None:
        return None, None
    peak, anonymous = _bytes("status", "VmHWM"), _bytes("smaps_rollup", "Anonymous")
    return (
        None if peak is None else max(0, peak - baseline.resident),
        None if anonymous is None else max(0, anonymous - baseline.anonymous),
    )


def cpu_wait_ns() -> int | None:
    """Time that the main thread was ready to run and had no CPU. None where unknown."""
    try:
        return int((_PROC / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _bytes(file: str, field: str) -> int | None:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", (_PROC / file).read_text(), re.M)
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None


def read_into_cache(path: Path) -> None:
    """Have all of a file in the page cache."""
    with path.open("rb", buffering=0) as stream:
        while stream.read(_CHUNK):
            pass


def evict_from_cache(path: Path) -> bool:
    """Ask the kernel to forget a file's pages; whether it did.

    It does not while another process maps the file, nor on file systems that live in memory.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return not _any_resident(path)


def _any_resident(path: Path) -> bool:
    """Whether any page of a file is in the page cache (mincore(2)).

    The kernel answers "all" about files that we could not write.
    """
    size = path.stat().st_size
    if not size:
        return False
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as view:
        start = ctypes.c_char.from_buffer(view)
        address = ctypes.c_void_p(ctypes.addressof(start))
        failed = ctypes.CDLL(None).mincore(address, ctypes.c_size_t(size), pages)
        del start  # a map cannot be closed while something points into it
    return bool(failed) or any(page & 1 for page in pages)
