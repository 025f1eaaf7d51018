"""`edgewise links --shape` as a process that a user starts and ends."""

from __future__ import annotations

import io
import json
import math
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.network import catalogue
from edgewise.network.measured import Estimate, Measured
from edgewise.placement import own_link
from edgewise.placement.own_link import OwnLink

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


def measured_by(url: str, **_: object) -> OwnLink:
    rate = Estimate(10.0, 9.0, math.inf)
    return OwnLink(url, Measured(Estimate(20.0, 18.0, 21.0), 1.0, rate, rate, 30), ())


@pytest.mark.parametrize(("said", "radio"), [("lte-2012\n", "lte-2012"), ("\n", None)])
def test_at_a_terminal_it_asks_for_the_kind_of_network(
    said: str,
    radio: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(own_link, "measure_link", measured_by)
    answers = io.StringIO(said)
    for stream in (answers, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", answers)
    file = tmp_path / "mine.toml"
    assert run(["links", "measure", "http://x", "--write", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "at least 9 Mbps (10 seen)" in out
    assert "Which kind of network is it" in err
    assert ("without --radio" in err) is (radio is None)
    assert catalogue.link(str(file)).radio == radio


def test_nobody_is_asked_who_is_not_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(own_link, "measure_link", measured_by)
    file = tmp_path / "mine.toml"
    assert run(["links", "measure", "http://x", "--write", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["uplink_ci95_mbps"] == [9.0, None]
    assert "no verdict about the battery" in err
    assert catalogue.link(str(file)).radio is None
