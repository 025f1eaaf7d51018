"""Compiled code where its cache can be written, and where it cannot."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from edgewise.selection.compiled import njit


def doubled(x: float) -> float:
    return x + x


def test_without_a_place_for_the_cache_it_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = numba.njit, []

    def no_locator(*functions: Any, **options: Any) -> Any:
        if options.get("cache") and not functions:
            refused.append(options)
            raise RuntimeError("cannot cache function 'doubled': no locator available")
        return real(*functions, **options)

    monkeypatch.setattr(numba, "njit", no_locator)
    compiled = njit(inline="never")(doubled)
    assert compiled(2.0) == 4.0
    assert refused == [{"cache": True, "inline": "never"}]
