"""The C library's allocator, for a process in which bodies come and go."""

from __future__ import annotations

import ctypes

#: Of glibc's malloc.h: what a free end of the heap may hold, and from where memory is mapped.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _MAPPED_BYTES = 256 * 1024**2, 32 * 1024**2


def keep_freed_memory() -> bool:
    """Have this process keep the memory of freed bodies, up to 256 MB, for the next ones.

    By default glibc gives every body of some 100 kB back to the kernel, and takes it again page by
    page: for 600 kB that is most of what a request takes. Whether it is done: only glibc has it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mapped = mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    return bool(kept and mapped)
