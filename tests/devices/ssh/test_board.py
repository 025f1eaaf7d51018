"""A board over ssh: a real OpenSSH server on loopback, with a home folder of its own."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewise import sandbox
from edgewise.cli.main import run
from edgewise.devices import registry
from edgewise.devices.ssh.client import Address, Ssh
from edgewise.errors import DeviceError, UsageError, WorkerFailed
from edgewise.sandbox import Limits

SSHD = "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its name as a device. What it runs has a home of its own."""
    if not Path(SSHD).exists() or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server (Debian package openssh-server)")
    folder = tmp_path_factory.mktemp("ssh")
    (home := folder / "home").mkdir()
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPidFile none\n"
        f'SetEnv HOME={home}\nForceCommand cd {home} && eval "$SSH_ORIGINAL_COMMAND"\n'
    )
    (folder / "config").write_text(
        f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWISE_SSH", f"ssh -F {folder}/config")
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")])
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield f"ssh:{getpass.getuser()}@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def bench(capsys: Any, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    short = ("--processes", "1", "--load-processes", "1", "--evicted-processes", "0", "--runs", "5")
    end = ("--min-time", "0", "--warmup", "1", "--json", "--quiet")
    assert run(["bench", *arguments, *short, *end]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_board_is_prepared_once_and_measures_with_the_same_fields(
    server: str, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    model = str(digits / "digits-s.tflite")
    (row,) = bench(capsys, model, "--device", server, status=1)
    assert row["reason"] == f"not prepared (edgewise devices prepare {server})"
    assert run(["devices", "prepare", server, "--python", sys.executable]) == 0
    assert "the worker is in ~/.cache/edgewise/" in capsys.readouterr().out
    there, here = bench(capsys, model, "--device", f"{server},host")
    if there["target"]["device"] == "host":
        there, here = here, there
    assert there["target"] == here["target"] | {"device": server}
    assert there["latency_ms"]["n"] == here["latency_ms"]["n"] == 5
    assert there["context"]["versions"] == here["context"]["versions"]
    assert there["peak_memory_bytes"] is not None and there["state_before"]["at"]
    assert there["origin"] == "measured" and there["coverage"] == here["coverage"]


def test_files_go_there_once_and_lie_beside_one_another(server: str, tmp_path: Path) -> None:
    run(["devices", "prepare", server, "--python", sys.executable])
    (board,) = registry.find(server)
    (tmp_path / "a b.onnx").write_bytes(b"12")
    (tmp_path / "weights").write_bytes(b"345")
    path = board.put(tmp_path / "a b.onnx", "0" * 64)
    beside = board.put(tmp_path / "weights", "1" * 64, beside=path)
    assert Path(path).read_bytes() == b"12" and Path(beside).parent == Path(path).parent
    changed = Path(path).stat().st_mtime_ns
    (again,) = registry.find(server)
    assert again.put(tmp_path / "a b.onnx", "0" * 64) == path
    assert Path(path).stat().st_mtime_ns == changed


def test_what_fails_there_fails_here_in_the_same_words(server: str) -> None:
    run(["devices", "prepare", server, "--python", sys.executable])
    (board,) = registry.find(server)
    call: Any = board.call  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="no runtime 'abacus'"):
        call("edgewise.runtimes.registry:by_name", "abacus", limits=Limits(20))
    with pytest.raises(WorkerFailed, match="ended with status 7"):
        call("os:_exit", 7, limits=Limits(20))
    with pytest.raises(WorkerFailed, match=r"no answer within 0\.5 s"):
        call("time:sleep", 30, limits=Limits(0.5))
    assert call("os.path:basename", "/a/b", limits=Limits(20)) == sandbox.Answer("b", "", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [("127.0.0.1:1", "no ssh server answers there"), ("no-such-host.invalid", "no host of this")],
)
def test_a_board_that_is_not_there(name: str, words: str) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client")
    with pytest.raises(DeviceError, match=words):
        Ssh(Address.parse(name)).run("true")


def test_addresses() -> None:
    assert Address.parse("pi@board.local:2222").words() == ["-p", "2222", "--", "pi@board.local"]
    assert Address.parse("[::1]").words() == ["--", "::1"]
    for wrong in ("", "-oProxyCommand=x", "a b", "x@", "host:port"):
        with pytest.raises(UsageError):
            Address.parse(wrong)


def test_a_boards_own_meter_or_why_there_is_none(
    server: str, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    assert run(["devices", "prepare", server, "--python", sys.executable]) == 0
    capsys.readouterr()
    meter = ("--meter", "jetson", "--energy-time", "0.2")
    (row,) = bench(capsys, str(digits / "digits-s.onnx"), "--device", server, *meter)
    assert row["status"] == "ok" and row["energy"] is None
    assert "no energy: no meter 'jetson' on this machine" in row["notes"]
