"""What verbs say of themselves in a store while they write to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli import output
from edgewise.errors import StoreError
from edgewise.records import App
from edgewise.store import Reporter, Store, running
from edgewise.store.places import Folder
from edgewise.store.running import Running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


def test_a_verb_says_how_far_it_is_and_leaves_nothing_behind(store: Store) -> None:
    with Reporter(store, "scan", 3) as first, Reporter(store, "bench", None) as second:
        first.advance("a.apk")
        second.advance("m.tflite", steps=2, total=9)
        scan, bench = running(store)
        assert (scan.verb, scan.done, scan.total, scan.at) == ("scan", 1, 3, "a.apk")
        assert (bench.verb, bench.done, bench.total, bench.at) == ("bench", 2, 9, "m.tflite")
        assert store.apps() == [], "it is no part of what the store holds"
    assert running(store) == []
    assert list((Path(store.url) / "running").iterdir()) == []


def test_many_steps_are_few_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = Folder.write

    def counted(self: Folder, name: str, content: memoryview) -> None:
        written.append(name)
        write(self, name, content)

    monkeypatch.setattr(Folder, "write", counted)
    with Reporter(store, "scan", 5000) as reporter:
        for _ in range(2000):
            reporter.advance()
    assert 8 <= len(written) < 200


def test_one_that_was_killed_is_not_at_work(store: Store) -> None:
    folder = Path(store.url) / "running"
    with Reporter(store, "scan", None):
        (file,) = folder.iterdir()
        state = json.loads(file.read_text())
    file.write_text(json.dumps(state | {"pid": 2**22 + 1}))
    (folder / "far.json").write_text(json.dumps(state | {"host": "far", "updated": 5.0}))
    (folder / "near.json").write_text(json.dumps(state | {"host": "far"}))
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text('{"verb": 1}')
    assert [each.host for each in running(store)] == ["far"]


def test_a_store_that_cannot_be_written_stops_no_verb(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(Folder, "write", full)
    with Reporter(store, "scan", None) as reporter:
        reporter.advance("a.apk")
    assert running(store) == []


def test_the_commands_progress_is_seen_in_the_store(store: Store) -> None:
    with output.progress("inspect", 2, quiet=True, store=store.url) as advance:
        advance("m.tflite")
        assert [(each.verb, each.done) for each in running(store)] == [("inspect", 1)]
        store.append(App(path="a.apk"))
    assert running(store) == []
    assert len(Store.open(store.url).apps()) == 1


def test_from_another_machine_a_process_is_believed_for_a_while() -> None:
    here = Running(
        verb="scan", done=0, total=None, at=None, started=0.0, updated=0.0, host="far", pid=1
    )  # fmt: skip
    assert not here.is_alive()
