"""A browser as a device: headless Chromium opens the page; what needs no browser without one."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewise.cli.main import run
from edgewise.devices.browser import certificate, fixing, packages
from edgewise.devices.browser.device import Browser, qr_code
from edgewise.devices.browser.server import Desk, Server
from edgewise.devices.contract import Options
from edgewise.devices.job import Job
from edgewise.errors import DeviceError, DeviceGone, RuntimeRefused, UsageError
from edgewise.records import Target
from edgewise.sandbox import Limits

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/a.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret").write_text("no")
    made = Desk(tmp_path / "pkg")
    yield made
    made.close()


@pytest.fixture
def server(desk: Desk) -> Iterator[str]:
    listening = Server(desk, ("127.0.0.1", 0), None)
    yield f"http://127.0.0.1:{listening.port}"
    desk.close()
    listening.close()


def get(url: str, data: bytes | None = None) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, data), timeout=5)


def test_only_who_has_the_link_gets_anything(server: str, desk: Desk) -> None:
    desk.models["m.tflite"] = b"model"
    page = f"{server}/{desk.token}/"
    with get(page) as answer:
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["Content-Type"].startswith("text/html")
    with get(f"{page}pkg/a.wasm") as answer:
        assert answer.headers["Content-Type"] == "application/wasm"
    with get(f"{page}models/m.tflite") as answer:
        assert answer.read() == b"model"
    for wrong in ("/", "/wrong/", "/wrong/models/m.tflite", f"/{desk.token}x/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(server + wrong)
    for outside in ("pkg/../secret", "../secret", "pkg/%2e%2e/secret", "models/none", "pkg"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(page + outside)
    with get(f"{page}echo?bytes=5", b"123") as answer:
        assert answer.read() == bytes(5)


def test_a_page_that_is_not_heard_of_is_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.heard()
    with pytest.raises(DeviceError, match=r"no end of the run within 0\.1 s"):
        desk.ask({"id": "1"}, 0.1)
    monkeypatch.setattr("edgewise.devices.browser.server._SILENT_S", 0.0)
    with pytest.raises(DeviceGone, match="was closed, or the phone's screen went off"):
        desk.ask({"id": "2"}, 5)
    desk.told("lost", "", {"reason": "TypeError"})
    with pytest.raises(DeviceGone, match="the page failed: TypeError"):
        desk.ask({"id": "3"}, 5)


def test_https_with_a_certificate_made_on_the_spot(desk: Desk) -> None:
    pytest.importorskip("cryptography")
    tls, fingerprint = certificate.context(["127.0.0.1"])
    listening = Server(desk, ("127.0.0.1", 0), tls)
    try:
        shown = ssl.get_server_certificate(("127.0.0.1", listening.port))
        der = ssl.PEM_cert_to_DER_cert(shown)
        import hashlib

        assert hashlib.sha256(der).hexdigest().upper() == fingerprint.replace(":", "")
        trusting = ssl.create_default_context(cadata=shown)
        url = f"https://127.0.0.1:{listening.port}/{desk.token}/"
        with urllib.request.urlopen(url, context=trusting, timeout=5) as answer:
            assert b"Measuring in this browser" in answer.read()
    finally:
        listening.close()


def test_free_dimensions_are_fixed_in_a_copy(digits: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter

    data = (digits / "digits-s.tflite").read_bytes()
    before = Interpreter(model_content=data).get_input_details()[0]
    made, changed = fixing.fixed(data)
    after = Interpreter(model_content=made).get_input_details()[0]
    assert changed and -1 in before["shape_signature"] and -1 not in after["shape_signature"]
    assert list(after["shape"]) == list(before["shape"])
    assert fixing.fixed(made) == (made, False)
    for broken in (b"", data[:40], b"\xff" * 64, data[:8] + b"\xff\xff\xff\x7f" * 20):
        with pytest.raises(RuntimeRefused, match="not a whole TFLite file"):
            fixing.fixed(broken)


def test_packages_from_a_folder_and_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DeviceError, match="devices prepare browser"):
        packages.folder(None)
    modules = tmp_path / "node_modules"
    for name, package in packages.PACKAGES.items():
        for file in (*package.files, "package.json"):
            (modules / name / file).parent.mkdir(parents=True, exist_ok=True)
            (modules / name / file).write_text(f'{{"version": "{package.version}"}}')
    assert run(["devices", "prepare", "browser", "--packages", str(modules)]) == 0
    assert "onnxruntime-web 1.30.0: 4 files" in capsys.readouterr().out
    assert packages.version(packages.folder(None), "litert.js") == "2.5.3"
    fake = tmp_path / "registry/@litertjs/core/-"
    fake.mkdir(parents=True)
    (fake / "core-2.5.3.tgz").write_bytes(b"something else")
    assert run(["devices", "prepare", "browser", "--url", (tmp_path / "registry").as_uri()]) == 1
    assert "its hash is not that of @litertjs/core 2.5.3" in capsys.readouterr().err


def test_what_a_browser_cannot_do_is_refused(tmp_path: Path) -> None:
    browser = Browser("browser", Options())
    known: dict[str, Any] = {
        "path": "m", "files": (), "purpose": "timed", "evicted": False, "shapes": {},
        "input_path": None, "seed": 0, "runs": 1, "min_time_s": 0, "max_time_s": 1,
        "warmup_runs": None,
    }  # fmt: skip
    target = Target(device="browser", runtime="litert.js", delegate="wasm", batch=2)
    with pytest.raises(RuntimeRefused, match="does not resize"):
        browser.measure(Job(target=target, **known), Limits(1))
    with pytest.raises(UsageError, match="does not pin"):
        run_kind = __import__("edgewise.devices.browser.device", fromlist=["x"])
        run_kind.check_affinity("browser", (0,))


def test_a_qr_code_or_how_to_get_one() -> None:
    assert len(qr_code("https://192.0.2.1:1/x/").splitlines()) > 10 or "extra" in qr_code("x")


@pytest.fixture
def node_modules() -> Path:
    for place in (packages.cached(),):
        if (place / "@litertjs/core/dist/index.js").is_file():
            return place
    pytest.skip("no packages of npm: edgewise devices prepare browser")


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Headless Chromium opens what people are told to open; all that they are told."""
    if CHROMIUM is None:
        pytest.skip("no Chromium (Debian package chromium)")
    said: list[str] = []
    started: list[subprocess.Popen[bytes]] = []

    def tell(self: Browser, text: str) -> None:
        said.append(text)
        if found := re.search(r"(?:on this machine|open itself): (\S+)", text):
            words = [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
                f"--user-data-dir={tmp_path}/profile", "--remote-debugging-port=0", found[1],
            ]  # fmt: skip
            quiet = subprocess.DEVNULL
            started.append(subprocess.Popen(words, stdout=quiet, stderr=quiet))

    monkeypatch.setattr(Browser, "_tell", tell)
    yield said
    for process in started:
        process.kill()
        process.wait()


