"""Many apps: one bad app is a row, what a store has is passed over, and a killed run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest
from packages import ONNX, TFLITE, apk, written

from edgewise.apps.corpus import planned, run
from edgewise.apps.evidence import signatures
from edgewise.apps.scan import Target
from edgewise.apps.summaries import InFolder
from edgewise.apps.workers import one
from edgewise.records import App
from edgewise.store import Store

DATA = Path(str(files("edgewise"))) / "demo" / "data"


@pytest.fixture
def apps(tmp_path: Path) -> list[str]:
    content = [{"a.tflite": TFLITE}, {"b.onnx": ONNX}, {"assets/c.tflite": TFLITE, "t.txt": b"x"}]
    return [written(tmp_path / f"{i}.apk", apk(c)) for i, c in enumerate(content)]


def test_every_app_is_a_row_whatever_order_they_end_in(apps: list[str], tmp_path: Path) -> None:
    broken = written(tmp_path / "broken.apk", b"no zip")
    work = planned([*apps, broken, "nowhere.apk"])
    done = {each.number: each.app for each in run(work, jobs=2)}
    assert [done[i].path for i in range(5)] == [*apps, broken, "nowhere.apk"]
    assert [done[i].error is None for i in range(5)] == [True, True, True, False, False]
    assert [len(done[i].models) for i in range(3)] == [1, 1, 1]


def test_the_same_app_is_passed_over_until_it_or_the_signatures_change(
    apps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)

    def again() -> list[bool]:
        done = sorted(run(planned(apps), store=store, jobs=2), key=lambda each: each.number)
        for each in done:
            if each.new:
                store.append(each.app)
        assert all(each.app.models for each in done)
        return [each.new for each in done]

    assert again() == [True, True, True]
    assert again() == [False, False, False]
    written(Path(apps[1]), apk({"b.onnx": ONNX, "more.txt": b"more"}))
    assert again() == [False, True, False]
    monkeypatch.setattr(signatures, "version", lambda: "newer")
    assert again() == [True, True, True]
    assert len({app.path for app in store.apps()}) == 3


def test_weights_are_read_where_asked_and_an_app_stored_without_is_scanned_again(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    apps = [str(DATA / "demo.apk"), written(tmp_path / "other.apk", apk({"a.tflite": TFLITE}))]

    def scanned(weights: bool) -> dict[bool, list[App]]:
        done = list(run(planned(apps), store=store, jobs=2, weights=weights))
        store.append([each.app for each in done if each.new])
        return {new: [each.app for each in done if each.new is new] for new in (True, False)}

    plain = scanned(weights=False)[True]
    assert not any(model.tensors for app in plain for model in app.models)
    read = scanned(weights=True)[True]
    demo = next(app for app in read if app.path == apps[0])
    assert any(row.sketch for model in demo.models for row in model.tensors or ())
    assert apps[0] in {app.path for app in scanned(weights=True)[False]}


def test_models_of_an_older_look_at_the_code_are_not_read_again(
    apps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "summaries"
    folder.mkdir()
    first = one(Target(apps[0]))
    assert first is not None and first.models[0].layer_table
    InFolder(folder).fill(first.models)
    from edgewise.analysis import summary

    def never(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(summary, "summarise", never)
    second = one(Target(apps[2]), summaries=str(folder))
    assert second is not None and second.error is None
    assert second.models[0].layer_table == first.models[0].layer_table


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("import time; time.sleep(60)", "no result within 1.5 s (limit)"),
        ("bytearray(1 << 30)", "ran out of memory (limit 268 MB)"),
        ("raise ZeroDivisionError('x')", "a defect of edgewise: ZeroDivisionError: x"),
    ],
)
def test_a_worker_that_fails_is_a_row_and_the_others_go_on(
    apps: list[str], tmp_path: Path, body: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extractor of a plug-in misbehaves on one app."""
    from test_plugins_of_apps import install

    install(
        tmp_path,
        "extractors",
        "bad_extractor",
        f"""
NAME = "bad"
def wants(inside, head): return inside == "b.onnx"
def extract(file, inside, context, found):
    {body}
""",
    )
    source = f"""
import json, sys
from edgewise.apps.scan import Target
from edgewise.apps.workers import Bounds, scan_many
targets = [Target(path) for path in {apps!r}]
bounds = Bounds(1.5, 256 << 20)
if __name__ == "__main__":
    print(json.dumps({{n: app.error for n, app, _ in scan_many(targets, jobs=2, bounds=bounds)}}))
"""
    (tmp_path / "run_it.py").write_text(source)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    out = subprocess.run(
        [sys.executable, str(tmp_path / "run_it.py")], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    import json

    errors = json.loads(out)
    assert errors["0"] is None and errors["2"] is None
    assert error in errors["1"]


def test_a_run_killed_in_the_middle_goes_on_and_loses_or_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in range(40):
        written(folder / f"{i}.apk", apk({"a.tflite": TFLITE, "n.txt": str(i).encode()}))
    store = str(tmp_path / "store")
    command = [sys.executable, "-m", "edgewise", "scan", "--quiet", "--store", store, "--json",
               "--jobs", "2", str(folder)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 10
    while _workers_of(process.pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _workers_of(process.pid)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(again.stdout.splitlines()) == 40
    _, rows = Store.open(store).query("select count(*), count(distinct path) from apps")
    assert list(rows) == [(40, 40)]


def _workers_of(parent: int) -> list[str]:
    """Processes of a session that was killed."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(status.parent.name)
    return found
