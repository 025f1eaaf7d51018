"""`ui`: the page follows the store; other machines and other names are kept out."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import chromium
from edgewise.cli.main import run
from edgewise.errors import InputError, UsageError
from edgewise.records import App, Model
from edgewise.report import live, model_files
from edgewise.store import Reporter, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(str(tmp_path / "store"), create=True)
    opened.append(App(path="a.apk", package="first.app"))
    return opened


@contextmanager
def served(store: Store, host: str = "127.0.0.1", token: str | None = None) -> Iterator[int]:
    with live.Server(store, host, 0, token) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def get(
    port: int, path: str, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_the_page_follows_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    page_of = live.page_of

    def counted(of: Store, **more: Any) -> str:
        made.append(of)
        return page_of(of, **more)

    monkeypatch.setattr(live, "page_of", counted)
    with served(store) as port:
        _, before = get(port, "/revision")
        answer, page = get(port, "/page")
        assert answer.status == 200
        assert "first.app" in page
        assert "second.app" not in page
        assert get(port, "/page")[1] == page
        assert len(made) == 1, "made once, as nothing changed"
        store.append(App(path="b.apk", package="second.app", models=(
            Model(path="b.apk!/m.tflite", format="tflite", macs=5),
        )))  # fmt: skip
        assert get(port, "/revision")[1] != before
        assert "second.app" in get(port, "/page")[1]
        assert len(made) == 2


def test_the_frame_may_only_ask_its_own_server(store: Store) -> None:
    with served(store) as port:
        answer, frame = get(port, "/")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert 'src="page"' in frame
        assert "SCRIPT" not in frame
        assert f'data-revision="{get(port, "/revision")[1]}"' in frame
        assert answer.headers["Cache-Control"] == "no-store"
        assert get(port, "/../../etc/passwd")[0].status == 404


def test_a_strange_name_for_this_machine_is_refused(store: Store) -> None:
    with served(store) as port:
        for name, status in (
            ("evil.example", 421), ("evil.example:80", 421), ("localhost:1", 200),
            ("127.0.0.1", 200), ("[::1]:8090", 200), ("", 421),
        ):  # fmt: skip
            assert get(port, "/revision", {"Host": name})[0].status == status, name


def test_with_a_token_nothing_is_shown_without_it(store: Store) -> None:
    with served(store, token="s3/c=r t") as port:
        for path in ("/", "/page", "/revision", "/?token=wrong", "/page?token="):
            answer, text = get(port, path)
            assert answer.status == 401
            assert "first.app" not in text
        opened, _ = get(port, "/?token=s3%2Fc%3Dr%20t")
        assert (opened.status, opened.headers["Location"]) == (303, "/")
        cookie = opened.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert get(port, "/page", {"Cookie": cookie.partition(";")[0]})[0].status == 200
        assert get(port, "/page", {"Authorization": "Bearer s3/c=r t"})[0].status == 200
        assert get(port, "/page", {"Cookie": "edgewise_token=é"})[0].status == 401


def state(port: int) -> dict[str, Any]:
    told = json.loads(get(port, "/state")[1])
    assert isinstance(told, dict)
    return told


def test_it_says_who_writes_to_the_store_and_how_far_they_are(store: Store) -> None:
    with served(store) as port:
        assert state(port)["running"] == []
        with Reporter(store, "scan", 40) as reporter:
            reporter.advance("market/a.apk", 3)
            (verb,) = state(port)["running"]
            assert (verb["verb"], verb["done"], verb["total"]) == ("scan", 3, 40)
            assert verb["at"] == "market/a.apk"
            assert verb["seconds"] >= verb["ago"] >= 0
        assert state(port)["running"] == []


def test_a_page_that_takes_long_is_not_made_all_the_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "page_of", lambda *_, **__: "a page")
    monkeypatch.setattr(live, "_MAKING_SHARE", 1e-9)
    with served(store) as port:
        assert state(port)["due"], "there is none yet"
        get(port, "/page")
        told = state(port)
        assert (told["due"], told["page"]) == (False, told["revision"])
        with Reporter(store, "scan", None):
            store.append(App(path="b.apk"))
            told = state(port)
            assert (told["due"], told["page"] != told["revision"]) == (False, True)
        assert state(port)["due"], "whoever wrote has ended"


def test_a_models_file_is_given_where_it_still_is_what_it_was(store: Store, tmp_path: Path) -> None:
    content = b"the model"
    sha256 = hashlib.sha256(content).hexdigest()
    file = tmp_path / "it's ä model.tflite"
    file.write_bytes(content)
    store.append(Model(path=str(file), format="tflite", sha256=sha256))
    with served(store) as port:
        answer, text = get(port, f"/model/{sha256}")
        assert (answer.status, text) == (200, "the model")
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename*=UTF-8''it%27s%20%C3%A4%20model.tflite"
        )
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert get(port, f"/model/{sha256}", foreign)[0].status == 403
        for unknown in ("0" * 64, "..%2f..%2fetc%2fpasswd", "'%20or%201=1%20--", ""):
            assert get(port, f"/model/{unknown}")[0].status == 404
        file.write_bytes(b"another")
        assert get(port, f"/model/{sha256}")[0].status == 404


def test_netron_is_opened_where_it_is_installed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    class Installed:
        def start(self, file: str, browse: bool) -> tuple[str, int]:
            opened.append((Path(file).name, Path(file).read_bytes(), browse))
            return "127.0.0.1", 9999

        def stop(self, address: tuple[str, int]) -> None:
            opened.append(address)

    file = tmp_path / "a.tflite"
    file.write_bytes(b"the model")
    sha256 = hashlib.sha256(b"the model").hexdigest()
    store.append(Model(path=str(file), format="tflite", sha256=sha256))
    monkeypatch.setattr(model_files, "has_netron", lambda: False)
    with served(store) as port:
        assert get(port, f"/netron/{sha256}")[0].status == 404
    monkeypatch.setattr(model_files, "has_netron", lambda: True)
    monkeypatch.setattr(model_files, "import_module", lambda name: Installed())
    with served(store) as port:
        answer, _ = get(port, f"/netron/{sha256}")
        assert (answer.status, answer.headers["Location"]) == (303, "http://127.0.0.1:9999/")
    assert opened == [("a.tflite", b"the model", False), ("127.0.0.1", 9999)]


@pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium here")
def test_in_a_browser_the_page_follows_but_not_under_a_readers_hands(store: Store) -> None:
    page = "document.getElementById('page').contentDocument"
    with served(store) as port, chromium.tab() as browser, Reporter(store, "scan", 4) as scan:
        scan.advance("market/<b>a</b>.apk")
        browser.open(f"http://127.0.0.1:{port}/")
        browser.wait(f"{page}.body?.dataset.complete")
        browser.wait("document.querySelector('#running li')")
        said = browser.run("document.querySelector('#running li').textContent")
        assert said.startswith("scan: 1 of 4 · market/<b>a</b>.apk · for")
        assert browser.run("document.querySelector('progress').value") == 1
        browser.run(f"void ({page}.body.dataset.touched = 'true')")
        store.append(App(path="b.apk", package="second.app"))
        browser.wait("!document.getElementById('show').hidden")
        assert "second.app" not in browser.run(f"{page}.body.textContent")
        browser.run("document.getElementById('show').click()")
        browser.wait(f"{page}.body?.textContent.includes('second.app')")
        browser.wait(f"{page}.body?.dataset.complete")
        here = f"http://127.0.0.1:{port}/"
        assert [url for url in browser.asked if not url.startswith(here)] == []
        assert [each for each in browser.console if "favicon" not in each] == []


def test_a_store_that_cannot_be_read_is_told(store: Store, tmp_path: Path) -> None:
    with served(store) as port:
        for part in (tmp_path / "store" / "apps").iterdir():
            part.write_bytes(b"no parquet")
        answer, text = get(port, "/page")
        assert answer.status == 503
        assert "cannot be read" in text


def test_other_machines_need_a_token(
    store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEWISE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(UsageError, match="without a token"):
            live.Server(store, host, 0)
    assert run(["ui", store.url, "--host", "0.0.0.0"]) == 2
    assert "--token" in capfd.readouterr().err


def test_a_port_that_is_taken_is_one_line(store: Store) -> None:
    with served(store) as port, pytest.raises(InputError, match=f"cannot listen on .*{port}"):
        live.Server(store, "127.0.0.1", port)


def test_the_verb_serves_until_it_is_stopped(
    store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: live.Server) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live.Server, "serve_forever", stopped)
    assert run(["ui", store.url, "--port", "0", "--token", "abc"]) == 0
    assert "/?token=abc" in capfd.readouterr().out
