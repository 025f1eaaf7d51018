"""From paths as users write them to files: folders, packages in packages, URLs."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from zips import packed

from edgewise.archive import DiskFile, Limits, open_file, walk_files
from edgewise.errors import InputError, LimitExceeded, MalformedArchive

INNER = packed({"assets/m.tflite": b"the model"})
OUTER = packed({"base.apk": INNER})


def test_a_file_on_disk(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"content")
    (tmp_path / "m.txt").touch()
    file = open_file(str(tmp_path / "m.tflite"))
    assert (file.name, file.size, file.head(3), bytes(file.data())) == (
        "m.tflite", 7, b"con", b"content",
    )  # fmt: skip
    assert list(file.siblings()) == ["m.txt"]
    sibling = file.sibling("m.txt")
    assert sibling is not None and bytes(sibling.data()) == b""
    assert file.sibling("../m.txt") is None


def test_an_entry_however_deep(tmp_path: Path) -> None:
    (tmp_path / "a.apks").write_bytes(OUTER)
    path = f"{tmp_path}/a.apks!/base.apk!/assets/m.tflite"
    file = open_file(path)
    assert (file.path, file.name, bytes(file.data())) == (path, "m.tflite", b"the model")


def test_a_folder_may_end_in_an_exclamation_mark(tmp_path: Path) -> None:
    (tmp_path / "wow!").mkdir()
    (tmp_path / "wow!" / "m").write_bytes(b"x")
    assert bytes(open_file(f"{tmp_path}/wow!/m").data()) == b"x"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.apk", "No such file"),
        ("none.apk!/x", "No such file"),
        (".", "is a folder"),
        ("a.apks!/m.tflite", "has no entry 'm.tflite'"),
        ("a.apks!/base.apk!/M.TFLITE", "it has 'assets/m.tflite'"),
        ("text!/x", "not a zip archive"),
        ("nul\0", "null (byte|character)"),
    ],
)
def test_errors_say_what_and_where(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "a.apks").write_bytes(OUTER)
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match=reason):
        open_file(f"{tmp_path}/{path}")


def test_walking_is_in_order_without_loops_and_history(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/x", ".hidden/h", ".git/config", "b/.git/HEAD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a" / "x")
    found = [str(Path(file.path).relative_to(tmp_path)) for file in walk_files(tmp_path)]
    assert found == [".hidden/h", "a/x", "b/1", "b/2", "b/link"]


def test_a_name_that_is_no_text_can_still_be_written_down(tmp_path: Path) -> None:
    location = tmp_path / "m\udcff.tflite"
    location.write_bytes(b"x")
    file = DiskFile(location)
    assert file.name == "m\ufffd.tflite"
    assert bytes(file.data()) == b"x"


# -- URLs --------------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "a.apks").write_bytes(OUTER)
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_a_package_on_the_web(server: str) -> None:
    path = f"{server}/a.apks!/base.apk!/assets/m.tflite"
    file = open_file(path)
    assert (file.path, bytes(file.data())) == (path, b"the model")
    whole = open_file(f"{server}/a.apks?token=1")
    assert (whole.name, bytes(whole.data())) == ("a.apks", OUTER)
    assert whole.sibling("b") is None


def test_what_is_not_on_the_web(server: str) -> None:
    with pytest.raises(InputError, match="404"):
        open_file(f"{server}/none.apk")
    with pytest.raises(InputError, match="cannot be fetched"):
        open_file("http://127.0.0.1:9/a.apk")


def test_a_download_is_bounded(server: str) -> None:
    with pytest.raises(LimitExceeded, match="download_bytes"):
        open_file(f"{server}/a.apks", Limits(download_bytes=10))


def test_other_urls_go_through_fsspec() -> None:
    import fsspec

    with fsspec.open("memory://folder/a.apks", "wb") as stream:
        stream.write(OUTER)
    assert bytes(open_file("memory://folder/a.apks!/base.apk").data()) == INNER
    with pytest.raises(InputError, match="cannot be opened"):
        open_file("memory://folder/none")
    with pytest.raises(InputError, match="no-such-protocol"):
        open_file("no-such-protocol://x")


def test_a_url_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: object, **__: object) -> object:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", missing)
    with pytest.raises(InputError, match="Install s3fs"):
        open_file("s3://bucket/a.apk")


def test_a_page_in_place_of_a_package(server: str) -> None:
    with pytest.raises(MalformedArchive, match="not a zip archive"):
        open_file(f"{server}/!/x")