SHORT = ("--processes", "1", "--load-processes", "0", "--runs", "5", "--min-time", "0")


def test_chromium_measures_both_formats(
    node_modules: Path, digits: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(digits / f"digits-s.{end}") for end in ("tflite", "onnx")]
    given = ("--packages", str(node_modules), "--threads", "2", "--json", "--quiet")
    assert run(["bench", *models, "--device", "browser", *SHORT, *given]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["target"]["runtime"] for row in rows} == {"litert.js", "onnxruntime-web"}
    for row in rows:
        assert row["status"] == "ok" and row["latency_ms"]["n"] >= 5
        assert row["target"]["threads"] == 2 and row["load_ms"]["p50"] > 0
        assert any("secure: yes, isolated: yes" in note for note in row["notes"])
    assert any("fingerprint" in each or "plain http" in each for each in opened)


@pytest.mark.corpus
def test_a_phones_browser_by_cable(
    node_modules: Path, plug: Any, digits: Path, opened: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    phone = plug("pixel-tensor-15")
    given = ("--packages", str(node_modules), "--json", "--quiet")
    device = f"browser:{phone.serial}"
    assert run(["bench", str(digits / "digits-s.onnx"), "--device", device, *SHORT, *given]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["target"]["device"] == device and row["status"] == "ok"
    assert any("by cable (adb reverse), secure: yes, isolated: yes" in n for n in row["notes"])
    assert any("am start" in line for line in phone.log)
