"""`edgewise scan`: what it prints, keeps and exits with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import cast

import pytest

from edgewise.cli.main import run

DEMO = str(files("edgewise.demo") / "data" / "demo.apk")


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.apk"
    path.write_bytes(b"no package")
    return str(path)


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", DEMO]) == 0
    printed = capsys.readouterr().out
    for part in ("dev.edgewise.demo", "Digit Demo", "res/raw/intro.mp3", "entries examined",
                 "5 model candidates: 4 parsed, 1 rejected"):  # fmt: skip
        assert part in printed


def test_json_lines(capsys: pytest.CaptureFixture[str], broken: str) -> None:
    assert run(["scan", "--json", DEMO, broken, "nowhere.apk"]) == 1
    captured = capsys.readouterr()
    good, bad, missing = lines(captured.out)
    assert good["path"] == DEMO and good["error"] is None and good["kind"] == "apk"
    assert {"coverage", "evidence", "models", "notes", "sha256", "size_bytes"} <= good.keys()
    assert bad["path"] == broken and "not a zip archive" in str(bad["error"])
    assert "No such file" in str(missing["error"])
    assert len(captured.err.splitlines()) == 2


def test_a_broken_package_in_a_folder_is_a_finding(
    capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    assert run(["scan", "--json", str(Path(broken).parent)]) == 0
    (app,) = lines(capsys.readouterr().out)
    assert app["error"] is not None


def test_a_folder_inside_that_cannot_be_read_does_not_end_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "app.apk").write_bytes(Path(DEMO).read_bytes())
    look = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert run(["scan", "--json", str(tmp_path)]) == 0
    app, rest = lines(capsys.readouterr().out)
    assert app["coverage"] and app["error"] is None
    assert (rest["path"], rest["error"]) == (str(tmp_path), None)
    assert any("closed: Permission denied" in note for note in cast(list[str], rest["notes"]))
    run(["inspect", "--json", str(tmp_path)])
    assert any("Permission denied" in str(m["reason"]) for m in lines(capsys.readouterr().out))


def test_what_is_finished_is_kept_when_interrupted(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgewise.apps import corpus
    from edgewise.apps.corpus import Done
    from edgewise.apps.scan import Target, scan_package
    from edgewise.store import Store

    def interrupted(work: list[Target], **_: object) -> Iterator[Done]:
        yield Done(0, scan_package(DEMO), new=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "run", interrupted)
    store = str(tmp_path / "store")
    assert run(["scan", "--json", "--store", store, DEMO, broken, DEMO]) == 130
    assert len(lines(capsys.readouterr().out)) == 1
    _, rows = Store.open(store).query("select package, label from apps")
    assert list(rows) == [("dev.edgewise.demo", "Digit Demo")]


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import zipfile

    path = tmp_path / "x.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[red]\x1b[2J\u202e.tflite", b"none")
    assert run(["scan", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed and "\u202e" not in printed
    assert "[red]" in printed


def test_no_paths_is_wrong_usage() -> None:
    assert run(["scan"]) == 2


def test_a_snapshot_remembers_also_the_apps_that_are_passed_over(tmp_path: Path) -> None:
    from edgewise.records import Sighting
    from edgewise.store import Store

    store = str(tmp_path / "store")
    for name in ("2026-10", "2026-11"):
        assert run(["scan", DEMO, "--store", store, "--snapshot", name, "--quiet"]) == 0
    found = Store.open(store).read(Sighting)
    assert [(each.snapshot, each.package) for each in found] == [
        ("2026-10", "dev.edgewise.demo"), ("2026-11", "dev.edgewise.demo"),
    ]  # fmt: skip
    assert run(["scan", DEMO, "--snapshot", "nowhere"]) == 2
