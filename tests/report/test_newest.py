"""What a newer version analysed again is in the report once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgewise.records import App, Model
from edgewise.report.parts import Ask
from edgewise.store import Store, rows


def test_the_newest_analysis_of_an_app_and_its_models_is_shown(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    found = Model(path="a.apk!/m.tflite", format="tflite", status="parsed", sha256="m", macs=1)
    app = App(path="a.apk", sha256="a", models=(found,), analysis_version=1)
    better = msgspec.structs.replace(found, macs=2)
    store.append([app, App(path="other.apk", sha256="b", analysis_version=1)])
    store.append([msgspec.structs.replace(app, models=(better,), analysis_version=2)])
    with Ask(store) as ask:
        versions = ask.numbers("select sha256, analysis_version from apps order by sha256").rows
        assert list(versions) == [("a", 2), ("b", 1)]
        assert list(ask.numbers("select macs from models").rows) == [(2,)]


def test_the_newest_analysis_of_a_file_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(str(tmp_path), create=True)
    old = Model(path="x/m.tflite", format="tflite", status="parsed", sha256="m", macs=1)
    store.append([old, msgspec.structs.replace(old, path="x/n.tflite", macs=3)])
    monkeypatch.setattr(rows, "ANALYSIS_VERSION", rows.ANALYSIS_VERSION + 1)
    store.append([msgspec.structs.replace(old, macs=2)])
    assert len(store.models()) == 3
    with Ask(store) as ask:
        shown = ask.numbers("select path, macs from models order by path").rows
    assert list(shown) == [("x/m.tflite", 2), ("x/n.tflite", 3)]
