"""`edgewise load`: whoever looks at the store sees how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgewise.cli import load
from edgewise.store import Store, running


def test_a_store_shows_a_load_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(str(tmp_path), create=True)

    def carry_out(prepared: Any, advance: Callable[[int], None]) -> list[tuple[str, int, int]]:
        advance(3)
        while not (seen := [(r.verb, r.done, r.total) for r in running(store) if r.done]):
            time.sleep(0.001)
        return cast("list[tuple[str, int, int]]", seen)

    ready = SimpleNamespace(schedule=[0] * 9)
    monkeypatch.setattr("edgewise.load.run.prepare", lambda settings: ready)
    monkeypatch.setattr("edgewise.load.run.carry_out", carry_out)
    seen: Any = load._run(cast("Any", None), quiet=True, store=store.url)
    assert seen == [("load", 3, 9)]
    assert running(store) == []
