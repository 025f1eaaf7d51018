"""A store in an S3-compatible object store, as a local server plays it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgewise.errors import StoreError
from edgewise.records import App, Model
from edgewise.store import Store


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import fsspec

    s3fs = pytest.importorskip("s3fs")
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": f"http://{host}:{port}"})
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"survey-{uuid.uuid4().hex}"  # the server's objects outlive it in the process
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}/spring"
    server.stop()


def app(number: int) -> App:
    models = (Model(path=f"{number}.apk!/m", format="tflite", macs=number),)
    return App(path=f"{number}.apk", sha256=f"{number:064x}", models=models)


def test_several_write_and_one_reads(bucket: str) -> None:
    Store.open(bucket, create=True)
    with ThreadPoolExecutor(4) as writers:
        for _ in writers.map(lambda number: Store.open(bucket).append(app(number)), range(12)):
            pass
    store = Store.open(bucket)
    store.append(app(3))
    assert sorted(store.apps(), key=lambda found: found.sha256 or "") == [app(n) for n in range(12)]
    store.compact()
    assert list(store.query("select sum(macs) from models")[1]) == [(66,)]


def test_what_is_not_there_or_not_allowed_is_one_line(bucket: str) -> None:
    with pytest.raises(StoreError, match="no store there"):
        Store.open(f"{bucket}-none")
    with pytest.raises(StoreError):
        Store.open("s3://no-such-bucket/x", create=True)
