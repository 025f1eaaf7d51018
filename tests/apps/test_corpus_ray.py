"""Apps on a Ray cluster: the same rows, a lost node's work done again, input and store on object
storage."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packages import TFLITE, apk, written

from edgewise.apps.corpus import planned, run
from edgewise.apps.scan import targets
from edgewise.errors import MissingExtra
from edgewise.store import Store


class Cluster(types.ModuleType):
    """What is used of Ray, in this process: tasks run when they are waited for."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.options: dict[str, Any] = {}
        self.most_waiting = 0
        self.exceptions = types.SimpleNamespace(RayError=RuntimeError)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **options: Any) -> Callable[[Callable[..., bytes]], Any]:
        self.options = options
        return lambda function: types.SimpleNamespace(
            remote=lambda *arguments: _Reference(function, arguments)
        )

    def wait(self, references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.most_waiting = max(self.most_waiting, len(references))
        return references[-1:], references[:-1]

    def get(self, reference: Any) -> bytes:
        if reference.lost:
            raise RuntimeError("the node died")
        return reference.function(*reference.arguments)  # type: ignore[no-any-return]


class _Reference:
    def __init__(self, function: Callable[..., bytes], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.lost = "lost" in str(arguments[0].path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def test_each_app_is_a_row_also_where_its_task_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("a", "b", "lost"):
        written(tmp_path / f"{name}.apk", apk({"m.tflite": TFLITE, "n.txt": name.encode()}))
    work = planned([str(tmp_path)])
    done = {Path(each.app.path).stem: each.app for each in run(work, ray="somewhere")}
    assert done.keys() == {"a", "b", "lost"}
    assert [len(done[name].models) for name in ("a", "b")] == [1, 1]
    assert done["lost"].error == "lost: RuntimeError"
    assert cluster.options["max_retries"] > 0  # Ray itself does a lost node's tasks again


def test_what_the_store_has_is_passed_over(cluster: Cluster, tmp_path: Path) -> None:
    for i in range(3):
        written(tmp_path / "apps" / f"{i}.apk", apk({"m.tflite": TFLITE, "n": b"%d" % i}))
    store = Store.open(str(tmp_path / "store"), create=True)
    work = planned([str(tmp_path / "apps")])
    for each in run(work, store=store, ray="x"):
        store.append(each.app)
    assert [each.new for each in run(work, store=store, ray="x")] == [False] * 3


def test_ray_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="ray"):
        list(run(planned([written(tmp_path / "a.apk", apk())]), ray="local"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3-compatible server on loopback."""
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("apps")
    yield "s3://apps"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_input_and_store_on_object_storage(cluster: Cluster, bucket: str) -> None:
    import s3fs

    files = s3fs.S3FileSystem()
    for i in range(3):
        files.pipe(f"apps/in/{i}.apk", apk({"m.tflite": TFLITE, "n": b"%d" % i}))
    files.pipe("apps/in/readme.txt", b"x")
    assert [target.path for target in targets(f"{bucket}/in/")] == [
        f"{bucket}/in/{i}.apk" for i in range(3)
    ]
    store = Store.open(f"{bucket}/store", create=True)
    for each in run(planned([f"{bucket}/in/"]), store=store, ray="x"):
        assert each.app.error is None
        store.append(each.app)
    assert sorted(app.path for app in store.apps()) == [f"{bucket}/in/{i}.apk" for i in range(3)]
    (missing,) = targets("nonsense://x/")
    assert missing.error is not None


@pytest.mark.skipif(not os.environ.get("EDGEWISE_RAY"), reason="EDGEWISE_RAY is not set")
def test_a_real_cluster(tmp_path: Path) -> None:
    """Half a minute: asked for by EDGEWISE_RAY=local, or the address of a cluster."""
    for i in range(6):
        written(tmp_path / f"{i}.apk", apk({"m.tflite": TFLITE, "n": b"%d" % i}))
    done = list(run(planned([str(tmp_path)]), ray=os.environ["EDGEWISE_RAY"]))
    assert sorted(each.number for each in done) == list(range(6))
    assert all(each.app.error is None and len(each.app.models) == 1 for each in done)
