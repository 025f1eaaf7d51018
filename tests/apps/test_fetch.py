"""`fetch`: whole files or none, resumed, checked, tried again; what sources say is kept."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from packages import TFLITE, apk, written

from edgewise.apps.fetch import fetch, file_name
from edgewise.apps.scan import scan_package
from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import Settings, download
from edgewise.apps.sources.registry import source_of, sources
from edgewise.cli.main import run
from edgewise.errors import InputError, LimitExceeded, UsageError
from edgewise.records import Fetched
from edgewise.store import Store

APK = apk({"a.tflite": TFLITE})


def quick(**changes: object) -> Settings:
    return Settings(wait=lambda seconds: None, **changes)  # type: ignore[arg-type]


def fetched(tmp_path: Path, *addresses: str, wanted: Wanted | None = None) -> list[Fetched]:
    return list(fetch(addresses, str(tmp_path / "apps"), wanted or Wanted(), quick()))


def test_what_was_cut_off_goes_on_and_is_checked(web: Any, tmp_path: Path) -> None:
    web.files["/a.apk"] = APK
    web.faults = [-1000, 503, -10]
    digest = download(f"{web.url}/a.apk", tmp_path / "a.apk", quick())
    assert digest == hashlib.sha256(APK).hexdigest()
    assert (tmp_path / "a.apk").read_bytes() == APK
    ranges = [asked for _, asked in web.asked]
    assert ranges[0] is None and ranges[2] == f"bytes={len(APK) - 1000}-"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.apk"]


def test_nothing_is_there_under_the_final_name_unless_it_is_whole(web: Any, tmp_path: Path) -> None:
    web.files["/a.apk"] = APK
    to = tmp_path / "a.apk"
    with pytest.raises(InputError, match="SHA-256"):
        download(f"{web.url}/a.apk", to, quick(), sha256="0" * 64)
    assert not list(tmp_path.iterdir())
    web.faults = [-1] * 3
    with pytest.raises(InputError, match="the connection"):
        download(f"{web.url}/a.apk", to, quick(retries=2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.apk.part"]
    download(f"{web.url}/a.apk", to, quick())
    assert to.read_bytes() == APK


@pytest.mark.parametrize("status", [403, 404])
def test_what_will_not_come_is_not_asked_for_again(web: Any, tmp_path: Path, status: int) -> None:
    web.files["/a.apk"] = APK
    web.faults = [status]
    with pytest.raises(InputError, match=str(status)):
        download(f"{web.url}/a.apk", tmp_path / "a.apk", quick())
    assert len(web.asked) == 1


def test_a_rate_and_a_size_are_kept(web: Any, tmp_path: Path) -> None:
    web.files["/a.apk"] = APK
    waited: list[float] = []
    settings = Settings(bytes_per_s=len(APK) / 10, pause_s=3, wait=waited.append)
    download(f"{web.url}/a.apk", tmp_path / "a.apk", settings)
    assert waited[0] == 3 and waited[1] == pytest.approx(10, abs=1)
    with pytest.raises(LimitExceeded):
        download(f"{web.url}/a.apk", tmp_path / "b.apk", quick(most_bytes=10))


def test_a_list_of_urls(web: Any, tmp_path: Path) -> None:
    web.files = {"/x/a.apk": APK, "/b.apk": b"other"}
    stated = hashlib.sha256(b"something else").hexdigest()
    lines = f"# mine\n{web.url}/x/a.apk?token=1\n\n{web.url}/b.apk {stated}\n{web.url}/c.apk\n"
    web.files["/x/a.apk?token=1"] = APK
    (tmp_path / "list.txt").write_text(lines)
    rows = fetched(tmp_path, str(tmp_path / "list.txt"))
    assert [(row.name, row.status) for row in rows] == [
        ("a.apk", "fetched"), ("b.apk", "failed"), ("c.apk", "failed"),
    ]  # fmt: skip
    assert (tmp_path / "apps" / "a.apk").read_bytes() == APK
    app = scan_package(str(tmp_path / "apps" / "a.apk"))
    assert app.listing["source"] == "urls" and "a.apk" in app.listing["url"]


def test_a_folder_is_copied_once(tmp_path: Path) -> None:
    written(tmp_path / "from" / "one.apk", APK)
    written(tmp_path / "from" / "notes.txt", b"x")
    assert [row.status for row in fetched(tmp_path, str(tmp_path / "from"))] == ["fetched"]
    assert [row.status for row in fetched(tmp_path, str(tmp_path / "from"))] == ["present"]


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("../../etc/passwd", "passwd"), (".hidden", "hidden"), ("a b\n.apk", "a_b_.apk"),
     ("", "package"),
     ("x.apk.part", "x.apk.part.apk")],
)  # fmt: skip
def test_names_of_strangers_are_no_paths(name: str, becomes: str) -> None:
    assert file_name(Offer(name=name, address="")) == becomes


def test_androzoo_by_the_columns_of_its_list(
    web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(APK).hexdigest().upper()
    columns = ["sha256", "dex_date", "apk_size", "pkg_name", "vercode", "markets"]
    rows = [
        [digest, "2024-05-01 10:00:00", len(APK), "a.b", 7, "play.google.com|fdroid"],
        ["0" * 64, "2019-05-01 10:00:00", 5, "a.b", 1, "play.google.com"],
        ["1" * 64, "2024-05-01 10:00:00", 5_000_000, "c.d", 1, "anzhi"],
    ]
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    listed = tmp_path / "latest.csv.gz"
    listed.write_bytes(gzip.compress(text.getvalue().encode()))
    monkeypatch.setenv("EDGEWISE_ANDROZOO", web.url)
    web.files[f"/api/download?apikey=secret&sha256={digest}"] = APK
    wanted = Wanted(since="2024-01-01", max_bytes=1_000_000, market="fdroid")
    monkeypatch.delenv("ANDROZOO_APIKEY", raising=False)
    (row,) = fetched(tmp_path, f"androzoo:{listed}", wanted=wanted)
    assert row.status == "failed" and "ANDROZOO_APIKEY" in (row.reason or "")
    monkeypatch.setenv("ANDROZOO_APIKEY", "secret")
    (row,) = fetched(tmp_path, f"androzoo:{listed}", wanted=wanted)
    assert (row.status, row.package, row.listing["date"]) == (
        "fetched",
        "a.b",
        "2024-05-01 10:00:00",
    )
    web.files.clear()
    (row,) = fetched(tmp_path / "again", f"androzoo:{listed}", wanted=wanted)
    assert row.status == "failed" and "secret" not in (row.reason or "")


def test_fetched_scanned_and_discarded_in_one_pass(
    web: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web.files["/a.apk"] = APK
    digest = hashlib.sha256(APK).hexdigest()
    (tmp_path / "list").write_text(f"{web.url}/a.apk {digest}\n")
    store, to = str(tmp_path / "store"), tmp_path / "apps"
    command = ["fetch", str(tmp_path / "list"), "-o", str(to), "--scan-into", store, "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "fetched"
    assert not list(to.iterdir())
    (app,) = Store.open(store).apps()
    assert (app.package, app.listing["source"], len(app.models)) == ("a.b", "urls", 1)
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "known"


def test_play_says_that_apkeep_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (row,) = fetched(tmp_path, "play:org.example")
    assert row.status == "failed" and "apkeep" in (row.reason or "")
    program = tmp_path / "apkeep"
    program.write_text('#!/bin/sh\nprintf "%s" "$2" > "$3/$2.apk"\n')
    program.chmod(0o755)
    (row,) = fetched(tmp_path, "play:org.example")
    assert row.status == "fetched"
    assert (tmp_path / "apps" / "org.example.apk").read_text() == "org.example"


def test_an_address_is_of_one_source(tmp_path: Path) -> None:
    assert source_of("fdroid:https://x/repo").NAME == "fdroid"
    assert source_of(str(tmp_path)).NAME == "folder"
    assert {source.NAME for source in sources()} >= {
        "fdroid", "androzoo", "device", "play", "folder", "urls",
    }  # fmt: skip
    with pytest.raises(UsageError, match="no source"):
        source_of("ftp://x")
    assert run(["fetch", "ftp://x"]) == 2
    assert run(["fetch", str(tmp_path), "--rate", "fast"]) == 2
