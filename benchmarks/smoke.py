"""`--smoke` of every benchmark: the same code on seconds' worth of work, so that none can rot.

Its figures mean nothing. `make smoke` runs all of them.
"""

from __future__ import annotations

import sys
from typing import TypeVar

T = TypeVar("T")

SMOKE = "--smoke" in sys.argv


def shortened(*arguments: str) -> None:
    """With `--smoke`: go on as if these arguments had been given."""
    if SMOKE:
        sys.argv[1:] = arguments


def fewer(many: T, few: T) -> T:
    """`few` with `--smoke`."""
    return few if SMOKE else many
