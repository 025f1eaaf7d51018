"""`edgewise links --shape` as a process that a user starts and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

from edgewise.cli.main import run

PATIENCE = 20.0


def one_echo(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.sendall(sock.recv(100))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_target_behind_a_link_until_told_to_end(how: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=one_echo, args=(listener,), daemon=True).start()
        command = [sys.executable, "-m", "edgewise", "links", "--shape", "ethernet", "--to", target]
        with subprocess.Popen(
            [*command, "--rtt", "4", "--json"], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            assert (started["link"], started["target"]) == ("ethernet", target)
            assert (started["rtt_ms"], started["uplink_mbps"]) == (4, 940)
            host, port = started["listen"].split(":")
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
                sock.sendall(b"hello")
                assert sock.recv(100) == b"hello"
            process.send_signal(how)
            ended = json.loads(process.stdout.read())
            assert process.wait(PATIENCE) == 0
    assert (ended["kind"], ended["uplink_bytes"], ended["connections"]) == ("shaped", 5, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shape", "lte"], "--to HOST:PORT"),
        (["--shape", "lte", "--to", "8080"], "no HOST:PORT"),
        (["--shape", "artificial", "--to", "127.0.0.1:1"], "no rates"),
        (["--shape", "lte", "--to", "127.0.0.1:1", "--rtt", "-3"], "rtt_ms"),
        (["--to", "127.0.0.1:1"], "--shape"),
        (["--radio", "lte-2012"], "goes with measure"),
        (["measure", "http://127.0.0.1:1", "--radio", "warp"], "known: lte-2012"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["links", *arguments]) == 2
    assert told in capsys.readouterr().err
