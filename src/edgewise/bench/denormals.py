"""Whether a call computes with denormal numbers: the processor keeps a flag of it (x86)."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

#: The layout of `fenv_t` on x86-64: 28 bytes of the x87 unit, then MXCSR.
_WORDS, _MXCSR = 8, 7
#: MXCSR's flags of what happened since they were cleared, among them that a denormal was met.
_FLAGS, _DENORMAL = 0x3F, 0x02


@cache
def _libm() -> Any:
    """The C library's floating-point environment, None where it is not x86-64's under Linux."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return None
    name = ctypes.util.find_library("m")
    library = ctypes.CDLL(name) if name else None
    return library if library is not None and hasattr(library, "fesetenv") else None


def met(call: Callable[[], object]) -> bool | None:
    """Whether this thread met a denormal operand during a call; None where nothing tells.

    What other threads compute is not seen, nor how often it happened.
    """
    library = _libm()
    if library is None:
        return None
    before = (ctypes.c_uint32 * _WORDS)()
    if library.fegetenv(before):
        return None
    cleared = (ctypes.c_uint32 * _WORDS)(*before)
    cleared[_MXCSR] &= ~_FLAGS
    library.fesetenv(cleared)
    call()
    after = (ctypes.c_uint32 * _WORDS)()
    library.fegetenv(after)
    library.fesetenv(before)
    return bool(after[_MXCSR] & _DENORMAL)
