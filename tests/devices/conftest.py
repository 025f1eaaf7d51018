"""Phones on a bench: the double beside the checkout, behind the real adb client and server."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "devices"
Plug = Callable[..., Any]


def adb(*arguments: str) -> str:
    done = subprocess.run(
        ["adb", *arguments], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
    )
    return done.stdout


@pytest.fixture(scope="session")
def adb_server() -> Iterator[None]:
    """A server of adb for these tests alone."""
    if shutil.which("adb") is None:
        pytest.skip("no adb client (Debian package adb)")
    if not SHARED.is_dir():
        pytest.skip("no devices beside the checkout")
    before = os.environ.get("ANDROID_ADB_SERVER_PORT")
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(15100 + os.getpid() % 800)
    sys.path.insert(0, str(SHARED))
    yield
    sys.path.remove(str(SHARED))
    adb("kill-server")
    os.environ.pop("ANDROID_ADB_SERVER_PORT")
    if before is not None:
        os.environ["ANDROID_ADB_SERVER_PORT"] = before


@pytest.fixture
def plug(adb_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Plug a phone in by its name, with lines added to its `phone.toml`."""
    import fakephone

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ExitStack() as until:

        def one(name: str, toml: str = "", **answers: str) -> Any:
            folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
            shutil.copytree(SHARED / "phones" / "phones" / name, folder, symlinks=True)
            config = folder / "phone.toml"
            config.chmod(0o644)
            config.write_text(config.read_text() + "\n" + toml)
            phone = until.enter_context(fakephone.running(folder))
            while not phone.port:  # it listens a moment before it says where
                time.sleep(0.001)
            phone.serial = f"127.0.0.1:{phone.port}"
            adb("connect", phone.serial)
            until.callback(adb, "disconnect", phone.serial)
            return phone

        yield one
    with warnings.catch_warnings():  # the double leaves sockets that browsers held to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def phones() -> Path:
    """The folder of the phones."""
    return SHARED / "phones" / "phones"


@pytest.fixture
def binary(adb_server: None) -> Path:
    """A script that behaves like benchmark_model."""
    return SHARED / "phones/phones/pixel-tensor-15/root/data/local/tmp/bin/benchmark_model"
