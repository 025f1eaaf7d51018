"""Compiled code where its cache can be written, and where it cannot."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from edgewise.selection.compiled import njit


def doubled(x: float) -> float:
    return x + x


def test_without_a_place_for_the_cache_it_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = numba.njit, []

    def no_locator(**options: Any) -> Any:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'doubled': no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", no_locator)
    compiled = njit(inline="never")(doubled)
    assert compiled(2.0) == 4.0
    assert asked == [{"cache": True, "inline": "never"}, {"inline": "never"}]
