"""numba's `njit`, with a cache wherever one can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def njit(**options: Any) -> Callable[[F], F]:
    """Compile at the first call. The compiled code is kept beside the source, or else in the
    user's cache folder; where neither can be written (another user's installation on a read-only
    disk, and no home) it is compiled anew in every process, some seconds, instead of failing."""

    def compile_it(function: F) -> F:
        try:
            kept: F = numba.njit(cache=True, **options)(function)
            return kept
        except RuntimeError:  # numba: "no locator available"
            anew: F = numba.njit(**options)(function)
            return anew

    return compile_it
