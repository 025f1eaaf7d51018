"""Appends gathered into fewer parts: nothing that was finished is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.records import App
from edgewise.store import Gathering, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


def parts(tmp_path: Path) -> int:
    return len(list((tmp_path / "store" / "apps").glob("*.parquet")))


def apps(count: int) -> list[App]:
    return [App(path=f"{number}.apk") for number in range(count)]


def test_many_records_are_few_parts(store: Store, tmp_path: Path) -> None:
    with Gathering(store, records=4, seconds=1e9) as gathering:
        for app in apps(10):
            gathering.append(app)
        assert parts(tmp_path) == 2
    assert parts(tmp_path) == 3
    assert [app.path for app in store.apps()] == [app.path for app in apps(10)]


def test_one_that_took_long_is_written_at_once(store: Store, tmp_path: Path) -> None:
    with Gathering(store, seconds=0) as gathering:
        gathering.append(apps(1)[0])
        assert parts(tmp_path) == 1


def test_an_interrupt_keeps_what_waits(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), Gathering(store) as gathering:
        gathering.append(apps(1)[0])
        raise KeyboardInterrupt
    assert len(store.apps()) == 1
